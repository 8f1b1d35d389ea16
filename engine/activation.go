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

// activating is a command that may leave a token to a user without a PIN.
type activating interface {
	Command
	// leaves is the token as the command leaves it; nil when it leaves none.
	leaves(s *State) *Token
	with(ActivationCode) Command
}

func (c ImportToken) leaves(*State) *Token {
	t := newToken(0, c.Token)
	t.User, t.PIN = c.User, c.PIN
	return t
}

func (c AssignToken) leaves(s *State) *Token {
	t := s.Token(c.Serial)
	if t == nil || t.User != "" {
		return nil
	}
	left := *t
	left.User = c.User
	return &left
}

func (c ClearPIN) leaves(s *State) *Token {
	t := s.Token(c.Serial)
	if t == nil {
		return nil
	}
	left := *t
	left.PIN = nil
	return &left
}

func (c ReplaceToken) leaves(s *State) *Token {
	old, t := s.Token(c.Old), s.Token(c.Serial)
	if old == nil || t == nil || len(c.PIN) != 0 {
		return nil
	}
	left := *t
	left.User = old.User
	return &left
}

func (c ImportToken) with(code ActivationCode) Command  { c.Activation = &code; return c }
func (c AssignToken) with(code ActivationCode) Command  { c.Activation = &code; return c }
func (c ClearPIN) with(code ActivationCode) Command     { c.Activation = &code; return c }
func (c ReplaceToken) with(code ActivationCode) Command { c.Activation = &code; return c }

// ToActivate returns the token that a command would leave unclaimed, as it would
// then be, or nil when the command needs no activation code.
func ToActivate(s *State, c Command) *Token {
	a, ok := c.(activating)
	if !ok || s.Policy.FirstPIN != FirstPINByActivationCode {
		return nil
	}
	if t := a.leaves(s); t != nil && t.wantsPIN() {
		return t
	}
	return nil
}

// Activated returns the command with an activation code for the token of
// ToActivate.
func Activated(c Command, code ActivationCode) Command {
	if a, ok := c.(activating); ok {
		return a.with(code)
	}
	return c
}

// activate adds to the facts that leave a token to a user the one that sets its
// activation code, if one came along.
func (t *Token) activate(facts []events.Event, user string, code *ActivationCode) ([]events.Event, error) {
	switch {
	case code == nil:
		return facts, nil
	case user == "" || len(code.Sealed) == 0 || code.Revision != t.PINRevision+1 || t.pinStyle() == tokencode.NoPIN:
		return nil, changedMeanwhile(t)
	}
	return append(facts, events.PINSet{Serial: t.Serial, User: user, Revision: code.Revision, Sealed: code.Sealed, Temporary: true}), nil
}

// has reports whether it is this code that a token has as its PIN: the command
// that brought it has been carried out before.
func (t *Token) has(code *ActivationCode) bool {
	return code != nil && len(t.PIN) != 0 && bytes.Equal(t.PIN, code.Sealed)
}
