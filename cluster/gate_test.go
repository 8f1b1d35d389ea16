package cluster

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

var stranger = netip.MustParseAddr("198.51.100.66")

// guessAt is a wrong passcode of a stranger at the web page.
func (r *rig) guessAt(user string) engine.Attempt {
	a := r.attempt(user, "000000")
	a.Origin = events.Origin{Request: newRequest(), Door: events.DoorWeb, SourceIP: stranger.String()}
	a.Source = stranger
	return a
}

func (r *rig) policy(settings map[string]string) {
	r.t.Helper()
	if err := r.leader().Do(r.t.Context(), admin(), engine.SetPolicy{Settings: settings, Force: true}); err != nil {
		r.t.Fatal(err)
	}
}

// gateway adds a trusted client.
func (r *rig) gateway(name string) {
	r.t.Helper()
	err := r.leader().Do(r.t.Context(), admin(), engine.AddClient{Client: events.ClientAdded{
		Client: name, Prefix: "192.0.2.0/24", Sealed: []byte("s"), Dialect: "nochallenge", MessageAuthenticator: "auto", Trusted: true,
	}})
	if err != nil {
		r.t.Fatal(err)
	}
}

// throughGateway is a correct passcode through a trusted gateway that does not send the
// user's address and does not support challenges.
func (r *rig) throughGateway(f fob, ahead int64) engine.Attempt {
	a := r.attempt(f.user, f.passcode(r.clock(""), ahead))
	a.Origin = events.Origin{Request: newRequest(), Door: events.DoorRADIUS, Client: "vpn"}
	a.Client, a.NoChallenge = "vpn", true
	return a
}

// T-14, A-04: an address that tries to lock all users out at the web page is throttled,
// and nobody is locked out of the VPN.
func TestStrangerIsThrottledAndLocksNoUsers(t *testing.T) {
	r := newCluster(t, 1)
	r.freeze()
	n := r.leader()
	r.gateway("vpn")
	r.policy(map[string]string{"source.failures": "30", "source.every": "1h", "refusal.delay": "0s", "wait.step": "0s"})
	const users = 100
	fobs := make([]fob, users)
	together(users, func(i int) { fobs[i] = r.fobOn(n, fmt.Sprintf("user%02d", i)) })
	var unseen atomic.Int64
	for _, f := range fobs {
		together(12, func(int) {
			out, err := n.Authenticate(t.Context(), r.guessAt(f.user))
			if err != nil || out.Verdict != engine.Reject {
				t.Errorf("%v, %v", out.Verdict, err)
			}
			if out.Reason == events.ReasonThrottled && out.Wait > 0 {
				unseen.Add(1)
			}
		})
	}
	failures, locked := 0, 0
	for _, f := range fobs {
		u := n.State().User(f.user)
		failures += int(u.Failures)
		if u.Strangers.Locked(events.At(r.clock(""))) {
			locked++
		}
	}
	if failures > 30 || locked > 3 {
		t.Errorf("a budget of 30 failures came to %d, and locked %d users", failures, locked)
	}
	if unseen.Load() < 12*users-60 {
		t.Errorf("%d of %d guesses were not looked at", unseen.Load(), 12*users)
	}
	for _, f := range fobs {
		if out, err := n.Authenticate(t.Context(), r.throughGateway(f, 0)); err != nil || out.Verdict != engine.Accept {
			t.Fatalf("%s at the VPN: %v (%s), %v", f.user, out.Verdict, out.Reason, err)
		}
	}

	// Another address and another door have their own budgets, and time restores one
	// failure.
	other := r.guessAt("user99")
	other.Source = netip.MustParseAddr("198.51.100.67")
	elsewhere := r.guessAt("user99")
	elsewhere.Origin.Door = events.DoorAPI
	for name, a := range map[string]engine.Attempt{"another address": other, "another door": elsewhere} {
		if out, err := n.Authenticate(t.Context(), a); err != nil || out.Reason == events.ReasonThrottled {
			t.Errorf("%s: %s, %v", name, out.Reason, err)
		}
	}
	r.advance("", time.Hour)
	for i, want := range []bool{false, true} {
		if out, err := n.Authenticate(t.Context(), r.guessAt("user98")); err != nil || (out.Wait > 0) != want {
			t.Errorf("guess %d an hour later waits %v, %v", i, out.Wait, err)
		}
	}
}

// A flood of parallel attempts is limited to the budget, whether its users exist or
// not. Successful attempts do not use the budget.
func TestBudgetLimitsParallelAttempts(t *testing.T) {
	r := newCluster(t, 1)
	r.freeze()
	n := r.leader()
	r.policy(map[string]string{
		"source.failures": "5", "source.every": "1h", "source.remember": "0s", // known users have tries of their own
		"refusal.delay": "0s", "wait.step": "0s", "lock.after": "100", "next_tokencode.after": "100",
	})
	f := r.fob("ada")
	for i := range int64(20) { // correct ones, in sequence
		r.advance("", 30*time.Second)
		a := r.guessAt("ada")
		a.Typed = f.passcode(r.clock(""), 0)
		if out, err := n.Authenticate(t.Context(), a); err != nil || out.Verdict != engine.Accept {
			t.Fatalf("login %d: %v (%s), %v", i, out.Verdict, out.Reason, err)
		}
	}
	var seen atomic.Int64
	together(1000, func(i int) {
		user := "ada"
		if i%2 == 0 {
			user = fmt.Sprintf("nobody%d", i)
		}
		out, err := n.Authenticate(t.Context(), r.guessAt(user))
		if err != nil {
			t.Error(err)
		}
		if out.Wait == 0 {
			seen.Add(1)
		}
	})
	if seen.Load() != 5 {
		t.Errorf("%d guesses of a thousand at once were looked at, want 5", seen.Load())
	}
	if u := n.State().User("ada"); u.Failures > 5 {
		t.Errorf("ada has %d failures", u.Failures)
	}
}

// Many users share a gateway. Without the user's address no source is counted, and a
// trusted gateway has no limit. A gateway that is not trusted has its own budget.
func TestTrustedGatewaysAreNotThrottled(t *testing.T) {
	r := newCluster(t, 1)
	n := r.leader()
	r.gateway("vpn")
	r.policy(map[string]string{"source.failures": "1", "source.every": "1h", "client.failures": "7", "client.every": "1m", "refusal.delay": "0s"})
	through := func(client string) (unseen int) {
		for i := range 20 {
			a := r.attempt(fmt.Sprintf("nobody%d", i), "000000")
			a.Origin = events.Origin{Request: newRequest(), Door: events.DoorRADIUS, Client: client, SourceIP: "192.0.2.1"}
			a.Client = client
			out, err := n.Authenticate(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			if out.Wait > 0 {
				unseen++
			}
		}
		return unseen
	}
	if unseen := through("vpn"); unseen != 0 {
		t.Errorf("%d refusals through a trusted gateway were not looked at", unseen)
	}
	if unseen := through("other"); unseen != 13 {
		t.Errorf("%d of 20 through another were not looked at, want 13", unseen)
	}
}

// TestUserWhoWasRightFromAnAddressIsNotShutOutByItsNeighbors: strangers behind the
// same address use up its failures. A user who logged in from there before still gets
// in. Strangers who guess at that user gain a few tries, which count for the user,
// and are answered as everybody else there: they do not learn who uses the address.
func TestUserWhoWasRightFromAnAddressIsNotShutOutByItsNeighbors(t *testing.T) {
	r := newCluster(t, 1)
	r.freeze()
	n := r.leader()
	r.policy(map[string]string{"source.every": "1h", "refusal.delay": "0s", "wait.step": "0s", "lock.after": "100", "next_tokencode.after": "100"})
	known, other := r.fobOn(n, "known"), r.fobOn(n, "other")
	ask := func(a engine.Attempt) engine.Outcome {
		t.Helper()
		out, err := n.Authenticate(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	right := func(f fob, ahead int64) engine.Attempt {
		a := r.guessAt(f.user)
		a.Typed = f.passcode(r.clock(""), ahead)
		return a
	}
	if out := ask(right(known, 0)); out.Verdict != engine.Accept {
		t.Fatalf("a login: %v (%s)", out.Verdict, out.Reason)
	}
	for i := range 100 {
		if out := ask(r.guessAt(fmt.Sprintf("nobody%d", i))); out.Reason == events.ReasonThrottled {
			t.Fatalf("failure %d was not looked at", i)
		}
	}
	if out := ask(right(other, 0)); out.Reason != events.ReasonThrottled {
		t.Errorf("somebody who has not logged in from there: %v (%s)", out.Verdict, out.Reason)
	}
	if out := ask(right(known, 1)); out.Verdict != engine.Accept {
		t.Errorf("a user who has logged in from there: %v (%s)", out.Verdict, out.Reason)
	}
	before := n.State().User(known.user).Failures
	for range 50 {
		at, elsewhere := ask(r.guessAt(known.user)), ask(r.guessAt("nobody"))
		if at.Verdict != engine.Reject || at.Reason != elsewhere.Reason || at.Wait != elsewhere.Wait || at.User != elsewhere.User {
			t.Fatalf("a guess at the known user is answered %+v, at nobody %+v", at, elsewhere)
		}
	}
	if counted := n.State().User(known.user).Failures - before; counted < 1 || counted > 5 {
		t.Errorf("%d of 50 guesses were looked at and counted, want 1 to 5", counted)
	}
}
