package refusal

import (
	"slices"
	"sync"
	"time"

	"keyfob/events"
)

// MaxOthers is how many labels one record carries besides its own. A longer
// record would not be shown in full in the audit stream.
const MaxOthers = 100

// Sampler combines refusals that strangers can cause without limit: guesses at
// unknown users, throttled attempts, API tokens that are not valid. For each
// kind it produces one record per interval, which holds the number of refusals
// and what tells them apart.
type Sampler struct {
	every time.Duration

	mu      sync.Mutex // guards samples
	samples map[string]*sample
}

// sample is what has been counted for one kind.
type sample struct {
	last   time.Time // when the last record was produced
	count  uint32
	event  events.Sampled // of the latest refusal, as are origin and label
	origin events.Origin
	label  string
	others []string
}

// NewSampler returns a sampler that produces at most one record per kind in
// each interval.
func NewSampler(every time.Duration) *Sampler {
	return &Sampler{every: every, samples: make(map[string]*sample)}
}

// Add counts a refusal. The kinds are few and fixed; the label, such as a
// reference or a source, tells refusals of one kind apart. ok reports that a
// record is due, which d holds.
func (s *Sampler) Add(kind, label string, o events.Origin, e events.Sampled, now time.Time) (d events.Draft, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.samples[kind]
	if g == nil {
		g = &sample{}
		s.samples[kind] = g
	}
	g.add(label, o, e)
	if now.Sub(g.last) < s.every {
		return events.Draft{}, false
	}
	return g.take(now), true
}

func (g *sample) add(label string, o events.Origin, e events.Sampled) {
	if before := g.label; before != label && before != "" && len(g.others) < MaxOthers && !slices.Contains(g.others, before) {
		g.others = append(g.others, before)
	}
	if i := slices.Index(g.others, label); i >= 0 {
		g.others = slices.Delete(g.others, i, i+1)
	}
	g.count++
	g.event, g.origin, g.label = e, o, label
}

// Flush returns the records of everything counted since the last ones.
func (s *Sampler) Flush(now time.Time) []events.Draft {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []events.Draft
	for _, g := range s.samples {
		if g.count > 0 {
			all = append(all, g.take(now))
		}
	}
	return all
}

func (g *sample) take(now time.Time) events.Draft {
	count := g.count
	if count == 1 {
		count = 0 // stands for itself
	}
	d := events.Draft{Origin: g.origin, Event: g.event.StandFor(count, g.others)}
	*g = sample{last: now}
	return d
}
