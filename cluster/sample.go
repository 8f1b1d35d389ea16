package cluster

import (
	"context"
	"sync"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// maxOthers is how many references a record carries besides its own. With more,
// it would be longer than the stream shows.
const maxOthers = 100

// sampler thins out what strangers can cause without end: guesses at users
// that do not exist, conversations that were never ours, and what was not even
// looked at. The log is not the attacker's disk: however many there are, one
// record of each reason in a while says how many it stands for, and for which
// references.
type sampler struct {
	every time.Duration

	mu      sync.Mutex // guards below
	gathers map[events.Reason]*gathering
}

// gathering is what has come together of one reason.
type gathering struct {
	last    time.Time // when some of it was written down
	pending events.PasscodeRejected
	origin  events.Origin
}

// add counts a refusal. The record is there when it is time for one.
func (s *sampler) add(o events.Origin, e events.PasscodeRejected, now time.Time) (events.Draft, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.gathers[e.Reason]
	if g == nil {
		g = &gathering{}
		s.gathers[e.Reason] = g
	}
	e.Count = g.pending.Count + 1
	if e.Others = g.pending.Others; g.origin.Reference != "" && len(e.Others) < maxOthers {
		e.Others = append(e.Others, g.origin.Reference)
	}
	g.pending, g.origin = e, o
	if now.Sub(g.last) < s.every {
		return events.Draft{}, false
	}
	return g.take(now), true
}

// rest is the records of all that has gathered.
func (s *sampler) rest(now time.Time) []events.Draft {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []events.Draft
	for _, g := range s.gathers {
		if g.pending.Count > 0 {
			all = append(all, g.take(now))
		}
	}
	return all
}

// take is the record of what has gathered.
func (g *gathering) take(now time.Time) events.Draft {
	o, e := g.origin, g.pending
	if e.Count == 1 {
		e.Count = 0 // stands for itself
	}
	o.Request = newRequest() // not that of the attempt, which is no command
	*g = gathering{last: now}
	return events.Draft{Origin: o, Event: e}
}

// guess counts an attempt that leaves no event of its own.
func (n *Node) guess(a engine.Attempt, reason events.Reason) {
	e := events.PasscodeRejected{Digest: n.vault.Pseudonym(a.User), Reason: reason}
	if d, ok := n.sampler.add(a.Origin, e, time.Now()); ok {
		n.observe(d.Origin, d.Event)
	}
}

// sample writes down what gathered, now and then, until ctx ends.
func (n *Node) sample(ctx context.Context) {
	tick := time.NewTicker(n.c.SampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			for _, d := range n.sampler.rest(time.Now()) {
				n.observe(d.Origin, d.Event)
			}
		case <-ctx.Done():
			return
		}
	}
}
