// Package throttle limits failures per key, with a leaky bucket for each.
//
// A caller enters before an attempt and leaves with its result. An attempt in
// flight counts as a failure, so that many attempts at the same time get no
// further than attempts one after the other. An attempt that succeeds is not
// counted. In any period, at most Burst failures are possible, plus one for each
// Every.
//
// The package has no clock; the time is passed in. Its memory is bounded.
package throttle

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// Remembered is how many keys a throttle keeps in this program. Beyond that,
// the key that was idle the longest is forgotten.
const Remembered = 10_000

// Rate is a limit. The zero value is no limit.
type Rate struct {
	Burst int           // failures at once
	Every time.Duration // time that gives one failure back
}

// bounds reports whether there is a limit.
func (r Rate) bounds() bool { return r.Burst > 0 && r.Every > 0 }

// full returns how long a full bucket takes to empty.
func (r Rate) full() time.Duration { return time.Duration(r.Burst) * r.Every }

// Throttle counts failures per key. It is safe for use by several goroutines.
type Throttle[K comparable] struct {
	most int

	mu     sync.Mutex // guards what follows
	counts map[K]*list.Element
	recent *list.List // of *count[K], the latest first
}

// count is a leaky bucket. Its level is stored as the time when it will be
// empty: each failure postpones that by Rate.Every.
type count[K comparable] struct {
	key   K
	empty time.Time
	open  int // attempts in flight
}

// New returns a throttle that keeps at most this many keys.
func New[K comparable](most int) *Throttle[K] {
	return &Throttle[K]{most: most, counts: make(map[K]*list.Element), recent: list.New()}
}

// Enter reports whether an attempt of the key is allowed now. If so, Leave must
// follow. If not, it returns how long until one is allowed. A wait of 0 means
// that only attempts in flight prevent it.
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

// Leave reports the result of an attempt for which Enter was called with the
// same key and rate.
func (t *Throttle[K]) Leave(key K, r Rate, failed bool, now time.Time) {
	if !r.bounds() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.counts[key]
	if at == nil && !failed {
		return // forgotten in the meantime
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

// Spend is Enter and Leave for an attempt that always counts.
func (t *Throttle[K]) Spend(key K, r Rate, now time.Time) (wait time.Duration, ok bool) {
	wait, ok = t.Enter(key, r, now)
	if ok {
		t.Leave(key, r, true, now)
	}
	return wait, ok
}

// level returns how long the bucket takes to empty. It is never more than full,
// even if the policy became stricter or the clock was set back.
func (c *count[K]) level(r Rate, now time.Time) time.Duration {
	level := min(max(0, c.empty.Sub(now)), r.full())
	c.empty = now.Add(level)
	return level
}

// fail adds a failure.
func (c *count[K]) fail(r Rate, now time.Time) {
	c.empty = now.Add(min(c.level(r, now)+r.Every, r.full()))
}

// count returns the bucket of a key, new if there is none. mu is held.
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

// forget removes a bucket. mu is held.
func (t *Throttle[K]) forget(at *list.Element) {
	delete(t.counts, t.recent.Remove(at).(*count[K]).key)
}

// Network returns the network that counts as one source: an IPv4 address, or an
// IPv6 /64, which is what one subscriber gets. For an invalid address it
// returns an invalid network.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}
