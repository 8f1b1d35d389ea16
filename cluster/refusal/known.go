package refusal

import (
	"container/list"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"keyfob/engine/throttle"
)

const maxKnown = 1 << 16 // pairs of user and network that are remembered, about 10 MB

// knownRate is the budget of a user at a network from which that user has logged in,
// when the network's own budget is used up.
var knownRate = throttle.Rate{Burst: 5, Every: time.Minute}

// known remembers who logged in from where, by keyed digests and in memory only. The
// pair that was used the longest ago is forgotten first.
type known struct {
	seed    maphash.Seed
	budgets *throttle.Throttle[pair]

	mu     sync.Mutex // guards what follows
	pairs  map[pair]*list.Element
	recent *list.List // of *login, the latest first
}

// pair is the digest of a user, a network and a door.
type pair uint64

type login struct {
	pair pair
	at   time.Time
}

func newKnown() *known {
	return &known{
		seed: maphash.MakeSeed(), budgets: throttle.New[pair](throttle.Remembered),
		pairs: make(map[pair]*list.Element), recent: list.New(),
	}
}

func (k *known) pair(s source, user string) pair {
	return pair(maphash.Comparable(k.seed, struct {
		source
		user string
	}{s, user}))
}

// add notes a login.
func (k *known) add(p pair, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if at, ok := k.pairs[p]; ok {
		k.recent.Remove(at)
	} else if k.recent.Len() >= maxKnown {
		delete(k.pairs, k.recent.Remove(k.recent.Back()).(*login).pair)
	}
	k.pairs[p] = k.recent.PushFront(&login{p, now})
}

// has reports whether there was a login within a time.
func (k *known) has(p pair, within time.Duration, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	at, ok := k.pairs[p]
	return ok && now.Sub(at.Value.(*login).at) < within
}

func (k *known) len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.recent.Len()
}

// wider returns the larger networks of an IPv6 network that a provider gives to one
// subscriber. They are invalid for IPv4.
func wider(n netip.Prefix) (site, large netip.Prefix) {
	if !n.IsValid() || !n.Addr().Is6() {
		return netip.Prefix{}, netip.Prefix{}
	}
	site, _ = n.Addr().Prefix(56)
	large, _ = n.Addr().Prefix(48)
	return site, large
}
