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

// BenchmarkRotation rotates the root key of three nodes on one machine with 100,000
// tokens, each with a PIN, while 64 callers have logins decided. It reports how long that
// takes, and the decisions per second meanwhile and before.
func BenchmarkRotation(b *testing.B) {
	const tokens, callers = 100_000, 64
	for b.Loop() {
		r := newCluster(b, 3)
		n := r.leader()
		pin, err := n.SealPIN(b.Context(), "any", 1, "135792")
		if err != nil {
			b.Fatal(err)
		}
		var next atomic.Int64
		together(4*callers, func(int) {
			for i := next.Add(1); i <= tokens; i = next.Add(1) {
				if err := n.stock(b.Context(), fmt.Sprintf("S-%d", i), pin); err != nil {
					b.Error(err)
				}
			}
		})
		var done atomic.Int64
		ctx, stop := context.WithCancel(b.Context())
		var all sync.WaitGroup
		for i := range callers {
			all.Go(func() {
				for ctx.Err() == nil {
					if err := n.Do(ctx, admin(), engine.AddUser{User: fmt.Sprintf("user%d-%d", i, done.Add(1))}); err != nil && ctx.Err() == nil {
						b.Error(err)
					}
				}
			})
		}
		before, began := done.Load(), time.Now()
		<-time.After(5 * time.Second)
		usual := float64(done.Load()-before) / time.Since(began).Seconds()
		before, began = done.Load(), time.Now()
		if err := n.RotateKeys(b.Context(), admin()); err != nil {
			b.Fatal(err)
		}
		for n.Rotation().Version != 2 || n.Rotation().Step != RotationDone {
			<-time.After(50 * time.Millisecond)
		}
		took := time.Since(began)
		b.ReportMetric(took.Seconds(), "s/rotation")
		b.ReportMetric(usual, "decisions/s-before")
		b.ReportMetric(float64(done.Load()-before)/took.Seconds(), "decisions/s-meanwhile")
		stop()
		all.Wait()
		r.close()
	}
}

// stock imports a token with a PIN and without an owner.
func (n *Node) stock(ctx context.Context, serial string, anyPIN []byte) error {
	seed, err := n.SealSeed(serial, "a seed of twenty byte")
	if err != nil {
		return err
	}
	pin, err := n.vault.Move(vault.PINs, vault.PINIdentity("any", 1), vault.PINIdentity(serial, 1), anyPIN)
	if err != nil {
		return err
	}
	return n.Do(ctx, admin(), engine.ImportToken{PIN: pin, Token: events.TokenImported{
		Serial: serial, Kind: "totp", Algorithm: "SHA1", Digits: 6, Period: 30, PINStyle: "fob", Form: engine.FormFob, Sealed: seed,
	}})
}
