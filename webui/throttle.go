package webui

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxSources is how many sources a throttle remembers; beyond that the one
// that has been quiet the longest is forgotten.
const maxSources = 10_000

// throttle limits how many forms each source may send. The key is an IPv4
// address or an IPv6 /64, which is what one subscriber is given.
type throttle struct {
	perMinute int

	mu      sync.Mutex // guards what follows
	buckets map[netip.Prefix]*list.Element
	recent  *list.List // of bucket, the latest in front
}

type bucket struct {
	source  netip.Prefix
	limiter *rate.Limiter
}

func newThrottle(perMinute int) *throttle {
	return &throttle{perMinute: perMinute, buckets: make(map[netip.Prefix]*list.Element), recent: list.New()}
}

// allow takes one form of the source's share. When there is none left it says
// how long to wait for the next.
func (t *throttle) allow(source netip.Addr, now time.Time) (time.Duration, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	limiter := t.bucket(subscriber(source))
	if limiter.AllowN(now, 1) {
		return 0, true
	}
	lacking := 1 - limiter.TokensAt(now)
	return time.Duration(lacking * float64(time.Minute) / float64(t.perMinute)), false
}

func (t *throttle) bucket(source netip.Prefix) *rate.Limiter {
	if at, ok := t.buckets[source]; ok {
		t.recent.MoveToFront(at)
		return at.Value.(*bucket).limiter
	}
	if t.recent.Len() >= maxSources {
		oldest := t.recent.Back()
		delete(t.buckets, oldest.Value.(*bucket).source)
		t.recent.Remove(oldest)
	}
	b := &bucket{source: source, limiter: rate.NewLimiter(rate.Limit(float64(t.perMinute)/60), t.perMinute)}
	t.buckets[source] = t.recent.PushFront(b)
	return b.limiter
}

// subscriber is the network that counts as one source.
func subscriber(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // no prefix for no address: those share one bucket
	return p
}
