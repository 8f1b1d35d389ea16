package cluster

import (
	"context"
	"sync"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// sampler thins out what strangers can cause without end: guesses at users
// that do not exist, and conversations that were never ours. The log is not
// the attacker's disk: however many there are, one record in a while says how
// many it stands for.
type sampler struct {
	every time.Duration

	mu      sync.Mutex // guards below
	last    time.Time  // when one was written down
	pending events.PasscodeRejected
	origin  events.Origin
}

// add counts a guess and says whether it is to be written down at once.
func (s *sampler) add(o events.Origin, e events.PasscodeRejected, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.Count = s.pending.Count + 1
	s.pending, s.origin = e, o
	return now.Sub(s.last) >= s.every
}

// take gives what has gathered, if anything.
func (s *sampler) take(now time.Time) (events.Origin, events.PasscodeRejected, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.pending
	if e.Count == 0 {
		return events.Origin{}, e, false
	}
	s.pending, s.last = events.PasscodeRejected{}, now
	return s.origin, e, true
}

// guess counts an attempt that leaves no event of its own.
func (n *Node) guess(a engine.Attempt, reason events.Reason) {
	e := events.PasscodeRejected{Digest: n.vault.Pseudonym(a.User), Reason: reason}
	if n.sampler.add(a.Origin, e, time.Now()) {
		n.flush()
	}
}

func (n *Node) flush() {
	o, e, ok := n.sampler.take(time.Now())
	if !ok {
		return
	}
	if e.Count == 1 {
		e.Count = 0 // stands for itself
	}
	o.Request = newRequest() // not that of the attempt, which is no command
	n.observe(o, e)
}

// sample writes down what gathered, now and then, until ctx ends.
func (n *Node) sample(ctx context.Context) {
	tick := time.NewTicker(n.c.SampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			n.flush()
		case <-ctx.Done():
			return
		}
	}
}
