package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/engine/tokencode"
	"keyfob/events"
)

// rig is a cluster of real nodes with real TLS over loopback addresses in one process.
// The test can disturb its network and clocks.
type rig struct {
	t     testing.TB
	nodes []*testNode
	token string

	mu    sync.Mutex               // guards the fields below
	cut   map[string]bool          // names of isolated nodes
	off   map[string]time.Duration // offsets of clocks by node; "" for all
	still time.Time
	con   map[string][]net.Conn
	adr   map[string]string // node names by address

	configure func(*Config) // changes the configuration of later nodes
}

type testNode struct {
	*Node
	name   string
	config Config
	stop   context.CancelFunc
	done   chan error
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{
		t: t, cut: map[string]bool{}, off: map[string]time.Duration{},
		con: map[string][]net.Conn{}, adr: map[string]string{},
	}
	// Cleanups run in reverse order: the nodes must stop before their directories
	// are removed, and the first call of TempDir registers that.
	t.TempDir()
	t.Cleanup(r.close)
	return r
}

// newCluster is a rig of size nodes that all vote.
func newCluster(t testing.TB, size int) *rig {
	t.Helper()
	return newClusterOf(t, size, nil)
}

// newClusterOf is newCluster with another configuration of the nodes.
func newClusterOf(t testing.TB, size int, configure func(*Config)) *rig {
	t.Helper()
	r := newRig(t)
	r.configure = configure
	r.bootstrap("n1")
	for i := 2; i <= size; i++ {
		r.join(fmt.Sprintf("n%d", i))
	}
	r.ready(size)
	return r
}

func (r *rig) config(name string) Config {
	r.t.Helper()
	c := DefaultConfig()
	c.Node, c.Data, c.Listen, c.Version = name, r.t.TempDir(), freeAddress(r.t), "test"
	c.Log = slog.New(slog.NewTextHandler(r.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	c.ElectionTimeout, c.LeaderLease = 500*time.Millisecond, 300*time.Millisecond
	c.HeartbeatInterval, c.LostAfter = 50*time.Millisecond, time.Second
	c.SampleEvery = 200 * time.Millisecond
	c.Vault.Remembered = 1 << 12
	c.Now = func() time.Time { return r.clock(name) }
	c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) { return r.dial(ctx, name, addr) }
	if r.configure != nil {
		r.configure(&c)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.adr[c.Listen] = name
	return c
}

// freeAddress returns an address for a node to listen on, also after a restart.
// Its host is a random one of 127.0.0.0/8, so that nothing else gets the port
// between now and then.
func freeAddress(t testing.TB) string {
	t.Helper()
	host := netip.AddrFrom4([4]byte{127, 1 + rand.N[byte](250), 1 + rand.N[byte](250), 1 + rand.N[byte](250)})
	l, err := net.Listen("tcp", netip.AddrPortFrom(host, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// clock is the time of a node's clock.
func (r *rig) clock(name string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.still
	if now.IsZero() {
		now = time.Now()
	}
	now = now.Add(r.off[""])
	if name != "" {
		now = now.Add(r.off[name])
	}
	return now
}

// freeze stops all clocks, so that a slow machine does not invalidate tokencodes.
// advance still moves them.
func (r *rig) freeze() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.still = time.Now()
}

// advance moves the clock of a node, or of all nodes if name is empty.
func (r *rig) advance(name string, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.off[name] += d
}

func (r *rig) dial(ctx context.Context, from, addr string) (net.Conn, error) {
	r.mu.Lock()
	to := r.adr[addr]
	bad := r.cut[from] || r.cut[to]
	r.mu.Unlock()
	if bad {
		return nil, errors.New("the network is cut")
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.con[from] = append(r.con[from], c)
	r.con[to] = append(r.con[to], c)
	return c, nil
}

// isolate cuts a node off from all others, or ends that.
func (r *rig) isolate(name string, cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut[name] = cut
	if cut {
		for _, c := range r.con[name] {
			_ = c.Close()
		}
		delete(r.con, name)
	}
}

func (r *rig) bootstrap(name string) *testNode {
	r.t.Helper()
	n := &testNode{name: name, config: r.config(name)}
	token, err := Bootstrap(r.t.Context(), n.config)
	if err != nil {
		r.t.Fatal(err)
	}
	r.token = token
	r.nodes = append(r.nodes, n)
	r.start(n)
	return n
}

func (r *rig) join(name string) *testNode {
	r.t.Helper()
	n := &testNode{name: name, config: r.config(name)}
	r.joinAs(n)
	return n
}

func (r *rig) joinAs(n *testNode) {
	r.t.Helper()
	var invitation string
	r.eventually("an invitation", func() error {
		var err error
		invitation, err = r.nodes[0].Invite(r.t.Context(), admin(), Invitee{Node: n.name, Approved: true})
		return err
	})
	r.nodes = append(r.nodes, n)
	if err := Join(r.t.Context(), invitation, n.config, nil); err != nil {
		r.t.Fatal(err)
	}
	r.start(n)
}

func (r *rig) start(n *testNode) {
	r.t.Helper()
	node, err := Open(n.config)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(r.t.Context()))
	n.Node, n.stop, n.done = node, stop, make(chan error, 1)
	go func() { n.done <- node.Run(ctx) }()
}

// kill ends a node as if its machine had crashed.
func (r *rig) kill(n *testNode) {
	r.t.Helper()
	if err := n.Close(); err != nil {
		r.t.Fatal(err)
	}
	<-n.done
	n.done = nil
}

func (r *rig) close() {
	for _, n := range r.nodes {
		if n.done == nil {
			continue
		}
		_ = n.Close()
		<-n.done
		n.done = nil
		n.stop()
	}
}

// eventually retries until try returns no error.
func (r *rig) eventually(what string, try func() error) {
	r.t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			r.t.Fatalf("waiting for %s: %v", what, err)
		}
	}
}

// ready waits until all nodes are ready and know that many voters.
func (r *rig) ready(voters int) {
	r.t.Helper()
	r.eventually("the cluster", func() error {
		for _, n := range r.nodes {
			if n.done == nil {
				continue
			}
			if err := n.Ready(); err != nil {
				return fmt.Errorf("%s: %w", n.name, err)
			}
			count := 0
			for _, m := range n.replica.members() {
				if m.Voter {
					count++
				}
			}
			if count != voters {
				return fmt.Errorf("%s knows of %d voters", n.name, count)
			}
		}
		return nil
	})
}

// leader waits for the node that leads.
func (r *rig) leader() (leader *testNode) {
	r.t.Helper()
	r.eventually("a leader", func() error {
		for _, n := range r.nodes {
			if n.done != nil && n.Leads() && !r.isCut(n.name) {
				leader = n
				return nil
			}
		}
		return errors.New("nobody leads")
	})
	return leader
}

// follower is a node that does not lead.
func (r *rig) follower() *testNode {
	r.t.Helper()
	leader := r.leader()
	for _, n := range r.nodes {
		if n != leader && n.done != nil {
			return n
		}
	}
	r.t.Fatal("there is no follower")
	return nil
}

func (r *rig) isCut(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cut[name]
}

func admin() events.Origin {
	return events.Origin{Request: newRequest(), Door: events.DoorAPI, Actor: "tester"}
}

// fob is a user with a token and a PIN.
type fob struct {
	user, serial, pin string
}

var fobParams = tokencode.Params{Kind: tokencode.TOTP, Algorithm: tokencode.SHA1, Digits: 6, Period: 30 * time.Second}

func (f fob) seed() []byte { return []byte(fmt.Sprintf("%-20.20s", "seed of "+f.user)) }

// passcode is the passcode of the interval that many intervals ahead.
func (f fob) passcode(now time.Time, ahead int64) engine.Secret {
	gen, err := tokencode.New(fobParams, f.seed())
	if err != nil {
		panic(err)
	}
	return engine.Secret(f.pin + gen.At(tokencode.Interval(fobParams, now)+ahead))
}

// attempt is a new attempt at a door.
func (r *rig) attempt(user string, typed engine.Secret) engine.Attempt {
	return engine.Attempt{
		Origin:  events.Origin{Request: newRequest(), Door: events.DoorAPI, Client: "vpn"},
		User:    user,
		Typed:   typed,
		Arrived: r.clock(""),
	}
}

func (r *rig) fob(user string) fob {
	r.t.Helper()
	return r.fobOn(r.leader(), user)
}

func (r *rig) fobOn(n *testNode, user string) fob {
	r.t.Helper()
	f := fob{user: user, serial: "T-" + user, pin: "135792"}
	sealed, err := n.SealSeed(f.serial, engine.Secret(f.seed()))
	if err != nil {
		r.t.Fatal(err)
	}
	pin, err := n.SealPIN(r.t.Context(), f.serial, 1, engine.Secret(f.pin))
	if err != nil {
		r.t.Fatal(err)
	}
	r.eventually("user "+user, func() error {
		err := n.Do(r.t.Context(), admin(), engine.AddUser{User: user})
		var refusal *engine.Refusal
		if errors.As(err, &refusal) && refusal.Code == engine.Exists {
			return nil
		}
		return err
	})
	err = n.Do(r.t.Context(), admin(), engine.ImportToken{
		Token: events.TokenImported{
			Serial: f.serial, Kind: "totp", Algorithm: "SHA1", Digits: 6, Period: 30,
			PINStyle: "fob", Form: engine.FormFob, Sealed: sealed,
		},
		User: user, PIN: pin,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return f
}
