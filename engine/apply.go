package engine

import (
	"slices"

	"keyfob/events"
)

const maxDone = 256 // administrators' requests kept

// Apply folds one event into the state. It never refuses: an event about
// something that does not exist changes nothing.
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
		s.applyUser(at, d.Origin, e)
	case events.TokenEvent:
		s.applyToken(at, e)
	case events.ClientEvent:
		s.applyClient(at, e)
	case events.AdminEvent:
		s.applyAdmin(at, d.Origin, e)
	case events.ClusterEvent:
		s.applyCluster(at, e)
	}
	s.endSessions(d.Event)
}

// changeUser replaces a user with a changed copy.
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

// endConversation ends a conversation about a token. A conversation does not
// survive an administrator's change to the token.
func (s *State) endConversation(user, serial string) {
	if u := s.User(user); u != nil && u.Conversation != nil && u.Conversation.Serial == serial {
		s.changeUser(user, func(u *User) { u.Conversation = nil })
	}
}

// dropToken removes a token from its user, and from a token that was to replace
// it.
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

// remember records that an administrator's request was carried out.
func (s *State) remember(r events.Request) {
	if r.IsZero() || len(s.done) > 0 && s.done[len(s.done)-1] == r {
		return
	}
	s.done = append(slices.Clone(s.done[max(0, len(s.done)-maxDone+1):]), r)
}

// alreadyDone reports whether a request was carried out before. Its sender got
// no answer and sent it again.
func (s *State) alreadyDone(r events.Request) bool {
	return !r.IsZero() && slices.Contains(s.done, r)
}
