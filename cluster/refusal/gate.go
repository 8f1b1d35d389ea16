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
// A source is an IPv4 address or an IPv6 /64. The /56 and the /48 around it have
// larger budgets, because one subscriber may have all of their /64. A user who has
// logged in from a source has a small budget of their own there, so that neighbors
// behind the same address cannot shut them out.
//
// It counts on this node only and in memory. An attacker who asks all nodes has
// one budget per node. A budget for the whole cluster would cost one commit per
// guess, which is what the gate avoids.
type Gate struct {
	sources *throttle.Throttle[source]
	wider   *throttle.Throttle[source] // apart, so that many /64 do not push them out
	clients *throttle.Throttle[client]
	known   *known
}

type source struct {
	door    events.Door
	network netip.Prefix
}

type client struct {
	door events.Door
	name string
}

// How much larger the budgets of larger networks are.
const (
	factor56 = 4
	factor48 = 16
)

// NewGate returns a gate that has counted nothing.
func NewGate() *Gate {
	return &Gate{
		throttle.New[source](throttle.Remembered), throttle.New[source](throttle.Remembered),
		throttle.New[client](throttle.Remembered), newKnown(),
	}
}

// Pass is an attempt inside the gate, with the limits that applied on entry.
type Pass struct {
	user      string // canonical; empty if unknown
	source    source
	site      source // the /56
	large     source // the /48
	client    client
	perSource throttle.Rate // zero if the source is unknown
	perSite   throttle.Rate // zero for IPv4
	perLarge  throttle.Rate
	perClient throttle.Rate // zero for a trusted client
	remember  time.Duration

	wait time.Duration // for others, if the user's own budget admitted the attempt
	own  pair          // of that budget
}

// PassFor returns the pass of a user's attempt under the present policy.
func PassFor(s *engine.State, a engine.Attempt, user string) Pass {
	var p Pass
	if a.Source.IsValid() {
		p.source = source{a.Origin.Door, throttle.Network(a.Source)}
		p.perSource = throttle.Rate{Burst: s.Policy.SourceFailures, Every: s.Policy.SourceEvery}
		if site, large := wider(p.source.network); site.IsValid() {
			p.site, p.large = source{a.Origin.Door, site}, source{a.Origin.Door, large}
			p.perSite, p.perLarge = times(p.perSource, factor56), times(p.perSource, factor48)
		}
		if name, err := engine.Canonical(user); err == nil {
			p.user, p.remember = name, s.Policy.SourceRemember
		}
	}
	if a.Client != "" && !s.Trusts(a.Origin) {
		p.client = client{a.Origin.Door, a.Client}
		p.perClient = throttle.Rate{Burst: s.Policy.ClientFailures, Every: s.Policy.ClientEvery}
	}
	return p
}

func times(r throttle.Rate, factor int) throttle.Rate {
	return throttle.Rate{Burst: r.Burst * factor, Every: r.Every / time.Duration(factor)}
}

// Enter admits an attempt and returns 0, or returns how long to wait. Attempts
// in progress count as failures, so parallel attempts gain nothing. Call Leave
// after each attempt that was admitted.
func (g *Gate) Enter(p *Pass, now time.Time) (wait time.Duration) {
	if wait = g.enter(*p, now); wait == 0 || p.user == "" {
		return wait
	}
	own := g.known.pair(p.source, p.user)
	if !g.known.has(own, p.remember, now) {
		return wait
	}
	if _, ok := g.known.budgets.Enter(own, knownRate, now); !ok {
		return wait
	}
	p.own, p.wait = own, wait
	return 0
}

// enter is Enter without the user's own budget.
func (g *Gate) enter(p Pass, now time.Time) (wait time.Duration) {
	if wait, ok := g.sources.Enter(p.source, p.perSource, now); !ok {
		return max(wait, time.Second)
	}
	if wait, ok := g.wider.Enter(p.site, p.perSite, now); !ok {
		g.sources.Leave(p.source, p.perSource, false, now)
		return max(wait, time.Second)
	}
	if wait, ok := g.wider.Enter(p.large, p.perLarge, now); !ok {
		g.sources.Leave(p.source, p.perSource, false, now)
		g.wider.Leave(p.site, p.perSite, false, now)
		return max(wait, time.Second)
	}
	if wait, ok := g.clients.Enter(p.client, p.perClient, now); !ok {
		g.leaveSources(p, false, now)
		return max(wait, time.Second)
	}
	return 0
}

func (g *Gate) leaveSources(p Pass, failed bool, now time.Time) {
	g.sources.Leave(p.source, p.perSource, failed, now)
	g.wider.Leave(p.site, p.perSite, failed, now)
	g.wider.Leave(p.large, p.perLarge, failed, now)
}

// Leave ends an attempt that Enter admitted, and counts it if it failed.
func (g *Gate) Leave(p Pass, failed bool, now time.Time) {
	if p.wait > 0 {
		g.known.budgets.Leave(p.own, knownRate, failed, now)
		return
	}
	g.leaveSources(p, failed, now)
	g.clients.Leave(p.client, p.perClient, failed, now)
}

// Remember notes that a user has logged in with an attempt.
func (g *Gate) Remember(p Pass, user string, now time.Time) {
	if p.source.network.IsValid() {
		g.known.add(g.known.pair(p.source, user), now)
	}
}

// Wait is what to answer to an attempt that Enter admitted and that failed: 0 for
// its own answer. Where everybody else must wait, a failure of a user who is known
// there looks the same, so that strangers do not learn who is.
func (p Pass) Wait() time.Duration { return p.wait }
