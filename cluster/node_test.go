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
