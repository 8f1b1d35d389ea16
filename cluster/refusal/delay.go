package refusal

import (
	"container/heap"
	"context"
	"fmt"
	"sync"
	"time"

	"keyfob/engine"
)

const (
	// How long a late refusal slows down the following ones.
	slowdownFor = time.Minute

	// The longest that refusals are held because an earlier one was late. A VPN
	// retries after a few seconds and has room for a limited number of requests.
	maxSlowdown = time.Second
)

// Delay holds refusals so that their timing reveals neither what was wrong, nor
// whether the user exists, nor how long the commit took.
//
// It uses a kernel timer instead of a Go timer. In an idle process a Go timer
// fires up to a millisecond late, by an amount that depends on when the process
// last had work, which is when the refusal was decided. Half a millisecond can
// be measured over a local network.
type Delay struct {
	limit int
	timer *timer
	pace  pace

	mu   sync.Mutex // guards held and setting the timer
	held queue
}

// NewDelay returns a Delay that holds up to limit refusals. Close it when Run
// is not called.
func NewDelay(limit int) (*Delay, error) {
	t, err := newTimer()
	if err != nil {
		return nil, fmt.Errorf("creating the refusal timer: %w", err)
	}
	return &Delay{limit: limit, timer: t}, nil
}

// Run releases refusals when they are due, until ctx ends. Then it closes the
// timer; refusals that are still held are not released.
func (d *Delay) Run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { _ = d.timer.close() })
	defer stop()
	for d.timer.wait() == nil {
		d.mu.Lock()
		for len(d.held) > 0 && !time.Now().Before(d.held[0].due) {
			close(heap.Pop(&d.held).(*held).release) //nolint:errcheck,forcetypeassert // the heap holds nothing else
		}
		d.setTimer()
		d.mu.Unlock()
	}
}

// Close releases the kernel timer. It may be called after Run.
func (d *Delay) Close() { _ = d.timer.close() }

// Hold takes a refusal that is decided now, took after its attempt arrived, and
// is to leave delay after it arrived. The channel is closed when it is time. It
// is nil if the refusal is already due. The error wraps engine.ErrBusy if too
// many refusals are held.
func (d *Delay) Hold(took, delay time.Duration) (<-chan struct{}, error) {
	took = max(took, 0)
	left := d.pace.next(took, delay, time.Now()) - took
	if left <= 0 {
		return nil, nil
	}
	h := &held{due: time.Now().Add(left), release: make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.held) >= d.limit {
		return nil, fmt.Errorf("too many refusals are being held: %w", engine.ErrBusy)
	}
	heap.Push(&d.held, h)
	if d.held[0] == h {
		d.setTimer()
	}
	return h.release, nil
}

// setTimer sets the timer for the first refusal that is due. mu is held.
func (d *Delay) setTimer() {
	if len(d.held) > 0 {
		d.timer.set(max(time.Until(d.held[0].due), time.Nanosecond))
	}
}

// held is a refusal that waits for its time.
type held struct {
	due     time.Time
	release chan struct{}
}

// queue is a heap of refusals, the first that is due on top.
type queue []*held

// Len implements heap.Interface, as do the methods below.
func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push adds a *held.
func (q *queue) Push(x any) { *q = append(*q, x.(*held)) } //nolint:errcheck,forcetypeassert // nothing else is pushed

// Pop removes the last element.
func (q *queue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return x
}

// pace handles refusals that are decided after the delay has passed. Without
// it, a slow disk would delay only refusals that are recorded, and a queue for
// Argon2id only those with a correct tokencode. A late refusal waits for the
// next multiple of the delay, and for a while all refusals leave as late as it
// did.
type pace struct {
	mu      sync.Mutex    // guards the fields below
	slowest time.Duration // the slowest decision that still counts
	until   time.Time     // when it no longer counts
}

// next is how long after its arrival an attempt is refused that took so long to
// decide.
func (p *pace) next(took, delay time.Duration, now time.Time) time.Duration {
	if delay <= 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if multiples(took, delay) >= multiples(p.slowest, delay) || !now.Before(p.until) {
		p.slowest, p.until = took, now.Add(slowdownFor)
	}
	return min(multiples(p.slowest, delay), max(1, maxSlowdown/delay)) * delay
}

// multiples is how many delays a decision took, rounded up, at least one.
func multiples(took, delay time.Duration) time.Duration {
	return max(1, (took+delay-1)/delay)
}
