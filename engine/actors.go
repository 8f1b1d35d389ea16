package engine

import (
	"strconv"
	"strings"

	"keyfob/events"
)

// RoleAdmin is the role that permits all operations. Doors know the other
// roles; the engine knows that only this one may act on administrators.
const RoleAdmin = "admin"

// An actor is who gives a command, as events name them: user:NAME for a person
// with a session, token:NAME for a program with an API token, socket:root or
// socket:UID at the socket of a node. The nodes themselves use other names.
const (
	actorUser   = "user:"
	actorToken  = "token:"
	actorSocket = "socket:"
)

// UserActor is the actor of a person.
func UserActor(user string) string { return actorUser + user }

// TokenActor is the actor of an API token.
func TokenActor(name string) string { return actorToken + name }

// SocketActor is the actor of a user of the machine at the node's socket.
func SocketActor(uid uint32) string {
	if uid == 0 {
		return actorSocket + "root"
	}
	return actorSocket + strconv.FormatUint(uint64(uid), 10)
}

// RoleOf returns the role of an actor, or an empty string for a person without
// a role or an unknown API token.
func (s *State) RoleOf(actor string) string {
	if name, ok := strings.CutPrefix(actor, actorUser); ok {
		if u := s.User(name); u != nil {
			return u.Role
		}
		return ""
	}
	if name, ok := strings.CutPrefix(actor, actorToken); ok {
		if t := s.APIToken(name); t != nil {
			return t.Role
		}
		return ""
	}
	return RoleAdmin
}

// PersonOf returns the actor that stands behind an actor: the person that an API
// token is linked to, and otherwise the actor.
func (s *State) PersonOf(actor string) string {
	if name, ok := strings.CutPrefix(actor, actorToken); ok {
		if t := s.APIToken(name); t != nil && t.Owner != "" {
			return UserActor(t.Owner)
		}
	}
	return actor
}

// mayAct refuses a command whose actor is no longer allowed to act. The node
// that was asked has checked it on its own state, which may lag behind this one.
func (s *State) mayAct(o events.Origin, c Command, now events.Time) error {
	if _, ok := c.(OpenSession); ok {
		return nil // it has a proof of its own
	}
	if _, ok := c.(Note); ok {
		return nil // of the node, about an actor that it may have refused
	}
	if name, ok := strings.CutPrefix(o.Actor, actorUser); ok {
		x := s.Session(o.Session)
		if x == nil || x.User != name || s.sessionEnd(x, now) != "" {
			return refuse(Forbidden, "the session has ended; log in again")
		}
		return nil
	}
	name, ok := strings.CutPrefix(o.Actor, actorToken)
	if !ok {
		return nil
	}
	t := s.APIToken(name)
	if t == nil || s.APITokenEnd(t, now) != "" {
		return refuse(Forbidden, "API token %.64q has been revoked or has expired", name)
	}
	issue, ok := c.(IssueAPIToken)
	switch {
	case !ok:
		return nil
	case t.limited():
		return refuse(Forbidden, "API token %q is limited and cannot issue API tokens", name)
	case !t.Expires.IsZero() && issue.Token.Expires > t.Expires:
		return refuse(Forbidden, "API token %q cannot issue one that is valid longer than itself; it expires at %s", name, t.Expires.Std().Format("2006-01-02T15:04:05Z"))
	}
	return nil
}

// mayTouch refuses events that concern an administrator and were asked for by an
// actor of a lesser role. Otherwise the help desk could give itself the PIN and
// the tokencodes of an administrator. Reporting a token lost is open to all, if
// it gives nothing out.
func (s *State) mayTouch(o events.Origin, facts []events.Event) error {
	role := s.RoleOf(o.Actor)
	if role == RoleAdmin {
		return nil
	}
	for _, e := range facts {
		if harmless(e, o.Actor) {
			continue
		}
		if u := s.User(events.Describe(e).User); u != nil && u.Role != "" {
			return refuse(Forbidden, "user %s has the role %s: only the role %s can do this", u.Name, u.Role, RoleAdmin)
		}
	}
	return nil
}

// harmless reports whether an event about an administrator can be caused by
// every actor whose role permits the operation.
func harmless(e events.Event, actor string) bool {
	switch e := e.(type) {
	case events.TokenLost:
		return len(e.Sealed) == 0
	case events.SessionEnded:
		return actor == UserActor(e.User)
	case events.SessionOpened:
		return true
	default:
		return false
	}
}
