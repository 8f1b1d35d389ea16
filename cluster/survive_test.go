package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"keyfob/engine"
	"keyfob/fsm"
)

// must logs in and retries while nothing is decided, as a VPN does.
func (r *rig) must(n *testNode, a engine.Attempt) engine.Outcome {
	r.t.Helper()
	var out engine.Outcome
	r.eventually("a decision", func() error {
		var err error
		out, err = n.Authenticate(r.t.Context(), a)
		return err
	})
	return out
}

func (r *rig) want(n *testNode, a engine.Attempt, verdict engine.Verdict) engine.Outcome {
	r.t.Helper()
	out := r.must(n, a)
	if out.Verdict != verdict {
		r.t.Fatalf("%s answers %v (%s), want %v", n.name, out.Verdict, out.Reason, verdict)
	}
	return out
}

func TestAcknowledgedLoginsSurviveCrashes(t *testing.T) {
	r := newCluster(t, 3)
	var spent []engine.Attempt
	login := func(user string) {
		t.Helper()
		f := r.fob(user)
		a := r.attempt(user, f.passcode(r.clock(""), 0))
		r.want(r.leader(), a, engine.Accept)
		a.Origin.Request = newRequest()
		spent = append(spent, a)
	}
	check := func(when string) {
		t.Helper()
		r.ready(3)
		for _, n := range r.nodes {
			for _, a := range spent {
				if n.State().User(a.User) == nil {
					t.Fatalf("%s: %s does not know %s", when, n.name, a.User)
				}
				a.Origin.Request = newRequest()
				r.want(n, a, engine.Reject)
			}
		}
	}
	login("ada")
	follower := r.follower()
	r.kill(follower)
	login("bob")
	r.start(follower)
	check("after a follower died")

	leader := r.leader()
	r.kill(leader)
	login("carol")
	r.start(leader)
	check("after the leader died")

	for _, n := range r.nodes {
		r.kill(n)
	}
	for _, n := range r.nodes {
		r.start(n)
	}
	check("after all died")
	r.sameEverywhere()
}

// sameEverywhere waits until all nodes have the same record, state and complete journal.
func (r *rig) sameEverywhere() {
	r.t.Helper()
	r.eventually("agreement of all nodes", func() error {
		first := r.nodes[0].replica.View()
		want, err := fsm.Digest(first.State)
		if err != nil {
			return err
		}
		for _, n := range r.nodes {
			v := n.replica.View()
			got, err := fsm.Digest(v.State)
			if err != nil {
				return err
			}
			last, head := n.Journal().Last()
			if v.Head != first.Head || got != want || last != v.Sequence || head != v.Head || !n.Journal().Whole() {
				return fmt.Errorf("%s stands at %d %v, its journal at %d %v, %s at %d %v",
					n.name, v.Sequence, v.Head, last, head, r.nodes[0].name, first.Sequence, first.Head)
			}
		}
		return nil
	})
}

func TestRetryGetsTheFirstAnswer(t *testing.T) {
	r := newCluster(t, 3)
	f := r.fob("ada")
	a := r.attempt("ada", f.passcode(r.clock(""), 0))
	r.want(r.nodes[0], a, engine.Accept)
	for _, n := range r.nodes {
		r.want(n, a, engine.Accept)
	}
	again := a
	again.Origin.Request = newRequest()
	r.want(r.nodes[1], again, engine.Reject)
	r.kill(r.leader())
	r.want(r.leader(), a, engine.Accept)
	r.want(r.leader(), again, engine.Reject)
}

// The leader crashes during a login. With either outcome, all retries of the request get
// the same answer, and the passcode works for no other login.
func TestLeaderCrashesDuringALogin(t *testing.T) {
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	for round := range rounds {
		r := newCluster(t, 3)
		f := r.fob("ada")
		leader := r.leader()
		asked := r.follower()
		a := r.attempt("ada", f.passcode(r.clock(""), 0))
		var outcome engine.Outcome
		var err error
		var login sync.WaitGroup
		login.Go(func() { outcome, err = asked.Authenticate(t.Context(), a) })
		r.kill(leader)
		login.Wait()
		if err != nil && !errors.Is(err, engine.ErrUndecided) {
			t.Fatalf("round %d: %v", round, err)
		}
		if err == nil && outcome.Verdict != engine.Accept {
			t.Fatalf("round %d: %v", round, outcome)
		}
		for _, n := range r.nodes {
			if n != leader {
				r.want(n, a, engine.Accept)
			}
		}
		a.Origin.Request = newRequest()
		r.want(asked, a, engine.Reject)
		r.close()
	}
}

func TestStoppingNodeAnswersAndHandsOver(t *testing.T) {
	r := newCluster(t, 3)
	f := r.fob("ada")
	leader := r.leader()
	var asked sync.WaitGroup
	for range 20 {
		asked.Go(func() {
			a := r.attempt("ada", f.passcode(r.clock(""), 0))
			if _, err := leader.Authenticate(context.WithoutCancel(t.Context()), a); err != nil && !errors.Is(err, engine.ErrUndecided) {
				t.Error(err)
			}
		})
	}
	leader.stop()
	if err := <-leader.done; err != nil {
		t.Fatalf("the end of a node: %v", err)
	}
	leader.done = nil
	asked.Wait()
	if _, err := leader.Authenticate(t.Context(), r.attempt("ada", "x")); !errors.Is(err, engine.ErrUndecided) {
		t.Fatalf("a node that has stopped answers %v", err)
	}
	if next := r.leader(); next.State().Cluster.Leader == leader.name {
		r.eventually("the record of the new leader", func() error {
			if next.State().Cluster.Leader == leader.name {
				return errors.New("the old one is still on record")
			}
			return nil
		})
	}
}
