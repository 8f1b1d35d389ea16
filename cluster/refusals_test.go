package cluster

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"keyfob/engine"
)

// Only a correct tokencode leads to Argon2id. When Argon2id is overloaded, everybody who
// is not accepted gets the same answer.
func TestPINOverloadDoesNotRevealCorrectTokencodes(t *testing.T) {
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
