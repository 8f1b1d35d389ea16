package engine

import (
	"slices"
	"time"

	"keyfob/engine/tokencode"
	"keyfob/events"
)

// What the next login with a token will ask for, for those who help users. The
// decisions use the same functions.

// Mode is what the next login with a token asks for first.
type Mode string

// The modes. A token without a user is in ModeNormal, unless it is in Next
// Tokencode mode.
const (
	ModeNormal        Mode = "normal"
	ModeNewPIN        Mode = "new_pin" // PINDue says why
	ModeNextTokencode Mode = "next_tokencode"
)

// Mode returns the mode of a token. A token whose PIN has expired, or is not
// set, is in New PIN mode. After the next tokencode a new PIN may still be due:
// see PINDue.
func (s *State) Mode(t *Token, now events.Time) Mode {
	switch {
	case t.NextTokencode:
		return ModeNextTokencode
	case s.PINDue(t, now) != "":
		return ModeNewPIN
	}
	return ModeNormal
}

// Unusable returns why a token is refused regardless of the input, or an empty
// reason.
func (t *Token) Unusable(now events.Time) events.Reason { return t.unusable(now) }

// PINDue returns why the next login with a token asks for a new PIN, or an
// empty reason, as far as the state knows.
func (s *State) PINDue(t *Token, now events.Time) events.Reason {
	if t.User == "" {
		return ""
	}
	return t.needsPIN(&s.Policy, now)
}

// PINEnds returns when the PIN of a token expires, or zero.
func (s *State) PINEnds(t *Token) events.Time {
	if s.Policy.PINLifetime == 0 || !t.hasPIN() {
		return 0
	}
	return t.PINSetAt.Add(s.Policy.PINLifetime)
}

// ReplacedBy returns the serial of the token that is to replace another, or an
// empty string.
func (s *State) ReplacedBy(old *Token) string {
	if u := s.User(old.User); u != nil {
		for _, serial := range u.Tokens {
			if t := s.Token(serial); t != nil && t.Replaces == old.Serial {
				return serial
			}
		}
	}
	return ""
}

// PINDoubted reports whether a token's PIN may be unfit: no login has shown
// that it meets the current rules, and the rules that it is known to meet are
// looser.
func (s *State) PINDoubted(t *Token) bool {
	if !t.hasPIN() {
		return false
	}
	is := t.pinRules(&s.Policy)
	return t.PINMin != 0 && is.Min > int(t.PINMin) || t.PINMax != 0 && is.Max < int(t.PINMax) ||
		t.PINLetters && !is.Alphanumeric
}

// keeps records that a token's PIN meets the current rules: it was just set
// under them, or its user was accepted with it.
func (t *Token) keeps(p *Policy) {
	rules := t.pinRules(p)
	t.PINMin = max(t.PINMin, uint8(rules.Min))
	if t.PINMax == 0 || rules.Max < int(t.PINMax) {
		t.PINMax = uint8(rules.Max)
	}
	t.PINLetters = t.PINLetters && rules.Alphanumeric
}

// LastUsedAhead returns when the token will show a tokencode newer than the
// last one used, and the time that the last one stood for. ok is false if the
// last used interval is not in the future. It can be, after a clock was set
// back or the drift was reset.
func (t *Token) LastUsedAhead(now events.Time) (last, from time.Time, ok bool) {
	if !t.timed() || t.Last <= t.expected(now) {
		return time.Time{}, time.Time{}, false
	}
	return t.Shown(t.Last), t.Shown(t.Last + 1 - t.Drift), true
}

// Shown returns when a token whose clock is right begins to show the tokencode
// of an interval, or the zero time for event tokens.
func (t *Token) Shown(interval int64) time.Time { return tokencode.Start(t.params(), interval) }

// Sending returns how many tokencodes were sent to a user in the last hour, and
// when another one may be sent: zero if now.
func (s *State) Sending(u *User, now events.Time) (sent int, from events.Time) {
	var recent []events.Time
	for _, serial := range u.Tokens {
		t := s.Token(serial)
		if t == nil {
			continue
		}
		for _, at := range t.Sent {
			if now.Sub(at) < hour {
				recent = append(recent, at)
			}
		}
	}
	if most := s.Policy.OnDemandPerHour; len(recent) >= most && most > 0 {
		slices.Sort(recent)
		from = recent[len(recent)-most].Add(hour)
	}
	return len(recent), from
}
