package engine

import (
	"time"

	"keyfob/engine/tokencode"
	"keyfob/events"
)

// tier is how close a tokencode is to the interval that the token's clock is
// believed to show.
type tier uint8

const (
	beyond tier = iota
	large       // accepted in Next Tokencode mode, with the next tokencode
	medium      // accepted with the next tokencode
	small       // accepted
	reused      // used last
	spent       // older than the one used last
)

// params returns what the algorithms need to know about the token.
func (t *Token) params() tokencode.Params {
	return tokencode.Params{
		Kind:      tokencode.Kind(t.Kind),
		Algorithm: tokencode.Algorithm(t.Algorithm),
		Digits:    int(t.Digits),
		Period:    time.Duration(t.Period) * time.Second,
		Serial:    t.Serial,
	}
}

// timed reports whether the token is time-based.
func (t *Token) timed() bool { return t.Period != 0 }

// expected returns the interval that the token should show: by the clock and
// the believed drift, or the press after the last one used.
func (t *Token) expected(now events.Time) int64 {
	if !t.timed() {
		return t.Last + 1
	}
	return tokencode.Interval(t.params(), now.Std()) + t.Drift
}

// window returns the window of the token's own record, or the policy's window
// for its form.
func (t *Token) window(p *Policy) Window {
	if t.Window != (Window{}) {
		return t.Window
	}
	return p.Windows[t.form(p)]
}

// form returns the form that selects the window.
func (t *Token) form(p *Policy) string {
	if !t.timed() {
		return FormEvent
	}
	if _, ok := p.Windows[t.Form]; !ok {
		return FormFob
	}
	return t.Form
}

// tier returns how close an interval is. A token that was never accepted may be
// far off for good reason: large - 1 counts as medium (RSA a35281, first
// login).
func (t *Token) tier(p *Policy, interval int64, now events.Time) tier {
	switch {
	case interval == t.Last && t.used():
		return reused
	case interval <= t.Last:
		return spent
	}
	w, d := t.window(p), abs(interval-t.expected(now))
	switch {
	case t.movesTooFar(w, interval, now):
		return beyond
	case d <= w.Small && !t.doubts(interval):
		return small
	case d <= w.Medium, !t.Proven && d <= w.Large-1:
		return medium
	case d <= w.Large:
		return large
	}
	return beyond
}

// movesTooFar reports whether an interval would move the token's clock by more
// than the large window within a day. An honest clock loses a second or two. An
// attacker who moves the window a step with each login would make tokencodes
// valid at another time. Two tokencodes in a row resynchronize a token that is
// really that far off (T-10).
func (t *Token) movesTooFar(w Window, interval int64, now events.Time) bool {
	if !t.timed() || t.Anchor.At.IsZero() || now.Sub(t.Anchor.At) >= day {
		return false
	}
	return abs(interval-tokencode.Interval(t.params(), now.Std())-t.Anchor.Drift) > w.Large
}

func abs(n int64) int64 { return max(n, -n) }

// used reports whether the last used interval was really used, or may have
// been.
func (t *Token) used() bool { return !t.LastUse.IsZero() || t.Doubted != 0 }

// unusable returns why a token cannot be used, or an empty reason.
func (t *Token) unusable(now events.Time) events.Reason {
	switch {
	case t.Disabled:
		return events.ReasonTokenDisabled
	case !t.Born.IsZero() && now < t.Born, !t.Expires.IsZero() && now >= t.Expires:
		return events.ReasonTokenExpired
	}
	return ""
}

// hasPIN reports whether a PIN is part of the passcode now.
func (t *Token) hasPIN() bool { return len(t.PIN) != 0 && t.pinStyle() != tokencode.NoPIN }

func (t *Token) pinStyle() tokencode.PINStyle {
	if t.PINStyle == "" {
		return tokencode.Fob
	}
	return tokencode.PINStyle(t.PINStyle)
}

// needsPIN returns why a new PIN must be set before a user is accepted with
// this token, or an empty reason.
func (t *Token) needsPIN(p *Policy, now events.Time) events.Reason {
	switch {
	case t.pinStyle() == tokencode.NoPIN:
		return ""
	case len(t.PIN) == 0:
		return events.ReasonPINNotSet
	case t.NewPIN:
		return events.ReasonPINChangeRequired
	case p.PINLifetime > 0 && now.Sub(t.PINSetAt) > p.PINLifetime:
		return events.ReasonPINExpired
	}
	return ""
}

// pinSource returns who makes a new PIN for this token.
func (t *Token) pinSource(p *Policy) PINSource {
	if t.PINSource != "" {
		return t.PINSource
	}
	return p.PINSource
}

// pinRules returns the rules for a new PIN for this token.
func (t *Token) pinRules(p *Policy) PINRules {
	r := PINRules{Min: p.PINMin, Max: p.PINMax, Alphanumeric: p.PINAlphanumeric, History: p.PINHistory, Source: t.pinSource(p)}
	if t.pinStyle() == tokencode.PINpad {
		r.PINpad, r.Alphanumeric = true, false
		r.Max = min(r.Max, int(t.Digits))
		r.Min = min(r.Min, r.Max) // otherwise no PIN would be fit
	}
	return r
}

// newPINStep returns the step that sets a new PIN for this token.
func (t *Token) newPINStep(p *Policy) events.Step {
	switch t.pinSource(p) {
	case PINBySystem:
		return events.StepGeneratePIN
	case PINByEither:
		return events.StepChoosePIN
	case PINByUser:
	}
	return events.StepNewPIN
}
