package engine

import (
	"keyfob/events"
)

// attempt is what the journal says about one attempt: the answer and its
// consequences.
type attempt struct {
	records []events.Record
	at      events.Time
	origin  events.Origin
	user    string
	answer  Answer
	counted bool // as a failure
	seen    seen // about the token, according to the answer
	purpose Purpose
	newPIN  PINEvidence          // if the step sets one
	within  *events.Conversation // the one that it answers; nil at the first step
}

// seen is what Check must have found about the token.
type seen struct {
	serial    string
	found     bool
	pin       bool
	unfit     bool
	interval  int64
	offset    *int64 // of the interval from the expected one
	drift     int64
	emergency uint8
}

// together reports whether two records belong to one attempt. Commands are
// folded record by record.
func together(a, b events.Record) bool {
	return a.Origin.Request == b.Origin.Request && !a.Origin.Request.IsZero() && a.Time == b.Time &&
		a.Origin.Actor == "" && b.Origin.Actor == ""
}

// attemptOf reconstructs an attempt from its records. Records of commands, and
// refusals that changed nothing, are no attempt.
func attemptOf(records []events.Record) (attempt, bool) {
	a := attempt{records: records}
	known := false
	for _, r := range records {
		switch e := r.Event.(type) {
		case events.AttemptEvent:
			if answer, ok := answerOf(r.Time, r.Draft); ok && r.Origin.Actor == "" {
				a.answer, a.at, a.origin = answer, r.Time, r.Origin
				known = a.look(e)
			}
		case events.FailureCounted:
			a.counted = true
		case events.PINSet:
			a.newPIN.Sealed, a.newPIN.Generated = e.Sealed, e.Generated
		default:
		}
	}
	return a, known
}

// look records what an answer says about the attempt, and reports whether it is
// enough to decide it again.
func (a *attempt) look(e events.AttemptEvent) bool {
	switch e := e.(type) {
	case events.PasscodeAccepted:
		a.user, a.seen = e.User, used(e.Use)
	case events.TokenResynchronized:
		a.user, a.seen, a.purpose = e.User, used(e.Use), ToResynchronize
	case events.PasscodeChallenged:
		c := e.Conversation
		a.user, a.seen = e.User, seen{serial: c.Serial, found: true, pin: true}
		if e.Use != nil {
			a.seen = used(*e.Use)
		}
		a.seen.unfit = e.Reason == events.ReasonPINChangeRequired
		a.newPIN.Problem, a.newPIN.Typed = Problem(c.Problem), c.Step == events.StepConfirmPIN
	case events.PasscodeRejected:
		a.user = e.User
		a.refused(e)
		return !e.Quiet
	case events.CallerProofShown, events.CallerProofRefused:
		return false // no setting under test changes them
	}
	return true
}

func used(u events.Use) seen {
	return seen{serial: u.Serial, found: true, pin: true, interval: u.Interval, drift: u.Drift, emergency: u.Emergency}
}

// refused records what the reason of a refusal says about the token.
func (a *attempt) refused(e events.PasscodeRejected) {
	a.seen = seen{serial: e.Serial, offset: e.Offset}
	switch e.Reason {
	case events.ReasonBadPIN:
		a.seen.found = true
	case events.ReasonTokencodeReused, events.ReasonOutsideWindow, events.ReasonDrift, events.ReasonTooManyFailures, events.ReasonTokenLost,
		events.ReasonPINNotSet, events.ReasonPINExpired, events.ReasonPINChangeRequired:
		a.seen.found, a.seen.pin = true, true
		a.seen.unfit = e.Reason == events.ReasonPINChangeRequired
	case events.ReasonThrottled: // without a token: too early; with one: too many tokencodes were sent
		a.seen.found, a.seen.pin = e.Serial != "", e.Serial != ""
	case events.ReasonNewPINRefused:
		a.newPIN.Problem = ProblemWrong
	}
}

// read returns a function that makes the evidence for a state such that the
// attempt has the result that it had. Without one, what was counted as a
// failure is a wrong guess.
//
// The journal does not say whether a user who was accepted started a new
// conversation, nor whether the client could show a challenge. The first
// assumption with the same result is used.
func (s *Simulation) read(a *attempt) (func(*State) Authenticate, bool) {
	within := s.answers(a)
	for _, a.within = range []*events.Conversation{within, nil} {
		for _, silent := range []bool{false, true} {
			command := func(st *State) Authenticate { return s.command(a, st, silent) }
			if d, err := DecideLogin(s.was, a.origin, command(s.was), a.at); err == nil && a.cameTo(d) {
				return command, true
			}
		}
		if a.answer.Verdict != Accept {
			break
		}
	}
	a.within = within
	return a.wrongGuess, a.counted
}

// answers returns the conversation that an attempt may answer.
func (s *Simulation) answers(a *attempt) *events.Conversation {
	u := s.was.User(a.user)
	if u == nil || u.Conversation == nil {
		return nil
	}
	for _, r := range a.records {
		switch e := r.Event.(type) {
		case events.PasscodeRejected:
			if e.Conversation == nil && !e.Ended {
				return nil
			}
		case events.PasscodeChallenged:
			if e.Conversation.ID != u.Conversation.ID {
				return nil
			}
			if e.Conversation.Extensions > u.Conversation.Extensions {
				a.purpose = ToExtend
			}
		case events.TokenResynchronized:
			return nil
		default:
		}
	}
	return u.Conversation
}

// cameTo reports whether a decision is the actual result of the attempt.
func (a *attempt) cameTo(d Decision) bool {
	counted := false
	for _, draft := range d.Drafts {
		_, failure := draft.Event.(events.FailureCounted)
		counted = counted || failure
	}
	return d.Answer.Verdict == a.answer.Verdict && d.Answer.Reason == a.answer.Reason &&
		d.Answer.step() == a.answer.step() && counted == a.counted
}

// step returns the step that an answer asks for.
func (a Answer) step() events.Step {
	if a.Conversation == nil {
		return events.StepNone
	}
	return a.Conversation.Step
}

// command returns what Check would have found on a state.
func (s *Simulation) command(a *attempt, st *State, silent bool) Authenticate {
	c := a.wrongGuess(st)
	c.NoChallenge, c.Purpose = silent, a.purpose
	if a.within != nil {
		c.Conversation, c.Turn = a.within.ID, a.within.Turn
		switch a.within.Step {
		case events.StepNextTokencode:
			c.Evidence.Tokens = tokenAlone(st, a.within.Serial)
		case events.StepChoosePIN, events.StepGeneratePIN, events.StepNewPIN, events.StepConfirmPIN:
			c.Evidence.Tokens = tokenAlone(st, a.within.Serial)
			e := a.newPIN
			if t := st.Token(a.within.Serial); t != nil {
				e.Revision = t.PINRevision + 1
			}
			c.Evidence.PIN = &e
		case events.StepNone, events.StepLogin:
		}
	}
	for i, e := range c.Evidence.Tokens {
		if e.Serial == a.seen.serial {
			c.Evidence.Tokens[i] = s.evidence(a, st, e)
		}
	}
	return c
}

// wrongGuess returns an attempt in which nothing was right.
func (a *attempt) wrongGuess(st *State) Authenticate {
	c := Authenticate{User: a.user}
	if u := st.User(a.user); u != nil {
		for _, serial := range u.Tokens {
			c.Evidence.Tokens = append(c.Evidence.Tokens, tokenAlone(st, serial)...)
		}
	}
	return c
}

func tokenAlone(st *State, serial string) []TokenEvidence {
	t := st.Token(serial)
	if t == nil {
		return nil
	}
	return []TokenEvidence{{Serial: serial, Revision: t.Revision}}
}

// evidence returns what was found about the token. The interval is derived from
// the clock as it was actually believed to be.
func (s *Simulation) evidence(a *attempt, st *State, e TokenEvidence) TokenEvidence {
	t := s.was.Token(e.Serial)
	if t == nil {
		return e
	}
	e.Found, e.PIN, e.Emergency, e.Interval = a.seen.found, a.seen.pin, a.seen.emergency, a.seen.interval
	switch {
	case a.seen.offset != nil:
		e.Interval = t.expected(a.at) + *a.seen.offset
	case e.Interval != 0 || e.Emergency != 0:
	case a.answer.Reason == events.ReasonTokencodeReused && a.within != nil:
		e.Interval = a.within.First
	case t.onDemand():
		e.Interval = int64(a.at)
	default:
		e.Interval = max(t.expected(a.at), t.Last+1)
	}
	e.Unfit = a.seen.unfit
	if _, renewed := s.renewed[t.Serial]; st == s.would && a.seen.pin && t.hasPIN() {
		e.Unfit = !renewed && (e.Unfit || t.outdated(&s.was.Policy, &st.Policy, a.at))
	}
	return e
}
