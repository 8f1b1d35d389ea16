package api

import (
	"testing"

	"keyfob/cluster/nodetest"
	"keyfob/engine"
	"keyfob/events"
)

// TestFakeConforms: the fake behaves like a real node.
func TestFakeConforms(t *testing.T) {
	nodetest.Run(t, func(t *testing.T) nodetest.Subject {
		f := newFake(t)
		attempt := func(out engine.Outcome) func() engine.Attempt {
			return func() engine.Attempt {
				f.outcome = out
				return engine.Attempt{Origin: events.Origin{Request: nodetest.Request(), Door: events.DoorAPI}, User: "ada", Typed: "1"}
			}
		}
		return nodetest.Subject{
			Authenticate: f.Authenticate, Do: f.Do,
			Accepted: attempt(engine.Outcome{Verdict: engine.Accept, User: "ada"}),
			Refused:  attempt(engine.Outcome{Reason: events.ReasonBadPIN}),
			Stop:     func() { f.refuse = engine.ErrUndecided },
		}
	})
}
