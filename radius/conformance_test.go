package radius

import (
	"testing"

	"keyfob/cluster/nodetest"
	"keyfob/engine"
	"keyfob/events"
)

// TestFakeNodeConforms: the node of these tests answers like the real one.
func TestFakeNodeConforms(t *testing.T) {
	nodetest.Run(t, func(*testing.T) nodetest.Subject {
		n := newFakeNode()
		attempt := func(passcode engine.Secret) func() engine.Attempt {
			return func() engine.Attempt {
				return engine.Attempt{Origin: events.Origin{Request: nodetest.Request(), Door: events.DoorRADIUS}, User: "alice", Typed: passcode}
			}
		}
		return nodetest.Subject{
			Authenticate: n.Authenticate, Accepted: attempt("1234123456"), Refused: attempt("0"), Do: n.Do, State: n.State,
			Stop: func() { n.Fail(engine.ErrUndecided) },
		}
	})
}
