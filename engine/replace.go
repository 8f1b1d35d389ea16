package engine

import "keyfob/events"

// ReplaceToken gives a user a token that replaces another at its first success.
// PIN is the PIN of the other token, if it moves.
type ReplaceToken struct {
	Old        string          `cbor:"1,keyasint"`
	Serial     string          `cbor:"2,keyasint"`
	Revision   uint64          `cbor:"3,keyasint,omitempty"` // to which PIN is sealed
	PIN        []byte          `cbor:"4,keyasint,omitempty"`
	Activation *ActivationCode `cbor:"5,keyasint,omitempty"` // see ToActivate
}

// KeepsPIN reports whether, by default, the PIN of a token moves to the one
// that replaces it: by policy, and if both have the same PIN style.
func (s *State) KeepsPIN(old, serial string) bool {
	from, to := s.Token(old), s.Token(serial)
	return s.Policy.ReplaceKeepsPIN && from != nil && to != nil && from.pinStyle() == to.pinStyle()
}

func (c ReplaceToken) decide(s *State, now events.Time) ([]events.Event, error) {
	old, err := s.mustToken(c.Old)
	if err != nil {
		return nil, err
	}
	t, err := s.mustToken(c.Serial)
	switch {
	case err != nil:
		return nil, err
	case old.User == "":
		return nil, refuse(Conflict, "token %s is not assigned to a user; assign %s instead", old.Serial, t.Serial)
	case t.User != "":
		return nil, refuse(Conflict, "token %s belongs to %s; unassign it first", t.Serial, t.User)
	case len(c.PIN) != 0 && c.Revision != t.PINRevision+1:
		return nil, changedMeanwhile(t)
	case len(c.PIN) != 0 && t.pinStyle() != old.pinStyle():
		return nil, refuse(Conflict, "the PIN cannot move from token %s to %s: their PIN styles differ", old.Serial, t.Serial)
	}
	u, err := s.mustUser(old.User)
	if err != nil {
		return nil, err
	}
	facts, err := t.assignTo(u, s.Policy.TokensPerUser+1) // until it has replaced the other
	if err != nil {
		return nil, err
	}
	facts = append(facts, events.ReplacementAssigned{Serial: t.Serial, Old: old.Serial, User: old.User})
	if len(c.PIN) != 0 {
		return append(facts, events.PINSet{
			Serial: t.Serial, User: old.User, Revision: c.Revision, Sealed: c.PIN,
			Temporary: old.needsPIN(&s.Policy, now) != "", // a PIN that must be changed still must be
		}), nil
	}
	return t.activate(facts, old.User, c.Activation)
}
