// Package throttle limits failures: a burst at once, then one more per interval.
//
// A caller enters before the attempt and leaves with its result. An attempt in
// progress counts as a failure, so a thousand simultaneous attempts are limited
// like consecutive ones. A success leaves no trace. Over any span of time, the
// number of failures is at most Burst plus one per Every.
//
// The package has no clock: the time is a parameter. Its memory is bounded.
package throttle

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// Remembered is the number of keys that throttles of this program remember.
// Beyond that, the key that was idle the longest is forgotten.
const Remembered = 10_000

// Rate is the permitted rate of failures. The zero value sets no limit.
type Rate struct {
	Burst int           // failures at once
	Every time.Duration // interval after which one more is permitted
}

// bounds reports whether the rate sets a limit.
func (r Rate) bounds() bool { return r.Burst > 0 && r.Every > 0 }

// full returns how long a full bucket takes to drain.
func (r Rate) full() time.Duration { return time.Duration(r.Burst) * r.Every }

// Throttle counts failures by key. It is safe for concurrent use.
type Throttle[K comparable] struct {
	most int

	mu     sync.Mutex // guards what follows
	counts map[K]*list.Element
	recent *list.List // of *count[K], the latest in front
}

// count is a leaky bucket. Its level is stored as the time at which it will be
// empty; each failure delays that time by Rate.Every.
type count[K comparable] struct {
	key   K
	empty time.Time
	open  int // attempts in progress
}

// New returns a throttle that remembers at most the given number of keys.
func New[K comparable](most int) *Throttle[K] {
	return &Throttle[K]{most: most, counts: make(map[K]*list.Element), recent: list.New()}
}

// Enter reports whether an attempt is permitted. If so, Leave must follow. If
// not, wait is the time until one is; it is 0 if only attempts in progress stand
// in the way.
func (t *Throttle[K]) Enter(key K, r Rate, now time.Time) (wait time.Duration, ok bool) {
	if !r.bounds() {
		return 0, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.count(key)
	room := r.full() - c.level(r, now)
	switch {
	case room < r.Every:
		return r.Every - room, false
	case room < time.Duration(c.open+1)*r.Every:
		return 0, false
	}
	c.open++
	return 0, true
}

// Leave reports the result of an attempt that Enter, with the same key and rate,
// permitted.
func (t *Throttle[K]) Leave(key K, r Rate, failed bool, now time.Time) {
	if !r.bounds() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.counts[key]
	if at == nil && !failed {
		return // the key was forgotten
	}
	c := t.count(key)
	c.open = max(0, c.open-1)
	if failed {
		c.fail(r, now)
	}
	if c.open == 0 && !c.empty.After(now) {
		t.forget(t.counts[key]) // nothing to remember
	}
}

// Spend is Enter and Leave for attempts that always count.
func (t *Throttle[K]) Spend(key K, r Rate, now time.Time) (wait time.Duration, ok bool) {
	wait, ok = t.Enter(key, r, now)
	if ok {
		t.Leave(key, r, true, now)
	}
	return wait, ok
}

// level returns how long the bucket takes to drain, at most full, even if the
// policy has become stricter or the clock was set back.
func (c *count[K]) level(r Rate, now time.Time) time.Duration {
	level := min(max(0, c.empty.Sub(now)), r.full())
	c.empty = now.Add(level)
	return level
}

// fail adds one failure.
func (c *count[K]) fail(r Rate, now time.Time) {
	c.empty = now.Add(min(c.level(r, now)+r.Every, r.full()))
}

// count returns the count of the key, a new one if there is none. mu is held.
func (t *Throttle[K]) count(key K) *count[K] {
	if at, ok := t.counts[key]; ok {
		t.recent.MoveToFront(at)
		return at.Value.(*count[K])
	}
	if t.recent.Len() >= t.most {
		t.forget(t.recent.Back())
	}
	c := &count[K]{key: key}
	t.counts[key] = t.recent.PushFront(c)
	return c
}

// forget drops a count. mu is held.
func (t *Throttle[K]) forget(at *list.Element) {
	delete(t.counts, t.recent.Remove(at).(*count[K]).key)
}

// Network returns the network that counts as one source: an IPv4 address, or an
// IPv6 /64, which one subscriber has. For an invalid address it is the zero
// prefix.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}
