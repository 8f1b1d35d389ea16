package refusal

import (
	"sync"
	"time"

	"keyfob/events"
)

// MaxOthers is how many further references one record carries. A longer record
// would not be shown in full in the audit stream.
const MaxOthers = 100

// Sampler combines refusals that strangers can cause without limit: guesses at
// unknown users, foreign conversations, and throttled attempts. For each reason
// it produces one record per interval, which holds the number of refusals and
// their references.
type Sampler struct {
	every time.Duration

	mu      sync.Mutex // guards samples
	samples map[events.Reason]*sample
}

// sample is what has been counted for one reason.
type sample struct {
	last    time.Time // when the last record was produced
	pending events.PasscodeRejected
	origin  events.Origin
}

// NewSampler returns a sampler that produces at most one record per reason in
// each interval.
func NewSampler(every time.Duration) *Sampler {
	return &Sampler{every: every, samples: make(map[events.Reason]*sample)}
}

// Add counts a refusal. ok reports that a record is due, which d holds.
func (s *Sampler) Add(o events.Origin, e events.PasscodeRejected, now time.Time) (d events.Draft, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.samples[e.Reason]
	if g == nil {
		g = &sample{}
		s.samples[e.Reason] = g
	}
	e.Count = g.pending.Count + 1
	if e.Others = g.pending.Others; g.origin.Reference != "" && len(e.Others) < MaxOthers {
		e.Others = append(e.Others, g.origin.Reference)
	}
	g.pending, g.origin = e, o
	if now.Sub(g.last) < s.every {
		return events.Draft{}, false
	}
	return g.take(now), true
}

// Flush returns the records of everything counted since the last ones.
func (s *Sampler) Flush(now time.Time) []events.Draft {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []events.Draft
	for _, g := range s.samples {
		if g.pending.Count > 0 {
			all = append(all, g.take(now))
		}
	}
	return all
}

func (g *sample) take(now time.Time) events.Draft {
	o, e := g.origin, g.pending
	if e.Count == 1 {
		e.Count = 0 // stands for itself
	}
	*g = sample{last: now}
	return events.Draft{Origin: o, Event: e}
}
