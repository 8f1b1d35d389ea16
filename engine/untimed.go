package engine

import "keyfob/events"

// DecideUntimed is Decide while no clock is trusted: the time is at least now.
// The error may be ErrUntimed. For a login, set Authenticate.Untimed instead.
func DecideUntimed(s *State, o events.Origin, c Command, now events.Time) (Decision, error) {
	if r, ok := c.(ResynchronizeToken); ok { // the drift would be that of this clock
		if t := s.Token(r.Evidence.Serial); t != nil && t.timed() {
			return Decision{}, ErrUntimed
		}
	}
	if _, ok := c.(Approve); ok { // the approval may have expired
		return Decision{}, ErrUntimed
	}
	return Decide(s, o, c, now)
}

// NeedsTime reports whether an attempt of this user can only be decided with
// the time. It can be decided without if every token that may be usable is an
// event token without an end. A user who is unknown or has no usable token must
// look like one with time-based tokens.
func (s *State) NeedsTime(u *User, now events.Time) bool {
	if u == nil {
		return true
	}
	usable := false
	for _, serial := range u.Tokens {
		t := s.Token(serial)
		switch {
		case t == nil, t.Disabled, !t.Expires.IsZero() && now >= t.Expires:
			// unusable at any time
		case t.needsTime(&s.Policy, now):
			return true
		default:
			usable = true
		}
	}
	return !usable
}

// needsTime reports whether anything about the token depends on the time. An
// end in the future may have come since the last known time.
func (t *Token) needsTime(p *Policy, now events.Time) bool {
	ends := !t.Expires.IsZero() || t.Lost != nil || t.hasPIN() && p.PINLifetime > 0
	return t.timed() || t.onDemand() || ends || now < t.Born
}
