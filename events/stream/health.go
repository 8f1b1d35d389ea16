package stream

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// stalledAfter is how long records may wait before publishing counts as failed,
// whatever the reason.
const stalledAfter = 5 * time.Second

// State says what a publisher does.
type State string

// The states of a publisher.
const (
	Publishing State = "publishing"
	Waiting    State = "waiting" // for records that the journal lacks
	Failing    State = "failing"
	Idle       State = "idle" // it does not run
)

// Health is what became of publishing.
type Health struct {
	State     State
	Published uint64 // the last record that the stream is known to hold
	Backlog   uint64
	Since     time.Time // the state, if it is Failing: the time of the last success
	Err       error     // why it fails
	Failures  uint64    // sessions that failed since the start
	Differed  uint64    // times that the stream differed from the journal
	Rebuilt   bool      // the last time, it was written anew
	What      string    // what differed the last time
}

// Health returns what became of publishing at the time now.
func (p *Publisher) Health(now time.Time) Health {
	published, backlog := p.Published(), p.Backlog()
	h := p.health.read(now, published, backlog)
	h.Published, h.Backlog = published, backlog
	return h
}

// health is the record that a publisher keeps.
type health struct {
	mu    sync.Mutex // guards below
	last  Health
	at    uint64    // the record that had been published at the time moved
	since time.Time // when it was seen, or when nothing waited
}

var errStalled = errors.New("nothing was published")

func (h *health) read(now time.Time, published, backlog uint64) Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	if published != h.at || backlog == 0 || h.since.IsZero() {
		h.at, h.since = published, now
	}
	out := h.last
	if out.State == "" {
		out.State = Idle
	}
	if waited := now.Sub(h.since); out.State == Publishing && waited >= stalledAfter {
		out.State, out.Err, out.Since = Failing, fmt.Errorf("%w for %v", errStalled, waited.Round(time.Second)), h.since
	}
	return out
}

// set changes the state.
func (h *health) set(s State, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last.State != s {
		h.last.State, h.last.Since = s, time.Now()
	}
	h.last.Err = err
	if s == Failing {
		h.last.Failures++
	}
}

func (h *health) working()         { h.set(Publishing, nil) }
func (h *health) waiting()         { h.set(Waiting, nil) }
func (h *health) idle()            { h.set(Idle, nil) }
func (h *health) failed(err error) { h.set(Failing, err) }

// differed notes that the stream differs from the journal.
func (h *health) differed(err error, rebuilt bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if what := err.Error(); rebuilt || h.last.State != Failing || what != h.last.What {
		h.last.Differed++
		h.last.What, h.last.Rebuilt = what, rebuilt
	}
}
