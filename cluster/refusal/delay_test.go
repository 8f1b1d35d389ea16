package refusal

import (
	"context"
	"errors"
	"testing"
	"time"

	"keyfob/engine"
)

func TestLateRefusalSlowsDownTheFollowing(t *testing.T) {
	const delay = 250 * time.Millisecond
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var p pace
	for _, step := range []struct {
		name  string
		after time.Duration // since noon
		took  time.Duration
		want  time.Duration
	}{
		{"on time", 0, 3 * time.Millisecond, delay},
		{"just on time", 0, delay, delay},
		{"late", time.Second, 251 * time.Millisecond, 2 * delay},
		{"on time after a late one", 2 * time.Second, time.Millisecond, 2 * delay},
		{"later", 3 * time.Second, 700 * time.Millisecond, 3 * delay},
		{"late after a later one", 4 * time.Second, 400 * time.Millisecond, 3 * delay},
		{"just before the slowdown ends", 3*time.Second + slowdownFor - 1, time.Millisecond, 3 * delay},
		{"after the slowdown", 3*time.Second + slowdownFor, time.Millisecond, delay},
		{"at the maximum", 70 * time.Second, 4 * time.Second, maxSlowdown},
		{"on time after the maximum", 71 * time.Second, time.Millisecond, maxSlowdown},
	} {
		if got := p.next(step.took, delay, noon.Add(step.after)); got != step.want {
			t.Errorf("%s: refused after %v, want %v", step.name, got, step.want)
		}
	}
	if got := p.next(time.Millisecond, delay/10, noon.Add(72*time.Second)); got != maxSlowdown {
		t.Errorf("under a shorter delay: refused after %v", got)
	}
	if got := p.next(time.Second, 0, noon); got != 0 {
		t.Errorf("without a delay: refused after %v", got)
	}
	if got := p.next(time.Millisecond, 2*maxSlowdown, noon.Add(72*time.Second)); got != 2*maxSlowdown {
		t.Errorf("under a longer delay: refused after %v", got)
	}
}

func runDelay(t *testing.T, limit int) *Delay {
	t.Helper()
	d, err := NewDelay(limit)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); d.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-done // Run ends with its context even if it holds refusals
	})
	return d
}

func TestRefusalsAreReleasedWhenDue(t *testing.T) {
	d := runDelay(t, 100)
	began := time.Now()
	var all []<-chan struct{}
	delays := []time.Duration{60, 20, 40, 20, 80} // milliseconds
	for _, delay := range delays {
		due, err := d.Hold(0, delay*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, due)
	}
	for _, i := range []int{1, 3, 2, 0, 4} {
		select {
		case <-all[i]:
		case <-time.After(10 * time.Second):
			t.Fatalf("refusal %d was not released", i)
		}
		if took := time.Since(began); took < delays[i]*time.Millisecond {
			t.Errorf("refusal %d was released after %v", i, took)
		}
	}
}

func TestLateRefusalIsNotHeld(t *testing.T) {
	d := runDelay(t, 1)
	if due, err := d.Hold(250*time.Millisecond, 250*time.Millisecond); due != nil || err != nil {
		t.Errorf("held: %v, %v", due, err)
	}
}

func TestHeldRefusalsAreBounded(t *testing.T) {
	d := runDelay(t, 3)
	for range 3 {
		if _, err := d.Hold(0, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Hold(0, time.Minute); !errors.Is(err, engine.ErrBusy) {
		t.Errorf("the fourth: %v", err)
	}
}
