package cluster

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"keyfob/engine"
)

func TestALateRefusalMakesTheOthersWaitAsLong(t *testing.T) {
	const delay = 250 * time.Millisecond
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var p pace
	for _, step := range []struct {
		name  string
		after time.Duration // noon
		took  time.Duration
		want  time.Duration
	}{
		{"in time", 0, 3 * time.Millisecond, delay},
		{"just in time", 0, delay, delay},
		{"late", time.Second, 251 * time.Millisecond, 2 * delay},
		{"in time after a late one", 2 * time.Second, time.Millisecond, 2 * delay},
		{"later still", 3 * time.Second, 700 * time.Millisecond, 3 * delay},
		{"late after a later one", 4 * time.Second, 400 * time.Millisecond, 3 * delay},
		{"a minute after the latest", 3*time.Second + paceFor - 1, time.Millisecond, 3 * delay},
		{"when that is over", 3*time.Second + paceFor, time.Millisecond, delay},
		{"hopeless", 70 * time.Second, 4 * time.Second, paceMost},
		{"after a hopeless one", 71 * time.Second, time.Millisecond, paceMost},
	} {
		if got := p.keep(step.took, delay, noon.Add(step.after)); got != step.want {
			t.Errorf("%s: refused after %v, want %v", step.name, got, step.want)
		}
	}
	if got := p.keep(time.Millisecond, delay/10, noon.Add(72*time.Second)); got != paceMost {
		t.Errorf("under a shorter delay: refused after %v", got)
	}
	if got := p.keep(time.Second, 0, noon); got != 0 {
		t.Errorf("without a delay: refused after %v", got)
	}
	if got := p.keep(time.Millisecond, 2*paceMost, noon.Add(72*time.Second)); got != 2*paceMost {
		t.Errorf("under a longer delay: refused after %v", got)
	}
}

func runHolder(t *testing.T, limit int) *holder {
	t.Helper()
	h, err := newHolder(limit)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); h.run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-done // it ends with its context, whatever it holds
	})
	return h
}

func TestEachRefusalIsHeldUntilItsOwnTime(t *testing.T) {
	h := runHolder(t, 100)
	began := time.Now()
	var held []<-chan struct{}
	delays := []time.Duration{60, 20, 40, 20, 80} // milliseconds
	for _, delay := range delays {
		gone, err := h.depart(0, delay*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, gone)
	}
	for _, i := range []int{1, 3, 2, 0, 4} {
		select {
		case <-held[i]:
		case <-time.After(10 * time.Second):
			t.Fatalf("refusal %d is held for ever", i)
		}
		if took := time.Since(began); took < delays[i]*time.Millisecond {
			t.Errorf("refusal %d left after %v", i, took)
		}
	}
}

func TestARefusalThatIsLateEnoughIsNotHeld(t *testing.T) {
	h := runHolder(t, 1)
	if gone, err := h.depart(250*time.Millisecond, 250*time.Millisecond); gone != nil || err != nil {
		t.Errorf("held: %v, %v", gone, err)
	}
}

func TestRefusalsHeldAreBounded(t *testing.T) {
	h := runHolder(t, 3)
	for range 3 {
		if _, err := h.depart(0, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.depart(0, time.Minute); !errors.Is(err, engine.ErrBusy) {
		t.Errorf("a fourth: %v", err)
	}
}

// Only who typed a right tokencode needs Argon2id. When it has no room left
// for them, everybody who is not let in is told the same.
func TestACrowdOfPINsDoesNotShowWhoseTokencodeWasRight(t *testing.T) {
	r := newClusterOf(t, 1, func(c *Config) { c.Vault.Hashes, c.Vault.Waiting = 1, 0 })
	f := r.fob("ada")
	n := r.nodes[0]
	ctx, stop := context.WithCancel(t.Context())
	var crowd sync.WaitGroup
	for range 3 {
		crowd.Go(func() {
			for ctx.Err() == nil {
				_, _ = n.SealPIN(ctx, "hog", 1, "2468") // busy or not
			}
		})
	}
	defer crowd.Wait()
	defer stop()
	delay := n.State().Policy.RefusalDelay
	for name, attempt := range map[string]engine.Attempt{
		"right tokencode": r.attempt("ada", "9"+f.passcode(r.clock(""), 0)),
		"wrong tokencode": r.attempt("ada", "000000"),
		"unknown user":    r.attempt("nobody", "000000"),
	} {
		for deadline := time.Now().Add(time.Minute); ; {
			attempt.Origin.Request, attempt.Arrived = newRequest(), r.clock("")
			began := time.Now()
			_, err := n.Authenticate(t.Context(), attempt)
			if took := time.Since(began); took < delay {
				t.Errorf("%s: answered after %v, want %v", name, took, delay)
			}
			if errors.Is(err, engine.ErrBusy) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: never turned away: %v", name, err)
			}
		}
	}
}
