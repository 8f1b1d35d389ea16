package cluster

import (
	"container/heap"
	"context"
	"fmt"
	"sync"
	"time"

	"keyfob/engine"
)

const (
	// How long refusals stay slow after one of them was late.
	paceFor = time.Minute

	// Longest that a refusal is held back for the sake of slower ones. A VPN
	// asks again after some seconds, and has room for only so many at once.
	paceMost = time.Second
)

// holder keeps refusals back, so that neither what was wrong, nor whether the
// user exists, nor how long the commit took shows in when they leave.
//
// They leave by a bell and not by timers of Go: a timer fires up to a
// millisecond late in a process that is otherwise idle, by how much depends on
// when the process last had something to do, and that is when the refusal was
// decided. Over a local network half a millisecond can be measured.
type holder struct {
	limit int
	bell  *bell
	pace  pace

	mu   sync.Mutex // guards below, and setting the bell
	held departures
}

func newHolder(limit int) (*holder, error) {
	b, err := newBell()
	if err != nil {
		return nil, fmt.Errorf("making the timer of refusals: %w", err)
	}
	return &holder{limit: limit, bell: b}, nil
}

// run lets go what is due until ctx ends. What is held then is held no more by
// those who wait for it.
func (h *holder) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { _ = h.bell.close() })
	defer stop()
	for h.bell.wait() == nil {
		h.mu.Lock()
		for len(h.held) > 0 && !time.Now().Before(h.held[0].at) {
			close(heap.Pop(&h.held).(*departure).gone) //nolint:errcheck,forcetypeassert // the heap holds nothing else
		}
		h.set()
		h.mu.Unlock()
	}
}

// depart is closed when it is time for a refusal that is decided now, took
// after its attempt arrived. It is nil for one that is not to be held.
func (h *holder) depart(took, delay time.Duration) (<-chan struct{}, error) {
	took = max(took, 0)
	left := h.pace.keep(took, delay, time.Now()) - took
	if left <= 0 {
		return nil, nil
	}
	d := &departure{at: time.Now().Add(left), gone: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.held) >= h.limit {
		return nil, fmt.Errorf("too many refusals are held back: %w", engine.ErrBusy)
	}
	heap.Push(&h.held, d)
	if h.held[0] == d {
		h.set()
	}
	return d.gone, nil
}

// set has the bell ring for the first to leave. mu is held.
func (h *holder) set() {
	if len(h.held) > 0 {
		h.bell.ring(max(time.Until(h.held[0].at), time.Nanosecond))
	}
}

// departure is a refusal that is held back.
type departure struct {
	at   time.Time
	gone chan struct{}
}

// departures is a heap, the first to leave on top.
type departures []*departure

// Len implements heap.Interface, as the methods below.
func (d departures) Len() int           { return len(d) }
func (d departures) Less(i, j int) bool { return d[i].at.Before(d[j].at) }
func (d departures) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }

// Push adds a *departure.
func (d *departures) Push(x any) { *d = append(*d, x.(*departure)) } //nolint:errcheck,forcetypeassert // nothing else is pushed

// Pop takes the last one off.
func (d *departures) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	return x
}

// pace is for refusals that come later than the delay: a slow disk delays
// those that are written down and no others, and a queue for Argon2id those
// whose tokencode was right. So a late one waits for the next multiple of the
// delay, and for a while all refusals leave as late as it did.
type pace struct {
	mu      sync.Mutex    // guards below
	slowest time.Duration // that counts
	until   time.Time     // when it no longer does
}

// keep is how long after its arrival an attempt is refused that took so long
// to decide.
func (p *pace) keep(took, delay time.Duration, now time.Time) time.Duration {
	if delay <= 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if beats(took, delay) >= beats(p.slowest, delay) || !now.Before(p.until) {
		p.slowest, p.until = took, now.Add(paceFor)
	}
	return min(beats(p.slowest, delay), max(1, paceMost/delay)) * delay
}

// beats is how many delays something takes, begun ones included, at least one.
func beats(took, delay time.Duration) time.Duration {
	return max(1, (took+delay-1)/delay)
}
