package cluster

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/engine/tokencode"
	"keyfob/events"
)

// BenchmarkDecisions measures how many decisions a cluster of three makes per second
// on one machine, with ready evidence: forwarding, batches and commits.
func BenchmarkDecisions(b *testing.B) {
	for _, callers := range []int{1, 64, 256} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			load(b, newCluster(b, 3), callers)
		})
	}
}

func load(b *testing.B, r *rig, callers int) {
	const users = 1000
	together(users, func(i int) {
		user := fmt.Sprintf("user%04d", i)
		for _, c := range []engine.Command{
			engine.AddUser{User: user},
			engine.ImportToken{User: user, Token: events.TokenImported{
				Serial: "T-" + user, Kind: "totp", Algorithm: "SHA1", Digits: 6, Period: 30, PINStyle: "none", Form: engine.FormFob, Sealed: []byte{1},
			}},
		} {
			if err := r.nodes[0].Do(r.t.Context(), admin(), c); err != nil {
				b.Error(err)
			}
		}
	})
	revision := r.leader().State().Token("T-user0000").Revision
	now := tokencode.Interval(fobParams, time.Now())
	var next atomic.Int64
	b.ResetTimer()
	began := time.Now()
	together(callers, func(i int) {
		for {
			k := next.Add(1)
			if k > int64(b.N) {
				return
			}
			user := fmt.Sprintf("user%04d", k%users)
			c := loginRequest{User: user, Evidence: engine.Evidence{Tokens: []engine.TokenEvidence{
				{Serial: "T-" + user, Revision: revision, Found: true, Interval: now, PIN: true},
			}}}
			if _, err := r.nodes[i%3].forwarder.ask(r.t.Context(), events.Origin{Request: newRequest(), Door: events.DoorAPI}, c); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "decisions/s")
}

// BenchmarkRotation rotates the root key of three nodes on one machine while 64 callers
// have commands decided. Each token has a PIN. It reports how long that takes, and the
// decisions per second meanwhile and before.
func BenchmarkRotation(b *testing.B) {
	for _, tokens := range []int64{10_000, 100_000} {
		b.Run(fmt.Sprint(tokens), func(b *testing.B) {
			for b.Loop() {
				r := newCluster(b, 3)
				r.stock(b, tokens)
				rotateUnderLoad(b, r.leader(), 64)
				r.close()
			}
		})
	}
}

func rotateUnderLoad(b *testing.B, n *testNode, callers int) {
	var done atomic.Int64
	ctx, stop := context.WithCancel(b.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	for range callers {
		all.Go(func() {
			for ctx.Err() == nil {
				err := n.Do(ctx, admin(), engine.AddUser{User: fmt.Sprintf("user%d", done.Add(1))})
				if err != nil && ctx.Err() == nil {
					b.Error(err)
				}
			}
		})
	}
	rate := func(during func()) (perSecond, seconds float64) {
		before, began := done.Load(), time.Now()
		during()
		seconds = time.Since(began).Seconds()
		return float64(done.Load()-before) / seconds, seconds
	}
	usual, _ := rate(func() { <-time.After(5 * time.Second) })
	meanwhile, took := rate(func() {
		if err := n.RotateKeys(b.Context(), admin()); err != nil {
			b.Error(err)
			return
		}
		for n.Rotation().Version != 2 || n.Rotation().Step != RotationDone {
			<-time.After(50 * time.Millisecond)
		}
	})
	b.ReportMetric(took, "s/rotation")
	b.ReportMetric(usual, "decisions/s-before")
	b.ReportMetric(meanwhile, "decisions/s-meanwhile")
}

// stock imports tokens with PINs and without owners.
func (r *rig) stock(b *testing.B, tokens int64) {
	b.Helper()
	n := r.leader()
	anyPIN, err := n.SealPIN(b.Context(), "any", 1, "135792")
	if err != nil {
		b.Fatal(err)
	}
	var next atomic.Int64
	together(256, func(int) {
		for i := next.Add(1); i <= tokens; i = next.Add(1) {
			serial := fmt.Sprintf("S-%d", i)
			seed, err := n.SealSeed(serial, "a seed of twenty byte")
			if err != nil {
				b.Error(err)
			}
			pin, err := n.vault.Move(vault.PINs, vault.PINIdentity("any", 1), vault.PINIdentity(serial, 1), anyPIN)
			if err != nil {
				b.Error(err)
			}
			err = n.Do(b.Context(), admin(), engine.ImportToken{PIN: pin, Token: events.TokenImported{
				Serial: serial, Kind: "totp", Algorithm: "SHA1", Digits: 6, Period: 30, PINStyle: "fob", Form: engine.FormFob, Sealed: seed,
			}})
			if err != nil {
				b.Error(err)
			}
		}
	})
}
