package engine

import (
	"context"
	"fmt"
	"time"

	"keyfob/engine/tokencode"
	"keyfob/events"
)

// resynchronize looks for two consecutive tokencodes over a wide range. It
// examines both before it answers, so that the answer says nothing about the
// first alone.
func (k *checker) resynchronize(ctx context.Context) ([]TokenEvidence, error) {
	var all []TokenEvidence
	next := canonicalTyped(k.Attempt.Again)
	for t := range k.tokens {
		if t.onDemand() { // an on-demand token has no clock
			all = append(all, evidenceOf(t))
			continue
		}
		e, err := k.inARow(ctx, t, next)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// inARow finds the first interval of a window whose tokencode was typed with
// the PIN and whose successor was typed after it. The evidence names the second
// interval.
func (k *checker) inARow(ctx context.Context, t *Token, next string) (TokenEvidence, error) {
	e := evidenceOf(t)
	g, err := k.generator(t)
	if err != nil {
		return e, err
	}
	// Compare the first only where the second matches: one pass finds both.
	reach := t.resyncReach(&k.State.Policy)
	pairs := func(yield func(int64) bool) {
		nearestFirst(t, t.expected(k.Now), reach, func(i int64) bool {
			return i < 0 || !k.follows(t, g, i+1, next) || yield(i)
		})
	}
	if e, err = k.found(ctx, t, g, pairs, e); e.Found {
		e.Interval++
	}
	return e, err
}

// follows reports whether a tokencode is that of an interval. The PIN may stand
// in front of it, or be mixed in by a PINpad.
func (k *checker) follows(t *Token, g *tokencode.Generator, interval int64, typed string) bool {
	if g.Matches(interval, typed) {
		return true
	}
	if t.pinStyle() != tokencode.PINpad || !t.hasPIN() {
		_, code, ok := tokencode.SplitPIN(typed, int(t.Digits))
		return ok && g.Matches(interval, code)
	}
	pin, err := k.Keys.OpenPINpad(t.Serial, t.PINRevision, t.PIN)
	if err != nil {
		return false
	}
	mixed, err := tokencode.MixPIN(pin.Reveal(), g.At(interval))
	return err == nil && same(mixed, typed)
}

// resyncReach returns how far off a token may be to be resynchronized.
func (t *Token) resyncReach(p *Policy) int64 {
	if !t.timed() {
		return p.ResyncAhead
	}
	return int64(p.ResyncWithin / (time.Duration(t.Period) * time.Second))
}

// CheckInARow looks for two consecutive tokencodes of one token, which the user
// has read out to an administrator. No PIN is needed.
func CheckInARow(s *State, keys Keys, serial string, first, second Secret, now events.Time) (TokenEvidence, error) {
	t := s.Token(serial)
	if t == nil {
		return TokenEvidence{}, tokenNotFound(serial)
	}
	if t.onDemand() {
		return TokenEvidence{}, refuse(Conflict, "token %s displays no tokencodes; they are sent", serial)
	}
	k := checker{CheckInput: CheckInput{State: s, Keys: keys, Now: now}}
	g, err := k.generator(t)
	if err != nil {
		return TokenEvidence{}, err
	}
	e := evidenceOf(t)
	one, two := canonicalTyped(first), canonicalTyped(second)
	nearestFirst(t, t.expected(now), t.resyncReach(&s.Policy), func(i int64) bool {
		if i >= 0 && g.Matches(i, one) && g.Matches(i+1, two) {
			e.Found, e.Interval = true, i+1
		}
		return !e.Found
	})
	return e, nil
}

// generator returns the generator of a token's tokencodes.
func (k *checker) generator(t *Token) (*tokencode.Generator, error) {
	seed, err := k.Keys.OpenSeed(t.Serial, t.Seed)
	if err != nil {
		return nil, fmt.Errorf("opening the seed of token %s: %w", t.Serial, err)
	}
	g, err := tokencode.New(t.params(), tokencode.Seed(seed))
	if err != nil {
		return nil, fmt.Errorf("token %s: %w", t.Serial, err)
	}
	return g, nil
}

// resynchronize decides two consecutive tokencodes: rules.md,
// "Resynchronization".
func (d *decider) resynchronize() (Decision, error) {
	if !d.state.Policy.ResyncByUser {
		return d.quietly(events.ReasonThrottled), nil
	}
	candidates, reason, err := d.candidates()
	if err != nil {
		return Decision{}, err
	}
	if len(candidates) == 0 {
		return d.quietly(reason), nil
	}
	tried, reason := candidates[0].token, events.ReasonBadTokencode
	if len(candidates) > 1 {
		tried = nil
	}
	for _, c := range candidates {
		switch {
		case !c.evidence.Found || c.evidence.Emergency != 0:
		case !c.evidence.PIN:
			tried, reason = c.token, events.ReasonBadPIN
		case d.state.Unclaimed(c.token):
			tried, reason = c.token, events.ReasonPINNotSet
		case d.lostAndRefused(c):
			tried, reason = c.token, events.ReasonTokenLost
		case c.token.behind(c.evidence.Interval - 1):
			tried, reason = c.token, events.ReasonTokencodeReused
		default:
			return d.inARow(c.token, c.evidence.Interval), nil
		}
	}
	return d.fail(tried, reason, nil, ProblemNone), nil
}

// lostAndRefused reports whether a token is lost and its own tokencodes are
// refused.
func (d *decider) lostAndRefused(c candidate) bool {
	if c.token.Lost == nil {
		return false
	}
	r, ok := d.rankLost(c.token, c.evidence)
	return ok && r == isLost
}

// behind reports whether an interval is used up.
func (t *Token) behind(interval int64) bool { return interval <= t.Last }

func (d *decider) inARow(t *Token, interval int64) Decision {
	use := d.use(t, interval)
	d.draft(events.TokenResynchronized{User: d.user.Name, Use: use})
	d.moveDrift(t, use)
	d.resetFailures()
	return d.done()
}

// ResynchronizeToken resynchronizes a token by two consecutive tokencodes,
// which the user has read out to an administrator.
type ResynchronizeToken struct {
	Evidence TokenEvidence `cbor:"1,keyasint"`
}

func (c ResynchronizeToken) decide(s *State, now events.Time) ([]events.Event, error) {
	e := c.Evidence
	t, err := s.mustToken(e.Serial)
	switch {
	case err != nil:
		return nil, err
	case !e.speaksOf(t):
		return nil, changedMeanwhile(t)
	case !e.Found:
		return nil, refuse(Invalid, "token %s does not show these two tokencodes in a row within the resynchronization window of the policy", t.Serial)
	case t.behind(e.Interval - 1):
		return nil, refuse(Invalid, "these tokencodes of token %s are not newer than the last one used; wait for the next two", t.Serial)
	}
	use := events.Use{Serial: t.Serial, Kind: t.Kind, Interval: e.Interval}
	if t.timed() {
		use.Drift = e.Interval - tokencode.Interval(t.params(), now.Std())
	}
	facts := []events.Event{events.TokenResynchronized{User: t.User, Use: use}}
	if use.Drift != t.Drift {
		facts = append(facts, events.DriftAdjusted{Serial: t.Serial, User: t.User, From: t.Drift, Drift: use.Drift})
	}
	return facts, nil
}
