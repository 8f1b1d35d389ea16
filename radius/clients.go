package radius

import (
	"bytes"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"keyfob/engine"
)

// client is a RADIUS client as a request needs it. It is made anew when its
// record changes; load and latch go on.
type client struct {
	record  *engine.Client
	name    string
	site    string
	dialect dialect
	policy  policy
	secret  *sharedSecret
	signed  map[netip.Addr]struct{} // addresses, as recorded
	load    *atomic.Int64           // requests outstanding
	latch   *latch
}

// policy is what a client owes in its requests.
type policy uint8

const (
	policyAuto    policy = iota // a Message-Authenticator, once the address has sent one
	policyRequire               // always
	policyAllow                 // never
)

func policyOf(name string) policy {
	switch name {
	case "require":
		return policyRequire
	case "allow":
		return policyAllow
	default:
		return policyAuto
	}
}

// owes reports whether a request from an address must be signed.
func (c *client) owes(from netip.Addr) bool {
	switch c.policy {
	case policyRequire:
		return true
	case policyAllow:
		return false
	default:
		_, recorded := c.signed[from]
		return recorded || c.latch.holds(from)
	}
}

// clients finds the client that a packet comes from.
type clients struct {
	node   Node
	notice func(cause Cause, client string, err error)
	table  atomic.Pointer[clientTable]

	mu      sync.Mutex // one refresh at a time; guards checked
	checked time.Time
}

// clientTable is the clients at one moment. It does not change.
type clientTable struct {
	records []*engine.Client // in order of name: what the table was made of
	whole   bool             // all of them could be made use of
	byName  map[string]*client
	prefix  map[netip.Prefix]*client
	bits4   []int // lengths of prefix that occur, longest first
	bits6   []int
}

// freshFor is how long the table is used before the state is asked whether
// it still holds. Comparing costs some nanoseconds for each client.
const freshFor = 100 * time.Millisecond

func newClients(node Node, notice func(Cause, string, error)) *clients {
	c := &clients{node: node, notice: notice}
	c.table.Store(&clientTable{whole: true})
	return c
}

// lookup is the client with the longest prefix that holds an address.
func (c *clients) lookup(from netip.Addr, now time.Time) (*client, bool) {
	c.refresh(now)
	t := c.table.Load()
	lengths := t.bits6
	if from.Is4() {
		lengths = t.bits4
	}
	for _, bits := range lengths {
		prefix, err := from.Prefix(bits)
		if err != nil {
			continue
		}
		if found, ok := t.prefix[prefix]; ok {
			return found, true
		}
	}
	return nil, false
}

// named is the client of that name.
func (c *clients) named(name string, now time.Time) (*client, bool) {
	c.refresh(now)
	found, ok := c.table.Load().byName[name]
	return found, ok
}

// refresh makes the table anew if the state's clients have changed. Whoever
// finds another at it goes on with what there is.
func (c *clients) refresh(now time.Time) {
	if !c.mu.TryLock() {
		return
	}
	defer c.mu.Unlock()
	if now.Sub(c.checked) < freshFor {
		return
	}
	c.checked = now
	old := c.table.Load()
	records := make([]*engine.Client, 0, len(old.records))
	for r := range c.node.State().Clients {
		records = append(records, r)
	}
	// A record never changes: the same pointers are the same clients.
	if old.whole && slices.Equal(records, old.records) {
		return
	}
	c.table.Store(c.build(old, records))
}

func (c *clients) build(old *clientTable, records []*engine.Client) *clientTable {
	t := &clientTable{
		records: records,
		whole:   true,
		byName:  make(map[string]*client, len(records)),
		prefix:  make(map[netip.Prefix]*client, len(records)),
	}
	for _, r := range records {
		made, err := c.make(r, old.byName[r.Name])
		if err != nil {
			c.notice(DropUnusableClient, r.Name, err)
			t.whole = false
			continue
		}
		t.byName[r.Name] = made
		prefix := canonical(r.Prefix)
		if _, taken := t.prefix[prefix]; taken {
			c.notice(FailedOverlap, r.Name, nil)
			continue
		}
		t.prefix[prefix] = made
		lengths := &t.bits6
		if prefix.Addr().Is4() {
			lengths = &t.bits4
		}
		*lengths = append(*lengths, prefix.Bits())
	}
	t.bits4, t.bits6 = longestFirst(t.bits4), longestFirst(t.bits6)
	return t
}

// make turns a record into a client, and takes over from the one before what
// is still true.
func (c *clients) make(r *engine.Client, before *client) (*client, error) {
	if before != nil && before.record == r {
		return before, nil
	}
	made := &client{
		record: r, name: r.Name, site: r.Site,
		dialect: dialectOf(r.Dialect),
		policy:  policyOf(r.MessageAuthenticator),
		signed:  make(map[netip.Addr]struct{}, len(r.Signed)),
		load:    new(atomic.Int64),
		latch:   newLatch(),
	}
	for _, a := range r.Signed {
		made.signed[plain(a)] = struct{}{}
	}
	sameSecret := before != nil && bytes.Equal(before.record.Secret, r.Secret)
	if before != nil {
		made.load = before.load
	}
	// Who takes recorded addresses away, or replaces the secret, means the
	// client to begin anew.
	if sameSecret && made.knows(before.signed) {
		made.latch = before.latch
	}
	if sameSecret {
		made.secret = before.secret
		return made, nil
	}
	secret, err := c.node.OpenClientSecret(r.Name, r.Secret)
	if err != nil {
		return nil, err
	}
	made.secret = newSharedSecret(secret)
	return made, nil
}

func (c *client) knows(addresses map[netip.Addr]struct{}) bool {
	for a := range addresses {
		if _, ok := c.signed[a]; !ok {
			return false
		}
	}
	return true
}

// longestFirst sorts lengths and drops repetitions.
func longestFirst(lengths []int) []int {
	slices.Sort(lengths)
	lengths = slices.Compact(lengths)
	slices.Reverse(lengths)
	return lengths
}

// plain is an address without the forms that an IPv6 socket gives it.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// canonical is a prefix as addresses are looked up by.
func canonical(p netip.Prefix) netip.Prefix {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked()
}
