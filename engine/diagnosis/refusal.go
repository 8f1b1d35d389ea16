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
	Offset  *int64         // of the tokencode from the expected one
	Problem engine.Problem // the rule that the last new PIN broke
	Quiet   bool           // the attempt was not checked
	EndedBy events.Event   // the administrator's command that ended the conversation
}

// RefusalOf returns the refusal that an event records.
func RefusalOf(e events.PasscodeRejected) Refusal {
	return Refusal{Reason: e.Reason, User: e.User, Serial: e.Serial, Offset: e.Offset, Problem: engine.Problem(e.Problem), Quiet: e.Quiet}
}

// Detail is what the reason of a refusal leaves open. The set is closed.
//
//sumtype:decl
type Detail interface{ detail() }

// The details.
type (
	// NoDetail adds nothing to the reason.
	NoDetail struct{}

	// ClockOffset is the distance of the tokencode from the expected one.
	ClockOffset struct {
		Offset int64 // intervals, or presses; less than 0: slow, or behind
		Event  bool  // the token counts presses
		Window int64 // the largest window that the offset lies outside of; 0: none
	}

	// WrongSentTokencode is a tokencode other than the one that was sent.
	WrongSentTokencode struct{}

	// CannotSend is a node that is not configured to send to the address.
	CannotSend struct{}

	// SourceThrottled is an address or client with too many failed attempts.
	SourceThrottled struct{}

	// TooManySent is the hourly limit of sent tokencodes.
	TooManySent struct{}

	// ResyncNotAllowed is a policy that does not let users resynchronize.
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

// Detail returns what the event and the state add to the reason.
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

// ofClock reports whether the offset is relevant to the reason.
func (r Refusal) ofClock() bool {
	return r.TellsClock() || r.Reason == events.ReasonTokencodeReused
}

// TellsClock reports whether the refusal shows the drift of the token's clock,
// which remains until the token is resynchronized.
func (r Refusal) TellsClock() bool {
	switch r.Reason {
	case events.ReasonOutsideWindow, events.ReasonDrift, events.ReasonTooManyFailures:
		return r.Offset != nil
	default:
		return false
	}
}

// outside returns the largest window that an offset exceeds, if the attempt was
// refused for that.
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

// typed reports whether the reason was what the user typed, rather than the state
// of the user or the token, which may have changed since.
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

// token returns the token that a refusal concerns: the one that it names, the
// user's only one, or the first one that is unusable for the same reason. It is
// nil if that is ambiguous.
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

// Resolved reports whether the reason was the state of the user or the token, and
// no longer applies.
func (r Refusal) Resolved(s *engine.State, now events.Time) bool {
	u, t := s.User(r.User), r.token(s, now)
	if u == nil {
		return false
	}
	switch r.Reason {
	case events.ReasonUserDisabled:
		return !u.Disabled
	case events.ReasonUserLocked:
		locked, _ := u.Locked(now)
		return !locked
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
