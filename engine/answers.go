package engine

import (
	"slices"
	"time"

	"keyfob/events"
)

// maxRepeats bounds how often one answer is given again: once for each other
// node.
const maxRepeats = 8

// answered returns the answer that the same request got before.
func (u *User) answered(r events.Request, now events.Time, kept time.Duration) (Answer, bool) {
	for _, a := range u.Answers {
		if a.gave(r) && now.Sub(a.At) < kept {
			return a, true
		}
	}
	return Answer{}, false
}

// remembers reports whether a request of that ID, or a login that it identifies,
// has an answer that may be given again.
func (u *User) remembers(id events.Request, p *Policy, now events.Time) bool {
	return slices.ContainsFunc(u.Answers, func(a Answer) bool {
		return a.gave(id) && now.Sub(a.At) < p.RetryRequestFor || a.Login == id && now.Sub(a.At) < p.RetryLoginFor
	})
}

// repeatable returns the answer to a login that its gateway sends again because
// it has heard nothing from the node that it asked first: rules.md, "Retries".
// Each node gives it once. What comes to the same node in another packet is
// another login, whose answer is the one to repeat from then on. Nothing is
// repeated for a user who is barred by now.
func (d *decider) repeatable() (Answer, bool) {
	login := d.origin.Login
	if login.IsZero() || d.user.barred(d.state.budgetOf(d.origin), d.now) != "" {
		return Answer{}, false
	}
	for _, a := range slices.Backward(d.user.Answers) {
		if a.Login == login && d.now.Sub(a.At) < d.state.Policy.RetryLoginFor {
			return a, !a.asked(d.origin.Node) && len(a.Repeats) < maxRepeats
		}
	}
	return Answer{}, false
}

// gave reports whether a request got this answer.
func (a Answer) gave(r events.Request) bool {
	return a.Request == r || slices.ContainsFunc(a.Repeats, func(again Repeat) bool { return again.Request == r })
}

// asked reports whether a node has given this answer.
func (a Answer) asked(node string) bool {
	return a.Node == node || slices.ContainsFunc(a.Repeats, func(again Repeat) bool { return again.Node == node })
}

// repeated records that a node has given an answer again.
func (u *User) repeated(first events.Request, again Repeat) {
	u.Answers = slices.Clone(u.Answers)
	for i, a := range u.Answers {
		if a.Request == first {
			u.Answers[i].Repeats = append(slices.Clone(a.Repeats), again)
			return
		}
	}
}

// answerOf returns the answer that an event of an attempt gave to the user.
func answerOf(at events.Time, d events.Draft) (Answer, bool) {
	a := Answer{Request: d.Origin.Request, At: at, Reference: d.Origin.Reference, Login: d.Origin.Login}
	if !a.Login.IsZero() {
		a.Node = d.Origin.Node
	}
	attempt, ok := d.Event.(events.AttemptEvent)
	if !ok {
		return a, false
	}
	switch e := attempt.(type) {
	case events.PasscodeAccepted:
		a.Verdict = Accept
		if e.Use.Emergency == 0 {
			a.Serial = e.Use.Serial
		}
		return a, true
	case events.PasscodeRejected:
		a.Reason, a.Conversation = e.Reason, e.Conversation
		if e.Problem != "" {
			a.Problem, a.Serial = Problem(e.Problem), e.Serial
		}
		return a, e.User != ""
	case events.TokenResynchronized:
		a.Verdict = Resynchronized
		return a, e.User != "" && d.Origin.Actor == ""
	case events.CallerProofShown:
		a.Verdict, a.Until = Proved, e.Expires
		return a, true
	case events.CallerProofRefused:
		a.Reason = e.Reason
		return a, true
	case events.PasscodeChallenged:
		a.Verdict, a.Reason, a.Conversation = Challenge, e.Reason, &e.Conversation
		return a, true
	}
	return a, false
}

// applyAttempt folds the result of an attempt. The answer is kept for retries
// if there is one: a resynchronization by an administrator and a refusal of an
// unknown user have none.
func (s *State) applyAttempt(at events.Time, e events.AttemptEvent, a Answer, answered bool) {
	switch e := e.(type) {
	case events.PasscodeAccepted:
		s.changeUser(e.User, func(u *User) {
			u.Failures = 0
			for _, l := range u.locks() {
				l.succeed(at)
			}
			u.LastSuccess, u.Conversation = at, nil
			u.keep(a)
		})
		s.changeToken(e.Use.Serial, func(t *Token) {
			t.spend(at, e.Use, true)
			if t.hasPIN() {
				t.keeps(&s.Policy) // otherwise a new PIN would have been required
			}
		})
	case events.PasscodeRejected:
		s.changeUser(e.User, func(u *User) {
			if e.Quiet {
				u.QuietUntil = max(u.QuietUntil, at).Add(quietFor)
			}
			if e.Ended || e.Conversation != nil {
				u.Conversation = e.Conversation
			}
			if !e.Quiet { // a retry is refused again anyway
				u.keep(a)
			}
		})
	case events.TokenResynchronized:
		if answered {
			s.changeUser(e.User, func(u *User) { u.keep(a) })
		}
		s.resynchronized(at, e)
	case events.CallerProofShown:
		s.changeUser(e.User, func(u *User) {
			u.Proof = &CallerProof{Digest: e.Digest, Until: e.Expires}
			u.keep(a)
		})
		s.changeToken(e.Use.Serial, func(t *Token) { t.spend(at, e.Use, false) })
	case events.CallerProofRefused:
		s.changeUser(e.User, func(u *User) {
			u.ProofFailures = append(recent(u.ProofFailures, at), at)
			u.keep(a)
		})
	case events.PasscodeChallenged:
		proved := e.Conversation.Step != events.StepNextTokencode
		s.changeUser(e.User, func(u *User) {
			u.Conversation = &e.Conversation
			u.keep(a)
		})
		if e.Use != nil {
			s.changeToken(e.Use.Serial, func(t *Token) { t.spend(at, *e.Use, proved) })
		}
		if t := s.Token(e.Conversation.Serial); t != nil && t.onDemand() && !proved {
			s.changeToken(t.Serial, func(t *Token) {
				t.Sent = append(slices.Clone(t.Sent[max(0, len(t.Sent)-maxSent+1):]), at)
				t.NotSent = 0 // that concerned an earlier tokencode
			})
		}
	}
}

// keep stores an answer for retries. When there are too many, refusals are
// dropped before accepts and challenges, however old: guesses must not push out
// the answer to an honest retry.
func (u *User) keep(a Answer) {
	kept := make([]Answer, 0, maxAnswers)
	for _, old := range u.Answers {
		if a.At.Sub(old.At) <= answerFor {
			kept = append(kept, old)
		}
	}
	if len(kept) == maxAnswers {
		least := max(0, slices.IndexFunc(kept, func(old Answer) bool { return old.Verdict == Reject && old.Conversation == nil }))
		kept = slices.Delete(kept, least, least+1)
	}
	u.Answers = append(kept, a)
}

// spend records the use of a tokencode. A proved token leaves Next Tokencode
// mode.
func (t *Token) spend(at events.Time, u events.Use, proved bool) {
	if u.Emergency != 0 {
		t.spendEmergency(u.Emergency)
		return
	}
	t.Last, t.LastUse, t.NotSent = max(t.Last, u.Interval), at, 0
	if proved {
		t.NextTokencode, t.Guessed, t.Proven = false, false, true
	}
}

// spendEmergency records the use of an emergency tokencode.
func (t *Token) spendEmergency(number uint8) {
	if t.Lost != nil && !t.Lost.Fixed {
		lost := *t.Lost
		lost.Used = append(slices.Clone(lost.Used), number)
		t.Lost = &lost
	}
}

// resynchronized records the use of two consecutive tokencodes. Locks stay.
func (s *State) resynchronized(at events.Time, e events.TokenResynchronized) {
	s.changeToken(e.Use.Serial, func(t *Token) {
		t.spend(at, e.Use, true)
		t.Anchor = Seen{at, e.Use.Drift}
	})
	s.changeUser(e.User, func(u *User) {
		u.Failures = 0
		for _, l := range u.locks() {
			l.Failures, l.Wait, l.Recent = 0, 0, nil
		}
	})
}
