package engine

import (
	"keyfob/engine/tokencode"
	"keyfob/events"
)

// Administrators' commands on the PIN of a token.
type (
	// ClearPIN takes the PIN away; the user sets a new one at the next login.
	ClearPIN struct {
		Serial     string          `cbor:"1,keyasint"`
		Activation *ActivationCode `cbor:"2,keyasint,omitempty"` // see ToActivate
	}
	// RequireNewPIN puts a token into New PIN mode. The user proves themselves
	// with the old PIN.
	RequireNewPIN struct {
		Serial string `cbor:"1,keyasint"`
	}
	// SetTemporaryPIN sets a PIN that must be changed at its first use, such as
	// one that the help desk tells a user over the telephone.
	SetTemporaryPIN struct {
		Serial   string `cbor:"1,keyasint"`
		Revision uint64 `cbor:"2,keyasint"` // to which Sealed is sealed; the token's next
		Sealed   []byte `cbor:"3,keyasint"`
	}
)

func (c ClearPIN) decide(s *State, _ events.Time) ([]events.Event, error) {
	t, err := s.mustToken(c.Serial)
	switch {
	case err != nil || t.has(c.Activation):
		return nil, err
	case t.pinStyle() == tokencode.NoPIN:
		return nil, worksWithoutPIN(t)
	}
	return t.activate([]events.Event{events.PINCleared{Serial: t.Serial, User: t.User}}, t.User, c.Activation)
}

func (c RequireNewPIN) decide(s *State, _ events.Time) ([]events.Event, error) {
	t, err := s.mustToken(c.Serial)
	switch {
	case err != nil:
		return nil, err
	case t.pinStyle() == tokencode.NoPIN:
		return nil, worksWithoutPIN(t)
	}
	return one(events.NewPINRequired{Serial: t.Serial, User: t.User, Reason: events.ReasonPINChangeRequired})
}

func (c SetTemporaryPIN) decide(s *State, _ events.Time) ([]events.Event, error) {
	t, err := s.mustToken(c.Serial)
	switch {
	case err != nil:
		return nil, err
	case t.pinStyle() == tokencode.NoPIN:
		return nil, worksWithoutPIN(t)
	case c.Revision != t.PINRevision+1 || len(c.Sealed) == 0:
		return nil, changedMeanwhile(t)
	}
	return one(events.PINSet{Serial: t.Serial, User: t.User, Revision: c.Revision, Sealed: c.Sealed, Temporary: true})
}

func worksWithoutPIN(t *Token) error {
	return refuse(Conflict, "token %s is used without a PIN", t.Serial)
}
