package cluster

import (
	"fmt"
	"strings"

	"keyfob/engine"
	"keyfob/events"
)

// requestKeys says with which version of the root key a login is checked.
type requestKeys struct {
	version byte
	also    []events.Request // its ids under the other versions
}

// requestKeys sets the id of a request that its sender may send again, or of a login
// that its gateway may bring to another node. The id depends on the root key: a retry of a login that was answered before
// a rotation has the id of then, and is checked with the key of then, so it gets the
// answer of then.
func (n *Node) requestKeys(a *engine.Attempt, s *engine.State, now events.Time) requestKeys {
	under := requestKeys{version: n.vault.Primary()}
	if a.Key == "" && a.Session == "" {
		return under
	}
	user, err := engine.Canonical(a.User)
	if err != nil {
		user = a.User
	}
	text := repeatable(*a, user)
	ids := make(map[byte]events.Request)
	for _, version := range n.vault.Versions() {
		if id, ok := n.vault.PseudonymUnder(version, text); ok {
			ids[version] = id
			if s.Answered(user, id, now) {
				under.version = version
			}
		}
	}
	if a.Key != "" {
		a.Origin.Request = ids[under.version]
	} else {
		a.Origin.Login = ids[under.version]
	}
	for version, id := range ids {
		if version != under.version {
			under.also = append(under.also, id)
		}
	}
	return under
}

// repeatable is everything in a login: what was typed, where, and what tells it from
// another person's. A keyed digest of it is the id.
func repeatable(a engine.Attempt, user string) string {
	var text strings.Builder
	text.WriteString("login ")
	whose := "session " + a.Session
	if a.Key != "" {
		whose = "key " + a.Key
	}
	for _, part := range []string{
		a.Origin.Client, string(a.Origin.Door), whose, user, a.Typed.Reveal(), a.Again.Reveal(), a.Conversation, string(a.Purpose),
	} {
		fmt.Fprintf(&text, "%d:%s", len(part), part)
	}
	return text.String()
}
