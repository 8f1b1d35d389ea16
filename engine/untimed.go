package engine

import "keyfob/events"

// DecideUntimed is Decide while no clock is trusted: of now it is only known
// that it has passed. The error may be ErrUntimed. For a login, set
// Authenticate.Untimed instead.
func DecideUntimed(s *State, o events.Origin, c Command, now events.Time) (Decision, error) {
	if r, ok := c.(ResynchronizeToken); ok { // the drift would be that of our clock
		if t := s.Token(r.Evidence.Serial); t != nil && t.timed() {
			return Decision{}, ErrUntimed
		}
	}
	return Decide(s, o, c, now)
}

// NeedsTime reports whether what this user types can only be decided with the
// time. It can without where every token that may be usable shows codes by
// presses, and nothing of it ends. A user who is unknown, or has nothing that is
// usable, is not to be told from one whose tokens follow a clock.
func (s *State) NeedsTime(u *User, now events.Time) bool {
	if u == nil {
		return true
	}
	usable := false
	for _, serial := range u.Tokens {
		t := s.Token(serial)
		switch {
		case t == nil, t.Disabled, !t.Expires.IsZero() && now >= t.Expires:
			// of no use, whatever the time is
		case t.needsTime(&s.Policy, now):
			return true
		default:
			usable = true
		}
	}
	return !usable
}

// needsTime reports whether the time says anything about the token. An end that
// lies ahead of the last time that was known may have come since.
func (t *Token) needsTime(p *Policy, now events.Time) bool {
	ends := !t.Expires.IsZero() || t.Lost != nil || t.hasPIN() && p.PINLifetime > 0
	return t.timed() || t.onDemand() || ends || now < t.Born
}
