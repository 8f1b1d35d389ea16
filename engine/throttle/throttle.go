// Package throttle bounds how often somebody may do something: so many times at
// once, and once more each while.
//
// Whoever may do it again if it turns out well enters first and leaves with what
// it came to. What is under way counts as if it had failed, so that a thousand
// tries in the same instant get no further than one after the other, and what
// did not fail leaves no trace. The bound holds over any span of time: never do
// more than Burst and one for each Every fail in it.
//
// The package has no clock: the time is handed in. What it remembers is bounded.
package throttle

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// Remembered is how many keys a throttle remembers in this program; beyond that
// the one that has been quiet the longest is forgotten.
const Remembered = 10_000

// Rate is how often something may be done. The zero value sets no bound.
type Rate struct {
	Burst int           // at once
	Every time.Duration // one more each time it has passed
}

// bounds reports whether there is any bound.
func (r Rate) bounds() bool { return r.Burst > 0 && r.Every > 0 }

// full is how long a full bucket takes to empty.
func (r Rate) full() time.Duration { return time.Duration(r.Burst) * r.Every }

// Throttle keeps count for each key. It may be used by many goroutines.
type Throttle[K comparable] struct {
	most int

	mu     sync.Mutex // guards what follows
	counts map[K]*list.Element
	recent *list.List // of *count[K], the latest in front
}

// count is a bucket that leaks. How full it is, is when it will be empty: each
// failure puts that off by Rate.Every.
type count[K comparable] struct {
	key   K
	empty time.Time
	open  int // under way
}

// New makes a throttle that remembers at most so many keys.
func New[K comparable](most int) *Throttle[K] {
	return &Throttle[K]{most: most, counts: make(map[K]*list.Element), recent: list.New()}
}

// Enter asks whether the key may do it now. If so, Leave must follow. If not, it
// says how long until there is room. A wait of 0 then says that there is, but
// for what is under way.
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

// Leave says what an Enter with the same key and rate came to.
func (t *Throttle[K]) Leave(key K, r Rate, failed bool, now time.Time) {
	if !r.bounds() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.counts[key]
	if at == nil && !failed {
		return // forgotten meanwhile
	}
	c := t.count(key)
	c.open = max(0, c.open-1)
	if failed {
		c.fail(r, now)
	}
	if c.open == 0 && !c.empty.After(now) {
		t.forget(t.counts[key]) // as if it had never been here
	}
}

// Spend is Enter and Leave of what counts however it turns out.
func (t *Throttle[K]) Spend(key K, r Rate, now time.Time) (wait time.Duration, ok bool) {
	wait, ok = t.Enter(key, r, now)
	if ok {
		t.Leave(key, r, true, now)
	}
	return wait, ok
}

// level is how long it takes the bucket to empty. It is never more than full,
// though the policy has become stricter or the clock was put back.
func (c *count[K]) level(r Rate, now time.Time) time.Duration {
	level := min(max(0, c.empty.Sub(now)), r.full())
	c.empty = now.Add(level)
	return level
}

// fail fills the bucket by one.
func (c *count[K]) fail(r Rate, now time.Time) {
	c.empty = now.Add(min(c.level(r, now)+r.Every, r.full()))
}

// count is the key's, new if it has none. mu is held.
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

// Network is what counts as one source: an IPv4 address, or an IPv6 /64, which
// is what one subscriber is given. For no address it is no network.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}
