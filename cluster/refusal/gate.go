package refusal

import (
	"net/netip"
	"time"

	"keyfob/engine"
	"keyfob/engine/throttle"
	"keyfob/events"
)

// Gate counts failures by where they come from: per source at each door, and
// per client that is not trusted. A source or client that has used up what the
// policy allows is refused without a check, so a flood cannot lock the users
// that it names.
//
// It counts on this node only and in memory. An attacker who asks all nodes has
// one budget per node. A budget for the whole cluster would cost one commit per
// guess, which is what the gate avoids.
type Gate struct {
	sources *throttle.Throttle[source]
	clients *throttle.Throttle[client]
}

type source struct {
	door    events.Door
	network netip.Prefix
}

type client struct {
	door events.Door
	name string
}

// NewGate returns a gate that has counted nothing.
func NewGate() *Gate {
	return &Gate{throttle.New[source](throttle.Remembered), throttle.New[client](throttle.Remembered)}
}

// Pass is an attempt inside the gate, with the limits that applied on entry.
type Pass struct {
	source    source
	client    client
	perSource throttle.Rate // zero if the source is unknown
	perClient throttle.Rate // zero for a trusted client
}

// PassFor returns the pass of an attempt under the present policy.
func PassFor(s *engine.State, a engine.Attempt) Pass {
	var p Pass
	if a.Source.IsValid() {
		p.source = source{a.Origin.Door, throttle.Network(a.Source)}
		p.perSource = throttle.Rate{Burst: s.Policy.SourceFailures, Every: s.Policy.SourceEvery}
	}
	if a.Client != "" && !s.Trusts(a.Origin) {
		p.client = client{a.Origin.Door, a.Client}
		p.perClient = throttle.Rate{Burst: s.Policy.ClientFailures, Every: s.Policy.ClientEvery}
	}
	return p
}

// Enter admits an attempt and returns 0, or returns how long to wait. Attempts
// in progress count as failures, so parallel attempts gain nothing. Call Leave
// after each attempt that was admitted.
func (g *Gate) Enter(p Pass, now time.Time) (wait time.Duration) {
	if wait, ok := g.sources.Enter(p.source, p.perSource, now); !ok {
		return max(wait, time.Second)
	}
	if wait, ok := g.clients.Enter(p.client, p.perClient, now); !ok {
		g.sources.Leave(p.source, p.perSource, false, now)
		return max(wait, time.Second)
	}
	return 0
}

// Leave ends an attempt that Enter admitted, and counts it if it failed.
func (g *Gate) Leave(p Pass, failed bool, now time.Time) {
	g.sources.Leave(p.source, p.perSource, failed, now)
	g.clients.Leave(p.client, p.perClient, failed, now)
}
