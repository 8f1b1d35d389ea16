package engine

import (
	"bytes"

	"keyfob/engine/tokencode"
	"keyfob/events"
)

// ActivationCode is a temporary PIN, made together with a command that would
// otherwise leave its token without a PIN, if the policy requires one
// (FirstPIN). It is sealed on the receiving node; no other node sees it.
type ActivationCode struct {
	Revision uint64 `cbor:"1,keyasint"` // to which Sealed is sealed; the token's next
	Sealed   []byte `cbor:"2,keyasint"`
}

// Unclaimed reports whether a token has a user and no PIN, and no login can set
// one: the policy does not accept its tokencode alone, its user is an
// administrator, or none is sent without a PIN. An administrator must set a
// temporary PIN.
func (s *State) Unclaimed(t *Token) bool {
	return t.wantsPIN() && (t.onDemand() || s.activates(t.User))
}

// activates reports whether a token of a user without a PIN needs an activation
// code. That of an administrator always does: who finds the token must not become
// an administrator.
func (s *State) activates(user string) bool {
	u := s.User(user)
	return s.Policy.FirstPIN == FirstPINByActivationCode || u != nil && u.Role != ""
}

// withoutPIN reports whether the tokencode of a token alone is its passcode.
func (t *Token) withoutPIN() bool { return t.pinStyle() == tokencode.NoPIN }

// wantsPIN reports whether a token has a user, but lacks the PIN that it needs.
func (t *Token) wantsPIN() bool {
	return t.User != "" && len(t.PIN) == 0 && t.pinStyle() != tokencode.NoPIN
}

// activating is a command that may leave a token of a user without a PIN.
type activating interface {
	Command
	// leaves returns the token after the command, or nil.
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

// ToActivate returns the token that a command would leave unclaimed, as it
// would then be, or nil if the command needs no activation code.
func ToActivate(s *State, c Command) *Token {
	a, ok := c.(activating)
	if !ok {
		return nil
	}
	if t := a.leaves(s); t != nil && t.wantsPIN() && s.activates(t.User) {
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

// activate adds the event that sets the activation code, if there is one, to
// events that give a token to a user.
func (t *Token) activate(facts []events.Event, user string, code *ActivationCode) ([]events.Event, error) {
	switch {
	case code == nil:
		return facts, nil
	case user == "" || len(code.Sealed) == 0 || code.Revision != t.PINRevision+1 || t.pinStyle() == tokencode.NoPIN:
		return nil, changedMeanwhile(t)
	}
	return append(facts, events.PINSet{Serial: t.Serial, User: user, Revision: code.Revision, Sealed: code.Sealed, Temporary: true}), nil
}

// has reports whether this code is the token's PIN: its command was carried out
// before.
func (t *Token) has(code *ActivationCode) bool {
	return code != nil && len(t.PIN) != 0 && bytes.Equal(t.PIN, code.Sealed)
}
