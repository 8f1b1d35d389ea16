package engine

import (
	"slices"
	"strings"

	"keyfob/events"
)

// party is who is behind a command. Two parties are two pairs of eyes: two
// persons, a person and root on a node, or root on two nodes. The API token of
// a person is that person. Another API token is a party of its own, which can
// ask, but cannot approve: it is for programs.
type party string

func (s *State) partyOf(o events.Origin) party {
	if strings.HasPrefix(o.Actor, actorSocket) {
		return party(actorSocket + o.Node) // whichever user id root works under
	}
	return party(s.PersonOf(o.Actor))
}

func (p party) String() string {
	if node, ok := strings.CutPrefix(string(p), actorSocket); ok {
		return "root on node " + node
	}
	return string(p)
}

// approves reports whether an actor can decide on approvals.
func (s *State) approves(actor string) bool {
	if name, ok := strings.CutPrefix(actor, actorUser); ok {
		u := s.User(name)
		return u != nil && u.Role == RoleAdmin && !u.Disabled
	}
	return strings.HasPrefix(actor, actorSocket)
}

// stillAsks reports whether who asked for a command could still ask for it.
func (s *State) stillAsks(a *Approval, now events.Time) bool {
	o, forCaller := a.Origin, slices.Equal(a.Groups, []string{GroupCaller})
	if name, ok := strings.CutPrefix(o.Actor, actorToken); ok {
		t := s.APIToken(name)
		return t != nil && (t.Role == RoleAdmin || forCaller && t.Role == roleHelpdesk) && s.APITokenEnd(t, now) == ""
	}
	if strings.HasPrefix(o.Actor, actorSocket) {
		return s.Node(o.Node) != nil
	}
	if name, ok := strings.CutPrefix(o.Actor, actorUser); ok && forCaller {
		u := s.User(name)
		return u != nil && (u.Role == RoleAdmin || u.Role == roleHelpdesk) && !u.Disabled
	}
	return s.approves(o.Actor)
}

// approvers returns how many parties can approve: root on each node, and the
// persons who can log in as administrators.
func (s *State) approvers() int {
	n := s.nodes.Len()
	s.Users(func(u *User) bool {
		if s.canLogInAsAdmin(u) {
			n++
		}
		return true
	})
	return n
}

func (s *State) canLogInAsAdmin(u *User) bool {
	if u.Role != RoleAdmin || u.Disabled {
		return false
	}
	for _, serial := range u.Tokens {
		if t := s.Token(serial); t != nil && !t.Disabled && t.Lost == nil && t.hasPIN() {
			return true
		}
	}
	return false
}

// alone reports whether a party is root on the only node and nobody else can
// approve. It then needs no approval, because nobody could give one.
func (s *State) alone(o events.Origin) bool {
	return strings.HasPrefix(o.Actor, actorSocket) && s.approvers() == 1
}

// canApprove refuses a change of the policy that requires more approvals, if
// there are not two parties to give them to each other.
func (s *State) canApprove(facts []events.Event) error {
	for _, e := range facts {
		if e, ok := e.(events.PolicyChanged); ok && e.Key == approvalKey && tightens(e) && s.approvers() < 2 {
			return refuseHelp(Conflict, HelpGrantRole,
				"approval.required needs a second administrator who can approve, and there is none but root on this node; give a user with a token and a PIN the role %s, or set approval.required=none beside a profile", RoleAdmin)
		}
	}
	return nil
}
