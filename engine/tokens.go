package engine

import "keyfob/events"

// Administrators' commands on one token. PINs, imports, losses and replacements
// are in other files.
type (
	// AssignToken gives a token to a user.
	AssignToken struct {
		Serial     string          `cbor:"1,keyasint"`
		User       string          `cbor:"2,keyasint"`
		Activation *ActivationCode `cbor:"3,keyasint,omitempty"` // see ToActivate
	}
	// UnassignToken takes a token from its user, with its PIN.
	UnassignToken struct {
		Serial string `cbor:"1,keyasint"`
	}
	EnableToken struct {
		Serial string `cbor:"1,keyasint"`
	}
	DisableToken struct {
		Serial string `cbor:"1,keyasint"`
	}
	DeleteToken struct {
		Serial string `cbor:"1,keyasint"`
	}
	// RequireNextTokencode puts a token into Next Tokencode mode.
	RequireNextTokencode struct {
		Serial string `cbor:"1,keyasint"`
	}
	// ZeroDrift resets the believed drift of a token's clock.
	ZeroDrift struct {
		Serial string `cbor:"1,keyasint"`
	}
)

func (c AssignToken) decide(s *State, _ events.Time) ([]events.Event, error) {
	t, err := s.mustToken(c.Serial)
	if err != nil {
		return nil, err
	}
	u, err := s.mustUser(c.User)
	if err != nil {
		return nil, err
	}
	facts, err := t.assignTo(u, s.Policy.TokensPerUser)
	if err != nil || len(facts) == 0 && (c.Activation == nil || t.has(c.Activation)) {
		return nil, err
	}
	return t.activate(facts, u.Name, c.Activation)
}

func (c UnassignToken) decide(s *State, _ events.Time) ([]events.Event, error) {
	t, err := s.mustToken(c.Serial)
	if err != nil {
		return nil, err
	}
	return unless(t.User == "", events.TokenUnassigned{Serial: t.Serial, User: t.User})
}

func (c EnableToken) decide(s *State, _ events.Time) ([]events.Event, error) {
	t, err := s.mustToken(c.Serial)
	if err != nil {
		return nil, err
	}
	return unless(!t.Disabled, events.TokenEnabled{Serial: t.Serial, User: t.User})
}

func (c DisableToken) decide(s *State, _ events.Time) ([]events.Event, error) {
	t, err := s.mustToken(c.Serial)
	if err != nil {
		return nil, err
	}
	return unless(t.Disabled, events.TokenDisabled{Serial: t.Serial, User: t.User})
}

func (c DeleteToken) decide(s *State, _ events.Time) ([]events.Event, error) {
	t, err := s.mustToken(c.Serial)
	if err != nil {
		return nil, err
	}
	return one(events.TokenDeleted{Serial: t.Serial, User: t.User})
}

func (c RequireNextTokencode) decide(s *State, _ events.Time) ([]events.Event, error) {
	t, err := s.mustToken(c.Serial)
	if err != nil {
		return nil, err
	}
	return one(events.NextTokencodeRequired{Serial: t.Serial, User: t.User})
}

func (c ZeroDrift) decide(s *State, _ events.Time) ([]events.Event, error) {
	t, err := s.mustToken(c.Serial)
	if err != nil {
		return nil, err
	}
	return one(events.DriftAdjusted{Serial: t.Serial, User: t.User, From: t.Drift, Forgot: true})
}

// assignTo gives a token to a user, who may have at most this many tokens.
// There is no event if the user already has it.
func (t *Token) assignTo(u *User, most int) ([]events.Event, error) {
	switch {
	case t.User == u.Name:
		return nil, nil
	case t.User != "":
		return nil, refuse(Conflict, "token %s belongs to %s; unassign it first", t.Serial, t.User)
	case len(u.Tokens) >= most:
		return nil, refuse(Conflict, "user %s already has %d tokens, the maximum (tokens.per_user); unassign one first", u.Name, len(u.Tokens))
	}
	return one(events.TokenAssigned{Serial: t.Serial, User: u.Name})
}

// mustToken returns the token of a serial, or a refusal.
func (s *State) mustToken(serial string) (*Token, error) {
	if t := s.Token(serial); t != nil {
		return t, nil
	}
	return nil, tokenNotFound(serial)
}

func tokenNotFound(serial string) error {
	return refuseHelp(NotFound, HelpListTokens, "token %.64q not found", serial)
}

// changedMeanwhile returns the refusal of a command that was made for an older
// revision of a token's secrets.
func changedMeanwhile(t *Token) error {
	return refuse(Conflict, "token %s was changed in the meantime; try again", t.Serial)
}
