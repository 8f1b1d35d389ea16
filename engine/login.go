package engine

import (
	"keyfob/engine/tokencode"
	"keyfob/events"
)

// candidate is one token and what was found about it.
type candidate struct {
	token    *Token
	evidence TokenEvidence
	rank     rank
}

// rank is the result for one token. The highest one of a user's tokens counts.
type rank uint8

const (
	notFound   rank = iota
	isLost          // right, but the token is lost
	unsendable      // the PIN is right, but no tokencode can be sent
	wrongPIN        // the tokencode is right, the PIN is not
	tooFar          // both right, outside every open window
	tooLate         // both right, but older than the last one used
	justUsed        // both right, but used last
	nextAsked       // right, if the next tokencode is right too
	right
)

// login decides a passcode, at the first step or after a new PIN was set.
func (d *decider) login() (Decision, error) {
	candidates, reason, err := d.candidates()
	if err != nil {
		return Decision{}, err
	}
	if len(candidates) == 0 {
		return d.quietly(reason), nil
	}
	best := candidates[0]
	for _, c := range candidates[1:] {
		if c.rank > best.rank {
			best = c
		}
	}
	tried := best.token
	if best.rank == notFound && len(candidates) > 1 {
		tried = nil
	}
	problem := ProblemNone
	if d.conversation != nil {
		problem = ProblemWrong
	}
	switch best.rank {
	case right:
		if best.evidence.Emergency != 0 {
			return d.inEmergency(best), nil
		}
		return d.proved(best.token, best.evidence), nil
	case nextAsked:
		d.unfit = best.evidence.Unfit
		if best.token.onDemand() {
			return d.sendCode(best), nil
		}
		return d.askNext(best), nil
	case justUsed:
		// Not a guess: the user pressed Enter twice. Someone who saw the tokencode
		// gains nothing.
		if d.conversation != nil {
			problem = ProblemReused
		}
		return d.reject(best.token, events.ReasonTokencodeReused, d.offset(best), problem), nil
	case tooLate:
		return d.fail(tried, events.ReasonTokencodeReused, d.offset(best), problem), nil
	case tooFar:
		return d.fail(tried, events.ReasonOutsideWindow, d.offset(best), problem), nil
	case isLost:
		// Both are right and the token is out of use. As with a disabled token, this
		// is not a guess.
		return d.reject(best.token, events.ReasonTokenLost, nil, problem), nil
	case unsendable:
		// The answer must not reveal that a tokencode would be sent. It looks like
		// any other refusal. Unlike other refusals for want of a usable token, the
		// record has the serial.
		return d.reject(best.token, events.ReasonNoToken, nil, ProblemNone), nil
	case wrongPIN:
		return d.fail(tried, events.ReasonBadPIN, nil, problem), nil
	case notFound:
	}
	return d.fail(tried, events.ReasonBadTokencode, nil, problem), nil
}

// candidates pairs the user's usable tokens with the evidence. If the evidence
// lacks one of them or is based on other secrets, it was made from another
// state. If no token is usable, the reason says why.
func (d *decider) candidates() ([]candidate, events.Reason, error) {
	reason := events.ReasonNoToken
	var all []candidate
	for _, serial := range d.user.Tokens {
		t := d.state.Token(serial)
		if t == nil {
			continue
		}
		if r := t.unusable(d.now); r != "" {
			reason = r
			continue
		}
		e, ok := d.evidence(t)
		if !ok {
			return nil, "", ErrStale
		}
		all = append(all, candidate{t, e, d.rank(t, e)})
	}
	return all, reason, nil
}

func (d *decider) evidence(t *Token) (TokenEvidence, bool) {
	for _, e := range d.command.Evidence.Tokens {
		if e.speaksOf(t) {
			return e, true
		}
	}
	return TokenEvidence{}, false
}

func (d *decider) rank(t *Token, e TokenEvidence) rank {
	switch {
	case !e.Found:
		return notFound
	case !e.PIN:
		return wrongPIN
	case t.Lost != nil:
		if r, ok := d.rankLost(t, e); ok {
			return r
		}
	}
	switch {
	case t.onDemand() && e.Unsendable:
		return unsendable
	case t.onDemand():
		return nextAsked
	}
	switch t.tier(&d.state.Policy, e.Interval, d.now) {
	case small:
		if t.NextTokencode && !d.exempt(t) {
			return nextAsked
		}
		return right
	case medium:
		return nextAsked
	case large:
		if t.NextTokencode {
			return nextAsked
		}
		return tooFar
	case reused:
		return justUsed
	case spent:
		return tooLate
	case beyond:
	}
	return tooFar
}

// exempt reports whether Next Tokencode mode does not apply to the client:
// failures led to it, and this trusted client cannot ask for the next
// tokencode. Otherwise a stranger could lock its users out (T-14).
func (d *decider) exempt(t *Token) bool {
	return t.Guessed && d.budget != OfStrangers && d.command.NoChallenge && int(d.user.lock(d.budget).Failures) < d.state.Policy.NextTokencodeAfter
}

// offset is how far a tokencode was from the expected interval, for the help
// desk.
func (d *decider) offset(c candidate) *int64 {
	if c.evidence.Emergency != 0 {
		return nil
	}
	o := c.evidence.Interval - c.token.expected(d.now)
	return &o
}

// askNext uses up the tokencode and asks for the one after it.
func (d *decider) askNext(c candidate) Decision {
	reason := events.ReasonDrift
	if c.token.NextTokencode {
		reason = events.ReasonTooManyFailures
	}
	if d.command.NoChallenge {
		return d.reject(c.token, reason, d.offset(c), ProblemNone)
	}
	use := d.use(c.token, c.evidence.Interval)
	return d.ask(c.token, events.StepNextTokencode, reason, &use, ProblemNone)
}

// nextTokencode decides the next tokencode: one of the intervals after the
// first.
func (d *decider) nextTokencode(t *Token, e TokenEvidence) (Decision, error) {
	after := e.Interval - d.conversation.First
	switch {
	case e.Found && e.PIN && after == 0:
		return d.reject(t, events.ReasonTokencodeReused, nil, ProblemReused), nil
	case e.Found && e.PIN && after > 0 && (after <= d.state.Policy.NextTokencodeWithin || t.onDemand()) && e.Interval > t.Last:
		return d.proved(t, e), nil
	}
	return d.fail(t, events.ReasonNextTokencodeWrong, nil, ProblemNone), nil
}

// proved continues after token and PIN are proved: with a new PIN if one is
// due, otherwise the user is accepted.
func (d *decider) proved(t *Token, e TokenEvidence) Decision {
	use := d.use(t, e.Interval)
	if reason := d.pinDue(t, e); reason != "" {
		if d.command.NoChallenge || d.state.Unclaimed(t) {
			return d.reject(t, reason, nil, ProblemNone)
		}
		d.moveDrift(t, use)
		return d.ask(t, t.newPINStep(&d.state.Policy), reason, &use, ProblemNone)
	}
	d.draft(events.PasscodeAccepted{User: d.user.Name, Use: use})
	d.moveDrift(t, use)
	if t.Lost != nil {
		d.draft(events.TokenFound{Serial: t.Serial, User: d.user.Name})
	}
	if old := d.state.Token(t.Replaces); old != nil && old.User == d.user.Name {
		d.draft(events.TokenReplaced{Serial: t.Serial, Old: old.Serial, User: d.user.Name})
	}
	d.resetFailures()
	return d.done()
}

// pinDue returns why a new PIN must be set before the user is accepted, or an
// empty reason.
func (d *decider) pinDue(t *Token, e TokenEvidence) events.Reason {
	reason := t.needsPIN(&d.state.Policy, d.now)
	if reason == "" && (e.Unfit || d.conversation != nil && d.conversation.Unfit) {
		return events.ReasonPINChangeRequired
	}
	return reason
}

// inEmergency accepts a user by an emergency tokencode. It replaces the token,
// not the PIN: a PIN that is due must be set first. Without a PIN the
// tokencode, which was passed on by word of mouth, is not accepted.
func (d *decider) inEmergency(c candidate) Decision {
	use := events.Use{Serial: c.token.Serial, Kind: c.token.Kind, Emergency: c.evidence.Emergency}
	if reason := d.pinDue(c.token, c.evidence); reason != "" {
		if d.command.NoChallenge || reason == events.ReasonPINNotSet {
			return d.reject(c.token, reason, nil, ProblemNone)
		}
		return d.ask(c.token, c.token.newPINStep(&d.state.Policy), reason, &use, ProblemNone)
	}
	d.draft(events.PasscodeAccepted{User: d.user.Name, Use: use})
	d.resetFailures()
	return d.done()
}

func (d *decider) resetFailures() {
	if d.user.Failures > 0 {
		d.draft(events.FailuresReset{User: d.user.Name, Failures: d.user.Failures})
	}
}

// use is the record of a used interval and of the drift that it shows.
func (d *decider) use(t *Token, interval int64) events.Use {
	u := events.Use{Serial: t.Serial, Kind: t.Kind, Interval: interval}
	if t.timed() {
		u.Drift = interval - tokencode.Interval(t.params(), d.now.Std())
		if c := d.conversation; c != nil && c.Step == events.StepNextTokencode {
			// A tokencode that is typed late does not mean that the clock is slow. The
			// first one showed the drift.
			u.Drift = max(u.Drift, c.Drift)
		}
	}
	return u
}

func (d *decider) moveDrift(t *Token, u events.Use) {
	if t.timed() && u.Drift != t.Drift {
		d.draft(events.DriftAdjusted{Serial: t.Serial, User: d.user.Name, From: t.Drift, Drift: u.Drift})
	}
}

// refusePIN ends a conversation with too many unfit PINs. The user has proved
// the token and is told which rule the last PIN broke.
func (d *decider) refusePIN(t *Token, problem Problem) Decision {
	d.draft(events.PasscodeRejected{
		User: d.user.Name, Serial: t.Serial, Kind: t.Kind, Reason: events.ReasonNewPINRefused, Ended: true, Problem: string(problem),
	})
	return d.done()
}

// newPIN decides an answer to one of the steps that set a PIN.
func (d *decider) newPIN(t *Token, e *PINEvidence) (Decision, error) {
	if e == nil || e.Revision != t.PINRevision+1 {
		return Decision{}, ErrStale
	}
	switch {
	case e.Problem != ProblemNone:
		if int(d.conversation.Rounds)+1 >= d.state.Policy.PINRounds {
			return d.refusePIN(t, e.Problem), nil
		}
		step := d.conversation.Step
		if step == events.StepConfirmPIN {
			step = events.StepNewPIN
		}
		return d.ask(t, step, events.ReasonNewPINRefused, nil, e.Problem), nil
	case len(e.Sealed) != 0:
		d.draft(events.PINSet{
			Serial: t.Serial, User: d.user.Name, Revision: e.Revision, Sealed: e.Sealed, Generated: e.Generated,
		})
		return d.ask(t, events.StepLogin, "", nil, ProblemNone), nil
	case e.Typed:
		return d.ask(t, events.StepConfirmPIN, "", nil, ProblemNone), nil
	}
	return d.ask(t, events.StepNewPIN, "", nil, ProblemNone), nil
}
