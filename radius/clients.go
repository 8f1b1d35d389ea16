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

// client is a RADIUS client in the form that requests need. It is rebuilt when
// its record changes; signers carry over.
type client struct {
	record  *engine.Client
	name    string
	site    string
	dialect dialect
	policy  policy
	secret  *sharedSecret
	signed  map[netip.Addr]struct{} // addresses that must sign, as recorded
	all     bool                    // all must, as recorded
	single  bool                    // it has one address
	signers *signers

	// While a rotation of the secret is under way:
	oldSecret  *sharedSecret
	oldUntil   time.Time
	awaited    bool       // secret is new and has not been seen
	secretSeen *throttled // reports that it was
}

// policy is when a client must sign its requests with a Message-Authenticator.
type policy uint8

const (
	policyAuto    policy = iota // once its address has sent one
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

// unsigned returns why a request without a Message-Authenticator from an address
// is dropped, or "".
func (c *client) unsigned(from netip.Addr) Cause {
	switch {
	case c.policy == policyRequire:
		return DropUnsigned
	case c.policy == policyAuto && (c.recorded(from) || c.signers.has(from)):
		return DropStripped
	default:
		return ""
	}
}

// recorded reports whether the cluster knows that an address has signed.
func (c *client) recorded(from netip.Addr) bool {
	_, ok := c.signed[from]
	return ok || c.all
}

// clients finds the client that a packet comes from.
type clients struct {
	node  Node
	warn  func(cause Cause, client string, err error)
	table atomic.Pointer[clientTable]

	mu      sync.Mutex // held during a refresh; guards checked
	checked time.Time
}

// clientTable is the set of clients at one moment. It does not change.
type clientTable struct {
	records  []*engine.Client // in order of name: what the table was made from
	complete bool             // every record could be used
	byName   map[string]*client
	byPrefix map[netip.Prefix]*client
	bits4    []int // prefix lengths that occur, longest first
	bits6    []int
}

// freshFor is how long the table is used before it is compared with the state.
// Comparing costs some nanoseconds per client.
const freshFor = 100 * time.Millisecond

func newClients(node Node, warn func(Cause, string, error)) *clients {
	c := &clients{node: node, warn: warn}
	c.table.Store(&clientTable{complete: true})
	return c
}

// lookup returns the client with the longest prefix that contains an address.
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
		if found, ok := t.byPrefix[prefix]; ok {
			return found, true
		}
	}
	return nil, false
}

// named returns the client of a name.
func (c *clients) named(name string, now time.Time) (*client, bool) {
	c.refresh(now)
	found, ok := c.table.Load().byName[name]
	return found, ok
}

// refresh rebuilds the table if the state's clients have changed. While another
// goroutine refreshes, the present table is used.
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
	// Records are immutable: the same pointers are the same clients.
	if old.complete && slices.Equal(records, old.records) {
		return
	}
	c.table.Store(c.build(old, records))
}

func (c *clients) build(old *clientTable, records []*engine.Client) *clientTable {
	t := &clientTable{
		records:  records,
		complete: true,
		byName:   make(map[string]*client, len(records)),
		byPrefix: make(map[netip.Prefix]*client, len(records)),
	}
	for _, r := range records {
		made, err := c.clientOf(r, old.byName[r.Name])
		if err != nil {
			c.warn(DropUnusableClient, r.Name, err)
			t.complete = false
			continue
		}
		t.byName[r.Name] = made
		prefix := canonical(r.Prefix)
		if _, taken := t.byPrefix[prefix]; taken {
			c.warn(FailedOverlap, r.Name, nil)
			continue
		}
		t.byPrefix[prefix] = made
		lengths := &t.bits6
		if prefix.Addr().Is4() {
			lengths = &t.bits4
		}
		*lengths = append(*lengths, prefix.Bits())
	}
	t.bits4, t.bits6 = longestFirst(t.bits4), longestFirst(t.bits6)
	return t
}

// clientOf turns a record into a client and carries over what still applies from
// the client before.
func (c *clients) clientOf(r *engine.Client, before *client) (*client, error) {
	if before != nil && before.record == r {
		return before, nil
	}
	made := &client{
		record: r, name: r.Name, site: r.Site,
		dialect: dialectOf(r.Dialect),
		policy:  policyOf(r.MessageAuthenticator),
		signed:  make(map[netip.Addr]struct{}, len(r.Signed)),
		single:  r.Prefix.IsSingleIP(),
		all:     r.SignedAll,
		signers: newSigners(),

		oldUntil:   r.OldUntil.Std(),
		awaited:    r.AwaitsSecret(),
		secretSeen: new(throttled),
	}
	for _, a := range r.Signed {
		made.signed[plain(a)] = struct{}{}
	}
	if before != nil && made.continues(before) {
		made.signers = before.signers
	}
	var err error
	if made.secret, err = c.open(r.Name, r.Secret, before); err != nil {
		return nil, err
	}
	if len(r.OldSecret) > 0 {
		if made.oldSecret, err = c.open(r.Name, r.OldSecret, before); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// open unseals a secret, or takes it from the client before.
func (c *clients) open(name string, sealed []byte, before *client) (*sharedSecret, error) {
	if before != nil && bytes.Equal(sealed, before.record.Secret) {
		return before.secret, nil
	}
	secret, err := c.node.OpenClientSecret(name, sealed)
	if err != nil {
		return nil, err
	}
	return newSharedSecret(secret), nil
}

// continues reports whether a client is the one before, changed, and no address
// was cleared. A client that was removed and added again lacks addresses that were
// recorded, or has another secret that is not a rotated one.
func (c *client) continues(before *client) bool {
	rotated := c.record.Revision > before.record.Revision
	return c.record.Cleared == before.record.Cleared && c.includes(before) && (rotated || bytes.Equal(c.record.Secret, before.record.Secret))
}

// includes reports whether all addresses that were recorded still are.
func (c *client) includes(before *client) bool {
	for a := range before.signed {
		if !c.recorded(a) {
			return false
		}
	}
	return c.all || !before.all
}

// longestFirst sorts lengths and removes duplicates.
func longestFirst(lengths []int) []int {
	slices.Sort(lengths)
	lengths = slices.Compact(lengths)
	slices.Reverse(lengths)
	return lengths
}

// plain removes the forms that an IPv6 socket gives to an address.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// canonical returns a prefix in the form that lookup uses.
func canonical(p netip.Prefix) netip.Prefix {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked()
}
