package diagnosis

import (
	"keyfob/engine"
	"keyfob/events"
)

// Refusal is an attempt that was refused, or that led to a question, as the
// journal records it.
type Refusal struct {
	Reason  events.Reason
	User    string
	Serial  string         // where the token could be told
	Offset  *int64         // of the tokencode from where the token's clock was believed to be
	Problem engine.Problem // the rule that the last new PIN broke
	Quiet   bool           // the attempt was not checked
	EndedBy events.Event   // the administrator's command that ended the conversation
}

// RefusalOf reads a refusal from its event.
func RefusalOf(e events.PasscodeRejected) Refusal {
	return Refusal{Reason: e.Reason, User: e.User, Serial: e.Serial, Offset: e.Offset, Problem: engine.Problem(e.Problem), Quiet: e.Quiet}
}

// Detail is what the reason of a refusal alone does not say. The set is closed.
//
//sumtype:decl
type Detail interface{ detail() }

// The details.
type (
	// NoDetail adds nothing to the reason.
	NoDetail struct{}

	// ClockOffset is how far the tokencode was from where the token's clock, or
	// counter, was believed to be.
	ClockOffset struct {
		Offset int64 // intervals, or presses; less than 0: slow, or behind
		Event  bool  // the token counts presses
		Window int64 // the largest window that the offset lies outside of; 0: none
	}

	// WrongSentTokencode says that the tokencode was not the one that was sent.
	WrongSentTokencode struct{}

	// CannotSend says that the node has no way of sending a tokencode.
	CannotSend struct{}

	// SourceThrottled says that too many attempts of the address or the client
	// have failed.
	SourceThrottled struct{}

	// TooManySent says that the hourly limit of sent tokencodes was reached.
	TooManySent struct{}

	// ResyncNotAllowed says that users may not resynchronize their tokens.
	ResyncNotAllowed struct{}

	// BrokenRule is the rule that the last new PIN broke.
	BrokenRule struct{ Problem engine.Problem }

	// Ended is the administrator's command that ended the conversation.
	Ended struct{ By events.Event }
)

func (NoDetail) detail()           {}
func (ClockOffset) detail()        {}
func (WrongSentTokencode) detail() {}
func (CannotSend) detail()         {}
func (SourceThrottled) detail()    {}
func (TooManySent) detail()        {}
func (ResyncNotAllowed) detail()   {}
func (BrokenRule) detail()         {}
func (Ended) detail()              {}

// Detail says what the state and the event add to the reason.
func (r Refusal) Detail(s *engine.State) Detail {
	t := s.Token(r.Serial)
	sent := t != nil && t.Kind == engine.KindOnDemand
	switch {
	case r.Offset != nil && t != nil && !sent && r.ofClock():
		return ClockOffset{*r.Offset, t.Period == 0, outside(t.WindowIn(s.Policy), r.Reason, *r.Offset)}
	case r.Reason == events.ReasonNextTokencodeWrong && sent:
		return WrongSentTokencode{}
	case r.Reason == events.ReasonNoToken && sent:
		return CannotSend{}
	case r.Reason == events.ReasonThrottled && r.User == "":
		return SourceThrottled{}
	case r.Reason == events.ReasonThrottled && sent:
		return TooManySent{}
	case r.Reason == events.ReasonThrottled && r.Quiet:
		return ResyncNotAllowed{}
	case r.EndedBy != nil:
		return Ended{r.EndedBy}
	case r.Problem != engine.ProblemNone:
		return BrokenRule{r.Problem}
	}
	return NoDetail{}
}

// ofClock reports whether the offset matters to the reason.
func (r Refusal) ofClock() bool {
	return r.TellsClock() || r.Reason == events.ReasonTokencodeReused
}

// TellsClock reports whether the refusal shows where the token's clock is. That
// remains so until something changes the clock, or what is believed of it.
func (r Refusal) TellsClock() bool {
	switch r.Reason {
	case events.ReasonOutsideWindow, events.ReasonDrift, events.ReasonTooManyFailures:
		return r.Offset != nil
	default:
		return false
	}
}

// outside is the largest window that an offset lies outside of, where the
// attempt was refused for it.
func outside(w engine.Window, reason events.Reason, offset int64) int64 {
	if reason != events.ReasonOutsideWindow && reason != events.ReasonDrift {
		return 0
	}
	for _, reach := range []int64{w.Large, w.Medium, w.Small} {
		if max(offset, -offset) > reach {
			return reach
		}
	}
	return 0
}

// typed reports whether the user was refused for what was typed rather than for
// how things stood. How things stand now, the state says.
func (r Refusal) typed() bool {
	switch r.Reason {
	case events.ReasonUserUnknown, events.ReasonUserDisabled, events.ReasonUserLocked, events.ReasonTokenDisabled,
		events.ReasonTokenExpired, events.ReasonTokenLost, events.ReasonClockSkew, events.ReasonThrottled,
		events.ReasonPINNotSet, events.ReasonPINExpired, events.ReasonPINChangeRequired:
		return false
	case events.ReasonNoToken:
		return r.Serial != "" // the token exists and cannot be sent to
	default:
		return true
	}
}

// token is the token that a refusal concerns: the one that it names, the user's
// only one, or the first one that is unusable for the same reason. It is nil
// where that cannot be told.
func (r Refusal) token(s *engine.State, now events.Time) *engine.Token {
	u := s.User(r.User)
	if r.Serial != "" || u == nil {
		return s.Token(r.Serial)
	}
	for _, serial := range u.Tokens {
		t := s.Token(serial)
		if t != nil && (len(u.Tokens) == 1 || t.Unusable(now) == r.Reason) {
			return t
		}
	}
	return nil
}

// Resolved reports whether the state that a user was refused for no longer
// holds, although nothing that the user typed was wrong.
func (r Refusal) Resolved(s *engine.State, now events.Time) bool {
	u, t := s.User(r.User), r.token(s, now)
	if u == nil {
		return false
	}
	switch r.Reason {
	case events.ReasonUserDisabled:
		return !u.Disabled
	case events.ReasonUserLocked:
		return !u.Strangers.Locked(now) && !u.Trusted.Locked(now)
	case events.ReasonNoToken:
		return r.Serial == "" && len(u.Tokens) > 0
	case events.ReasonTokenDisabled, events.ReasonTokenExpired:
		return t == nil || t.Unusable(now) != r.Reason
	case events.ReasonTokenLost:
		return t != nil && t.Lost == nil
	case events.ReasonPINNotSet, events.ReasonPINExpired, events.ReasonPINChangeRequired:
		return t != nil && s.PINDue(t, now) == "" && !s.PINDoubted(t)
	default:
		return false
	}
}
