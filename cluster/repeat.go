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

// requestKeys sets the id of a login that its client may send again, to this node or
// another. The id depends on the root key: a retry of a login that was answered before
// a rotation has the id of then, and is checked with the key of then, so it gets the
// answer of then.
func (n *Node) requestKeys(a *engine.Attempt, s *engine.State, now events.Time) requestKeys {
	under := requestKeys{version: n.vault.Primary()}
	if a.Session == "" {
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
	a.Origin.Request = ids[under.version]
	for version, id := range ids {
		if version != under.version {
			under.also = append(under.also, id)
		}
	}
	return under
}

// repeatable is everything in a login. A keyed digest of it is the id of the request,
// so the same login gets the same answer for a while.
func repeatable(a engine.Attempt, user string) string {
	var text strings.Builder
	text.WriteString("login ")
	for _, part := range []string{
		a.Origin.Client, string(a.Origin.Door), a.Session, user, a.Typed.Reveal(), a.Again.Reveal(), a.Conversation, string(a.Purpose),
	} {
		fmt.Fprintf(&text, "%d:%s", len(part), part)
	}
	return text.String()
}
