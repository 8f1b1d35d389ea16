package cluster

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyfob/cluster/refusal"
	"keyfob/engine"
	"keyfob/events"
)

// together makes all calls at the same time and waits for them.
func together(count int, call func(i int)) {
	var calls sync.WaitGroup
	start := make(chan struct{})
	for i := range count {
		calls.Go(func() {
			<-start
			call(i)
		})
	}
	close(start)
	calls.Wait()
}

// rounds of the race below; for a long run set KEYFOB_ROUNDS=1000.
func rounds(t *testing.T, usual int) int {
	if n, err := strconv.Atoi(os.Getenv("KEYFOB_ROUNDS")); err == nil {
		return n
	}
	if testing.Short() {
		return usual / 10
	}
	return usual
}

// T-01: the same passcode on three nodes at the same time. Rounds run in waves, each
// with a user of its own.
func TestSimultaneousLoginsWithOnePasscodeAcceptOne(t *testing.T) {
	const wave = 10
	r := newCluster(t, 3)
	set := engine.SetPolicy{Settings: map[string]string{"refusal.delay": "0s"}}
	if err := r.leader().Do(t.Context(), admin(), set); err != nil {
		t.Fatal(err)
	}
	for _, callers := range []int{2, 64} {
		t.Run(fmt.Sprint(callers), func(t *testing.T) {
			for first := 0; first < rounds(t, 200); first += wave {
				together(wave, func(i int) {
					r.race(t, r.bare(fmt.Sprintf("user%d-%d", callers, first+i)), callers)
				})
			}
		})
	}
}

// race logs in with one passcode from many callers at once.
func (r *rig) race(t *testing.T, f fob, callers int) {
	r.known(f)
	passcode := f.passcode(r.clock(""), 0)
	var accepted, undecided atomic.Int32
	together(callers, func(i int) {
		out, err := r.nodes[i%3].Authenticate(t.Context(), r.attempt(f.user, passcode))
		switch {
		case err != nil:
			undecided.Add(1)
			t.Logf("undecided: %v", err)
		case out.Verdict == engine.Accept:
			accepted.Add(1)
		}
	})
	if n := accepted.Load(); n > 1 || n == 0 && undecided.Load() == 0 {
		t.Errorf("%s: %d of %d were accepted, %d undecided", f.user, n, callers, undecided.Load())
	}
}

// bare is a user with a token and no PIN, which is fast to create and verify.
func (r *rig) bare(user string) fob {
	f := fob{user: user, serial: "T-" + user}
	n := r.nodes[0]
	sealed, err := n.SealSeed(f.serial, engine.Secret(f.seed()))
	if err != nil {
		r.t.Error(err)
	}
	for _, c := range []engine.Command{
		engine.AddUser{User: user},
		engine.ImportToken{User: user, Token: events.TokenImported{
			Serial: f.serial, Kind: "totp", Algorithm: "SHA1", Digits: 6, Period: 30, PINStyle: "none", Form: engine.FormFob, Sealed: sealed,
		}},
	} {
		if err := n.Do(r.t.Context(), admin(), c); err != nil {
			r.t.Error(err)
		}
	}
	return f
}

// known waits until every node has applied what any node has: the user, the token, and
// what was done to it.
func (r *rig) known(f fob) {
	r.t.Helper()
	var last uint64
	for _, n := range r.nodes {
		last = max(last, n.replica.View().Sequence)
	}
	r.eventually("user on every node", func() error {
		for _, n := range r.nodes {
			if v := n.replica.View(); v.State.Token(f.serial) == nil || v.Sequence < last {
				return fmt.Errorf("%s does not know %s", n.name, f.serial)
			}
		}
		return nil
	})
}

// T-06: a thousand parallel guesses gain no more than ten sequential ones, even with the
// correct passcode among them.
func TestParallelGuessesGainNothing(t *testing.T) {
	r := newCluster(t, 3)
	f := r.fob("ada")
	r.known(f)
	right := f.passcode(r.clock(""), 0)
	const guesses, at = 1000, 600
	verdicts := make([]engine.Verdict, guesses)
	together(guesses, func(i int) {
		typed := engine.Secret(fmt.Sprintf("%s%06d", f.pin, i))
		if i == at {
			typed = right
		}
		if typed == right && i != at {
			return
		}
		out, err := r.nodes[i%3].Authenticate(t.Context(), r.attempt("ada", typed))
		if err != nil {
			t.Log(err)
		}
		verdicts[i] = out.Verdict
	})
	view := r.leader().replica.View()
	u := view.State.User("ada")
	for i, v := range verdicts {
		if v == engine.Accept && i != at {
			t.Fatalf("guess %d was accepted", i)
		}
	}
	if verdicts[at] == engine.Accept {
		return // it was among the first ten
	}
	if limit := uint32(view.State.Policy.LockAfter); u.Failures == 0 || u.Failures > limit {
		t.Fatalf("of %d guesses %d were looked at, want at most %d", guesses, u.Failures, limit)
	}
}

// Guesses at unknown users do not fill the log.
func TestGuessesAtUnknownUsersAreSampled(t *testing.T) {
	r := newCluster(t, 1)
	n := r.nodes[0]
	const guesses = 500
	before := n.replica.View().Sequence
	together(guesses, func(i int) {
		a := r.attempt(fmt.Sprintf("nobody%d", i), "1234567890")
		a.Origin.Reference = a.Origin.Request.Reference()
		out, err := n.Authenticate(t.Context(), a)
		if err != nil || out.Verdict != engine.Reject {
			t.Errorf("%v, %v", out, err)
		}
	})
	var counted uint32
	records, references := 0, 0
	r.eventually("all guesses to be counted", func() error {
		counted, records, references = 0, 0, 0
		all, err := n.Journal().Read(before+1, 10000)
		if err != nil {
			return err
		}
		for _, record := range all {
			if e, ok := record.Event.(events.PasscodeRejected); ok {
				if e.User != "" || e.Digest == "" || e.Reason != events.ReasonUserUnknown {
					t.Fatalf("a guess was written down as %+v", e)
				}
				counted += max(1, e.Count)
				records++
				references += 1 + len(e.Others)
				if len(e.Others) > refusal.MaxOthers {
					t.Fatalf("a record carries %d references", len(e.Others))
				}
			}
		}
		if counted != guesses {
			return fmt.Errorf("%d counted", counted)
		}
		return nil
	})
	if records > 20 {
		t.Fatalf("%d guesses left %d records", guesses, records)
	}
	if references <= records {
		t.Errorf("%d records carry %d references", records, references)
	}
}

// A front end that refuses requests by itself leaves few records, however many
// the requests.
func TestRefusedRequestsAreCountedInFewRecords(t *testing.T) {
	const requests = 500
	r := newCluster(t, 1)
	n := r.nodes[0]
	_, before := n.Journal().Bounds()
	together(requests, func(i int) {
		source := fmt.Sprintf("192.0.2.%d", i%200)
		n.CountRefusal(source, events.Origin{Node: n.name, Door: events.DoorAPI, SourceIP: source}, events.APITokenRefused{})
		n.CountRefusal("token:desk", events.Origin{Node: n.name, Door: events.DoorAPI, Actor: "token:desk"}, events.CommandDenied{Operation: "add-user", Role: "helpdesk"})
	})
	records := 0
	r.eventually("all requests to be counted", func() error {
		var refused, denied uint32
		records = 0
		all, err := n.Journal().Read(before+1, 10000)
		if err != nil {
			return err
		}
		for _, record := range all {
			switch e := record.Event.(type) {
			case events.APITokenRefused:
				refused += max(1, e.Count)
				records++
			case events.CommandDenied:
				denied += max(1, e.Count)
				records++
			default:
			}
		}
		if refused != requests || denied != requests {
			return fmt.Errorf("%d and %d counted", refused, denied)
		}
		return nil
	})
	if records > 20 {
		t.Errorf("%d requests left %d records", 2*requests, records)
	}
}

// A refusal is sent after a fixed time, regardless of its reason. An accept is sent
// immediately.
func TestRefusalsAreSentAfterAFixedTime(t *testing.T) {
	r := newCluster(t, 1)
	f := r.fob("ada")
	n := r.nodes[0]
	delay := n.State().Policy.RefusalDelay
	for _, user := range []string{"ada", "nobody", ""} {
		began := time.Now()
		r.want(n, r.attempt(user, "000000"), engine.Reject)
		if took := time.Since(began); took < delay || took > delay+2*time.Second {
			t.Errorf("user %q was refused after %v, want %v", user, took, delay)
		}
	}
	r.want(n, r.attempt("ada", f.passcode(r.clock(""), 0)), engine.Accept)
}
