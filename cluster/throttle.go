package cluster

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/engine/throttle"
	"keyfob/events"
)

// gate stands before every attempt, whichever door it came to. It counts
// failures where they come from: for each source at each door, and for each
// client that is not trusted. Whoever has used up what the policy allows is not
// looked at. So a flood is neither checked nor counted against the users whom it
// names: it cannot lock them.
//
// It counts on this node alone and in memory. An attacker who asks all nodes has
// as many budgets as there are nodes; a budget of the cluster's would cost a
// commit for each guess, which is what it is to save.
type gate struct {
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

func newGate() gate {
	return gate{throttle.New[source](throttle.Remembered), throttle.New[client](throttle.Remembered)}
}

// pass is an attempt within the gate, and the rates that held when it came in.
type pass struct {
	source    source
	client    client
	perSource throttle.Rate // none, where no source is known
	perClient throttle.Rate // none for a trusted one
}

func passOf(s *engine.State, a engine.Attempt) pass {
	var p pass
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

// enter lets an attempt in, or says how long to wait. What is under way counts
// as if it had failed: whoever has as much under way as he may fail waits too.
func (g *gate) enter(p pass, now time.Time) (wait time.Duration) {
	if wait, ok := g.sources.Enter(p.source, p.perSource, now); !ok {
		return max(wait, time.Second)
	}
	if wait, ok := g.clients.Enter(p.client, p.perClient, now); !ok {
		g.sources.Leave(p.source, p.perSource, false, now)
		return max(wait, time.Second)
	}
	return 0
}

func (g *gate) leave(p pass, failed bool, now time.Time) {
	g.sources.Leave(p.source, p.perSource, failed, now)
	g.clients.Leave(p.client, p.perClient, failed, now)
}

// failed reports whether what an attempt came to counts against where it came
// from. What could not be decided does not, but for two cases: whoever hangs up
// has his guess decided all the same; and what a node that is crowded does not
// say must not be read off the budget.
func failed(caller context.Context, out engine.Outcome, err error) bool {
	if err == nil {
		return out.Verdict == engine.Reject
	}
	return errors.Is(err, vault.ErrBusy) || errors.Is(caller.Err(), context.Canceled)
}

// throttled refuses an attempt unseen, with the other refusals.
func (n *Node) throttled(ctx context.Context, a engine.Attempt, wait time.Duration) (engine.Outcome, error) {
	n.guess(a, events.ReasonThrottled)
	if err := n.hold(ctx, a.Arrived); err != nil {
		return engine.Outcome{}, err
	}
	return engine.Outcome{Reason: events.ReasonThrottled, Reference: a.Origin.Reference, Wait: wait}, nil
}
