package engine

import "keyfob/events"

// Commands on administrators: users with a role.
type (
	// GrantRole gives a user a role, or another one.
	GrantRole struct {
		User string `cbor:"1,keyasint"`
		Role string `cbor:"2,keyasint"`
		// AtSocket is set if the command comes from the socket of a node, where the
		// role admin can always be granted again.
		AtSocket bool `cbor:"3,keyasint,omitempty"`
	}
	// RevokeRole makes an administrator an ordinary user.
	RevokeRole struct {
		User     string `cbor:"1,keyasint"`
		AtSocket bool   `cbor:"2,keyasint,omitempty"`
	}
	// LinkAPIToken makes an API token that of a person.
	LinkAPIToken struct {
		Name string `cbor:"1,keyasint"`
		User string `cbor:"2,keyasint"`
	}
)

const maxAdministrators = 1000

func (c GrantRole) decide(s *State, now events.Time) ([]events.Event, error) {
	u, err := s.mustUser(c.User)
	switch {
	case err != nil:
		return nil, err
	case !nameForm.MatchString(c.Role):
		return nil, refuse(Invalid, "%.80q is not a valid role", c.Role)
	case u.Role == c.Role:
		return nil, nil
	case u.Disabled:
		return nil, refuse(Conflict, "user %s is disabled; enable the user first", u.Name)
	case u.Role == "" && s.administrators() >= maxAdministrators:
		return nil, refuse(Conflict, "there are %d administrators already; remove one first", maxAdministrators)
	}
	for _, serial := range u.Tokens {
		switch t := s.Token(serial); {
		case t == nil:
		case t.wantsPIN():
			return nil, refuseHelp(Conflict, HelpSetTemporaryPIN,
				"token %s of user %s has no PIN, so that its finder could become an administrator; set one first", serial, u.Name)
		case t.withoutPIN():
			return nil, refuse(Conflict, "token %s of user %s is used without a PIN; an administrator needs a token with a PIN", serial, u.Name)
		}
	}
	if err := s.keepsAdministrator(u, c.AtSocket, now); err != nil {
		return nil, err
	}
	return one(events.RoleGranted{User: u.Name, Role: c.Role, Before: u.Role})
}

func (c RevokeRole) decide(s *State, now events.Time) ([]events.Event, error) {
	u, err := s.mustUser(c.User)
	switch {
	case err != nil:
		return nil, err
	case u.Role == "":
		return nil, refuseHelp(NotFound, HelpListAdministrators, "user %s is not an administrator", u.Name)
	}
	if err := s.keepsAdministrator(u, c.AtSocket, now); err != nil {
		return nil, err
	}
	return one(events.RoleRevoked{User: u.Name, Role: u.Role})
}

func (c LinkAPIToken) decide(s *State, _ events.Time) ([]events.Event, error) {
	t := s.APIToken(c.Name)
	u, err := s.mustUser(c.User)
	switch {
	case err != nil:
		return nil, err
	case t == nil:
		return nil, refuse(NotFound, "API token %.64q not found", c.Name)
	case t.Owner == u.Name:
		return nil, nil
	case t.Owner != "":
		return nil, refuse(Conflict, "API token %q is linked to user %s already; revoke it and issue another", t.Name, t.Owner)
	case !u.mayOwn(t):
		return nil, refuseHelp(Conflict, HelpListAdministrators, "user %s does not have the role %s of API token %q", u.Name, t.Role, t.Name)
	}
	return one(events.APITokenLinked{Name: t.Name, User: u.Name})
}

// mayOwn reports whether a user may do what an API token may do.
func (u *User) mayOwn(t *APIToken) bool {
	return !u.Disabled && (u.Role == RoleAdmin || u.Role != "" && u.Role == t.Role)
}

// keepsAdministrator refuses to take the role admin from the last one who has
// it.
func (s *State) keepsAdministrator(u *User, atSocket bool, now events.Time) error {
	if u.Role != RoleAdmin || atSocket {
		return nil
	}
	other := false
	s.Users(func(o *User) bool {
		other = o.Role == RoleAdmin && o != u && !o.Disabled && len(o.Tokens) > 0
		return !other
	})
	if !other {
		s.APITokens(func(t *APIToken) bool {
			other = t.Role == RoleAdmin && t.Owner != u.Name && !t.limited() && s.APITokenEnd(t, now) == ""
			return !other
		})
	}
	if other {
		return nil
	}
	return refuse(Conflict, "user %s is the last administrator with the role %s; give it to another user first, or do this as root at the socket of a node", u.Name, RoleAdmin)
}

func (s *State) administrators() (n int) {
	s.Users(func(u *User) bool {
		if u.Role != "" {
			n++
		}
		return true
	})
	return n
}

// applyRole folds the events on roles.
func (s *State) applyRole(user, role string) {
	s.changeUser(user, func(u *User) { u.Role = role })
	s.endSessionsOf(user)
}
