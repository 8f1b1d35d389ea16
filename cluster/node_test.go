package cluster

import (
	"testing"

	"keyfob/engine"
)

func TestOneNodeIsAWholeCluster(t *testing.T) {
	r := newCluster(t, 1)
	f := r.fob("ada")
	n := r.nodes[0]
	code := f.passcode(r.clock(""), 0)
	out, err := n.Authenticate(t.Context(), r.attempt("ada", code))
	if err != nil || out.Verdict != engine.Accept {
		t.Fatalf("right passcode: %v, %v", out, err)
	}
	out, err = n.Authenticate(t.Context(), r.attempt("ada", code))
	if err != nil || out.Verdict != engine.Reject {
		t.Fatalf("spent passcode: %v, %v", out, err)
	}
}

func TestLoginOnEachNode(t *testing.T) {
	r := newCluster(t, 3)
	for _, n := range r.nodes {
		f := r.fob("user-" + n.name)
		var out engine.Outcome
		out, err := n.Authenticate(t.Context(), r.attempt(f.user, f.passcode(r.clock(""), 0)))
		if err != nil || out.Verdict != engine.Accept {
			t.Fatalf("%s: %v, %v", n.name, out, err)
		}
	}
}

// Until a node has been level with the leader once, it cannot tell what is unknown from
// what it has not received yet.
func TestNodeKnowsWhetherItHasCaughtUp(t *testing.T) {
	r := newCluster(t, 3)
	n := r.follower()
	r.kill(n)
	r.addUsers("meanwhile", 5)
	r.isolate(n.name, true)
	r.start(n)
	if n.CaughtUp() == nil {
		t.Error("it claims to know what was decided while it was away")
	}
	r.isolate(n.name, false)
	r.eventually("catching up", n.CaughtUp)
	if n.State().User("meanwhile4") == nil {
		t.Error("it has not caught up")
	}
	r.isolate(n.name, true)
	if err := n.CaughtUp(); err != nil {
		t.Errorf("once is enough: %v", err)
	}
	r.isolate(n.name, false)
}
