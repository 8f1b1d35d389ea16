package cluster

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

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
