package engine

import (
	"slices"

	"keyfob/events"
)

const maxDone = 256 // administrators' requests remembered

// Apply folds one event into the state. It takes what happened as given: it
// refuses nothing, and an event about something that is not there changes
// nothing.
func (s *State) Apply(at events.Time, d events.Draft) {
	s.Time = at
	answer, answered := answerOf(at, d)
	if d.Origin.Actor != "" && !answered {
		s.remember(d.Origin.Request)
	}
	switch e := d.Event.(type) {
	case events.AttemptEvent:
		s.applyAttempt(at, e, answer, answered)
	case events.UserEvent:
		s.applyUser(at, e)
	case events.TokenEvent:
		s.applyToken(at, e)
	case events.ClientEvent:
		s.applyClient(at, e)
	case events.AdminEvent:
		s.applyAdmin(at, d.Origin.Actor, e)
	case events.ClusterEvent:
		s.applyCluster(at, e)
	}
}

// changeUser puts a changed copy of a user in the place of the old one.
func (s *State) changeUser(name string, change func(*User)) {
	if old := s.User(name); old != nil {
		u := *old
		change(&u)
		s.users.Set(name, &u)
	}
}

func (s *State) changeToken(serial string, change func(*Token)) {
	if old := s.Token(serial); old != nil {
		t := *old
		change(&t)
		s.tokens.Set(serial, &t)
	}
}

func (s *State) changeNode(name string, change func(*NodeRecord)) {
	if old := s.Node(name); old != nil {
		n := *old
		change(&n)
		s.nodes.Set(name, &n)
	}
}

// endConversation ends what a user was doing with a token: it does not
// outlive what an administrator did to the token meanwhile.
func (s *State) endConversation(user, serial string) {
	if u := s.User(user); u != nil && u.Conversation != nil && u.Conversation.Serial == serial {
		s.changeUser(user, func(u *User) { u.Conversation = nil })
	}
}

// dropToken takes a serial off its user, and from what was to take its place.
func (s *State) dropToken(user, serial string) {
	s.endConversation(user, serial)
	if u := s.User(user); u != nil {
		for _, other := range u.Tokens {
			if t := s.Token(other); t != nil && t.Replaces == serial {
				s.changeToken(other, func(t *Token) { t.Replaces = "" })
			}
		}
	}
	s.changeUser(user, func(u *User) {
		u.Tokens = slices.DeleteFunc(slices.Clone(u.Tokens), func(other string) bool { return other == serial })
	})
}

// remember notes that an administrator's request has been carried out.
func (s *State) remember(r events.Request) {
	if r.IsZero() || len(s.done) > 0 && s.done[len(s.done)-1] == r {
		return
	}
	s.done = append(slices.Clone(s.done[max(0, len(s.done)-maxDone+1):]), r)
}

// alreadyDone reports whether a request was carried out before: its sender
// did not hear of it and asks again.
func (s *State) alreadyDone(r events.Request) bool {
	return !r.IsZero() && slices.Contains(s.done, r)
}
