package engine

import (
	"bytes"

	"keyfob/engine/tokencode"
	"keyfob/events"
)

// ActivationCode is a temporary PIN that comes into being with the command that
// would otherwise leave its token without any, where the policy asks for one
// (FirstPIN). It is sealed on the node that was asked, which alone has seen it.
type ActivationCode struct {
	Revision uint64 `cbor:"1,keyasint"` // that Sealed is sealed to: the token's next
	Sealed   []byte `cbor:"2,keyasint"`
}

// Unclaimed reports whether a token has an owner and no PIN, and no login can
// set one: its tokencodes alone claim nothing under this policy, or it has none
// until there is a PIN. Somebody has to give it a temporary PIN.
func (s *State) Unclaimed(t *Token) bool {
	return t.wantsPIN() && (t.onDemand() || s.Policy.FirstPIN == FirstPINByActivationCode)
}

// wantsPIN reports whether a token has an owner, but not the PIN that it needs.
func (t *Token) wantsPIN() bool {
	return t.User != "" && len(t.PIN) == 0 && t.pinStyle() != tokencode.NoPIN
}

// ToActivate is the token that a command would leave unclaimed, as it would
// then be; nil when the command needs no activation code.
func ToActivate(s *State, c Command) *Token {
	var left Token
	switch c := c.(type) {
	case ImportToken:
		left = *newToken(0, c.Token)
		left.User, left.PIN = c.User, c.PIN
	case AssignToken:
		t := s.Token(c.Serial)
		if t == nil || t.User != "" {
			return nil
		}
		left = *t
		left.User = c.User
	case ClearPIN:
		t := s.Token(c.Serial)
		if t == nil {
			return nil
		}
		left = *t
		left.PIN = nil
	case ReplaceToken:
		old, t := s.Token(c.Old), s.Token(c.Serial)
		if old == nil || t == nil || len(c.PIN) != 0 {
			return nil
		}
		left = *t
		left.User = old.User
	default:
		return nil
	}
	if s.Policy.FirstPIN != FirstPINByActivationCode || !left.wantsPIN() {
		return nil
	}
	return &left
}

// Activated is the command with an activation code for the token of ToActivate.
func Activated(c Command, code ActivationCode) Command {
	switch c := c.(type) {
	case ImportToken:
		c.Activation = &code
		return c
	case AssignToken:
		c.Activation = &code
		return c
	case ClearPIN:
		c.Activation = &code
		return c
	case ReplaceToken:
		c.Activation = &code
		return c
	default:
		return c
	}
}

// activate adds to the facts that leave a token to a user the one that sets its
// activation code, if one came along.
func (t *Token) activate(facts []events.Event, user string, code *ActivationCode) ([]events.Event, error) {
	switch {
	case code == nil:
		return facts, nil
	case user == "" || len(code.Sealed) == 0 || code.Revision != t.PINRevision+1 || t.pinStyle() == tokencode.NoPIN:
		return nil, refuse(Conflict, "token %s was changed meanwhile; try again", t.Serial)
	}
	return append(facts, events.PINSet{Serial: t.Serial, User: user, Revision: code.Revision, Sealed: code.Sealed, Temporary: true}), nil
}

// has reports whether it is this code that a token has as its PIN: the command
// that brought it has been carried out before.
func (t *Token) has(code *ActivationCode) bool {
	return code != nil && len(t.PIN) != 0 && bytes.Equal(t.PIN, code.Sealed)
}
