package engine

import "keyfob/events"

// Administrators' commands on users. DeleteUser also unassigns the user's
// tokens.
type (
	AddUser struct {
		User string `cbor:"1,keyasint"`
	}
	DisableUser struct {
		User string `cbor:"1,keyasint"`
	}
	EnableUser struct {
		User string `cbor:"1,keyasint"`
	}
	UnlockUser struct {
		User string `cbor:"1,keyasint"`
	}
	DeleteUser struct {
		User string `cbor:"1,keyasint"`
	}
)

func (c AddUser) decide(s *State, _ events.Time) ([]events.Event, error) {
	name, err := canonicalUser(c.User)
	switch {
	case err != nil:
		return nil, err
	case s.User(name) != nil:
		return nil, refuse(Exists, "user %q already exists", name)
	}
	return one(events.UserAdded{User: name})
}

func (c DisableUser) decide(s *State, _ events.Time) ([]events.Event, error) {
	u, err := s.mustUser(c.User)
	if err != nil {
		return nil, err
	}
	return unless(u.Disabled, events.UserDisabled{User: u.Name})
}

func (c EnableUser) decide(s *State, _ events.Time) ([]events.Event, error) {
	u, err := s.mustUser(c.User)
	if err != nil {
		return nil, err
	}
	return unless(!u.Disabled, events.UserEnabled{User: u.Name})
}

func (c UnlockUser) decide(s *State, _ events.Time) ([]events.Event, error) {
	u, err := s.mustUser(c.User)
	if err != nil {
		return nil, err
	}
	return unless(!u.hasFailures(), events.UserUnlocked{User: u.Name})
}

func (c DeleteUser) decide(s *State, _ events.Time) ([]events.Event, error) {
	u, err := s.mustUser(c.User)
	switch {
	case err != nil:
		return nil, err
	case u.Role != "":
		return nil, refuseHelp(Conflict, HelpRemoveAdministrator, "user %s has the role %s; take it away first", u.Name, u.Role)
	}
	var facts []events.Event
	for _, serial := range u.Tokens {
		facts = append(facts, events.TokenUnassigned{Serial: serial, User: u.Name})
	}
	return append(facts, events.UserDeleted{User: u.Name}), nil
}

// hasFailures reports whether failures, a lock or a wait are recorded for a user.
func (u *User) hasFailures() bool {
	for _, l := range u.locks() {
		if l.Failures != 0 || l.Count != 0 || l.Stopped || l.Until != 0 || l.Wait != 0 {
			return true
		}
	}
	return u.Failures != 0
}

// canonicalUser returns the canonical form of a user name as typed, or a
// refusal.
func canonicalUser(typed string) (string, error) {
	name, err := Canonical(typed)
	if err != nil {
		return "", refuse(Invalid, "%q is not a valid user name: %v", typed, err)
	}
	return name, nil
}

// mustUser returns the user of a name as typed, or a refusal.
func (s *State) mustUser(typed string) (*User, error) {
	name, err := canonicalUser(typed)
	if err != nil {
		return nil, err
	}
	if u := s.User(name); u != nil {
		return u, nil
	}
	return nil, refuseHelp(NotFound, HelpListUsers, "user %q not found", name)
}

func (s *State) applyUser(at events.Time, o events.Origin, e events.UserEvent) {
	switch e := e.(type) {
	case events.UserAdded:
		s.users.Set(e.User, &User{Name: e.User, Added: at})
	case events.UserDeleted:
		s.users.Delete(e.User)
	case events.UserDisabled:
		s.changeUser(e.User, func(u *User) { u.Disabled, u.Conversation, u.Answers = true, nil, nil })
	case events.UserEnabled:
		s.changeUser(e.User, func(u *User) { u.Disabled = false })
	case events.UserUnlocked:
		s.changeUser(e.User, func(u *User) { u.Failures, u.Strangers, u.Trusted, u.Unsigned = 0, Lock{}, Lock{}, Lock{} })
	case events.AnswerRepeated:
		s.changeUser(e.User, func(u *User) { u.repeated(e.First, Repeat{o.Node, o.Request}) })
	case events.FailureCounted:
		s.changeUser(e.User, func(u *User) {
			u.Failures = e.Failures
			u.lock(budget(e.Trusted, e.Unsigned)).fail(&s.Policy, at, e.Wait)
		})
	case events.CallerChecked:
		s.changeUser(e.User, func(u *User) { u.checked(o.Actor, e) })
	case events.FailuresReset:
		s.changeUser(e.User, func(u *User) { u.Failures = 0 })
	case events.UserLockedOut:
		s.changeUser(e.User, func(u *User) {
			// Locks caused by strangers do not end conversations at a trusted client.
			of := budget(e.Trusted, e.Unsigned)
			if c := u.Conversation; c != nil && s.budgetOf(events.Origin{Door: c.Door, Client: c.Client, Unsigned: c.Unsigned}) == of {
				u.Conversation = nil
			}
			l := u.lock(of)
			l.Count++
			l.Until, l.Stopped, l.Wait, l.Recent = e.Until, e.Until.IsZero(), 0, nil
		})
	}
}
