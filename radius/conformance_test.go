package radius

import (
	"testing"

	"keyfob/cluster/nodetest"
	"keyfob/engine"
	"keyfob/events"
)

// TestFakeNodeConforms: what the fake claims, the real node does.
func TestFakeNodeConforms(t *testing.T) {
	nodetest.Run(t, func(*testing.T) nodetest.Subject {
		n := newFakeNode()
		attempt := func(passcode engine.Secret) func() engine.Attempt {
			return func() engine.Attempt {
				return engine.Attempt{Origin: events.Origin{Request: nodetest.Request(), Door: events.DoorRADIUS}, User: "alice", Typed: passcode}
			}
		}
		return nodetest.Subject{
			Authenticate: n.Authenticate, Accepted: attempt("1234123456"), Refused: attempt("0"), Do: n.Do,
			Stop: func() { n.Fail(engine.ErrUndecided) },
		}
	})
}
