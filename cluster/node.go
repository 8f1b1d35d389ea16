package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"keyfob/cluster/clock"
	"keyfob/cluster/link"
	"keyfob/cluster/refusal"
	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/events"
	"keyfob/events/journal"
	"keyfob/fsm"
)

const (
	openTimeout   = 30 * time.Second // for the seal provider
	drainTimeout  = 5 * time.Second  // for requests under way when the node stops
	snapshotsKept = 2
	outboxSize    = 8192
	notesSize     = 16
)

// Node is this machine's member of the cluster. Its methods may be called from
// any goroutine; they decide nothing before Run runs.
type Node struct {
	c   Config
	log *slog.Logger
	id  identity

	vault    *vault.Vault
	keys     keys
	machine  *fsm.Machine
	journal  *journal.Journal
	store    *logStore
	listener net.Listener
	link     *link.Link
	raft     *raft.Raft
	made     atomic.Bool // raft is there: the link may ask for members before
	notify   chan bool   // leadership gained, lost

	batcher  *batcher
	outbox   chan parcel       // commands for the leader
	notes    chan events.Draft // what this node has to tell the leader
	first    []*proposal       // the first commands of a new cluster, or of a restored one
	before   uint64            // the record that they rest on
	term     uint64            // of the last reign that was recorded
	clock    *clock.Clock
	disputed bool // of feel's goroutine: the clock was found wrong
	peers    peers
	mark     atomic.Pointer[mark]
	gate     *refusal.Gate
	sampler  *refusal.Sampler
	refusals *refusal.Delay
	caughtUp atomic.Bool // has been level with the leader

	doors    turnstile     // requests under way
	stopping chan struct{} // closed when no request is tried again
	broken   chan struct{} // closed by fail
	killed   chan struct{} // closed by Close
	dead     chan struct{} // closed when Raft is shut down
	gone     chan struct{} // closed when everything is closed
	failure  error         // why broken is closed
	failOnce sync.Once
	killOnce sync.Once
	stopOnce sync.Once
	goneOnce sync.Once
	running  atomic.Bool
}

// Open opens the node in c.Data, which Found or Join made. The error says in
// one line what is wrong with the directory.
func Open(c Config) (*Node, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	id, err := c.loadIdentity()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	root, err := vault.LoadRoot(ctx, c.file(fileRoot), c.provider(), id.Cluster)
	if err != nil {
		return nil, err
	}
	defer root.Wipe()
	v, err := vault.Open(root, id.Cluster, c.Vault)
	if err != nil {
		return nil, err
	}
	key, err := v.Open(vault.CA, nodeKeyPlace(id.ID), id.Key)
	if err != nil {
		return nil, fmt.Errorf("opening the node's key in %s: %w", c.file(fileIdentity), err)
	}
	// A voter that forgot its log could vote twice in a term.
	if _, err := os.Stat(filepath.Join(c.file(dirRaft), fileLog)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s has lost its log: remove node %s from the cluster, and let it join anew with an empty data directory", c.Data, c.Node)
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("listening for other nodes: %w", err)
	}
	return assemble(c, id, link.Key(key), v, listener)
}

// assemble puts the parts of a node together, and closes them again if one is
// missing.
func assemble(c Config, id identity, key link.Key, v *vault.Vault, listener net.Listener) (*Node, error) {
	n := &Node{
		c: c, log: c.Log.With("node", c.Node), id: id,
		vault: v, keys: keys{vault: v, random: rand.Reader}, listener: listener,
		notify:   make(chan bool, 16),
		outbox:   make(chan parcel, outboxSize),
		notes:    make(chan events.Draft, notesSize),
		clock:    clock.New(c.Now, c.ClockLimit, 10*max(c.Pulse, time.Second)),
		peers:    peers{heard: make(map[string]heard), learned: id.Members},
		gate:     refusal.NewGate(),
		sampler:  refusal.NewSampler(c.SampleEvery),
		stopping: make(chan struct{}), broken: make(chan struct{}),
		killed: make(chan struct{}), dead: make(chan struct{}), gone: make(chan struct{}),
	}
	n.doors.empty = sync.NewCond(&n.doors.mu)
	if err := n.open(key); err != nil {
		return nil, errors.Join(err, n.close())
	}
	n.batcher = &batcher{
		stamper: n.clock.Stamper(),
		ledger:  raftLedger{machine: n.machine, raft: n.raft, timeout: c.CommitTimeout, dead: n.dead},
		seal:    func(base uint64, b []byte) []byte { return sealEntry(v, base, b) },
		timeout: c.CommitTimeout,
		linger:  c.Linger,
		observe: c.Observe,
		log:     n.log,
		queue:   make(chan *proposal, c.Queue),
	}
	if n.batcher.observe == nil {
		n.batcher.observe = func(int, time.Duration) {}
	}
	n.made.Store(true)
	return n, nil
}

func (n *Node) open(key link.Key) error {
	var err error
	if n.refusals, err = refusal.NewDelay(n.c.Refusals); err != nil {
		return err
	}
	dir := n.c.file(dirRaft)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making data directory: %w", err)
	}
	if n.store, err = openLog(dir, n.fail); err != nil {
		return err
	}
	if n.journal, err = journal.Open(n.c.file(dirJournal), journal.Options{Cluster: n.id.Cluster, Log: n.log}); err != nil {
		return err
	}
	n.machine = fsm.New(fsm.Config{
		Open:         func(entry []byte) ([]byte, error) { return openEntry(n.vault, entry) },
		Journal:      n.journal,
		SealSnapshot: func(w io.Writer) io.WriteCloser { return n.vault.SealWriter(w, vault.Snapshots, snapshotPlace) },
		OpenSnapshot: func(r io.Reader) io.Reader { return n.vault.OpenReader(r, vault.Snapshots, snapshotPlace) },
		Halt:         n.fail,
	})
	n.link, err = link.New(link.Config{
		Listener: n.listener, Advertise: n.id.Address, ClusterID: n.id.Cluster, NodeID: n.id.ID,
		Certificate: n.id.Certificate, Key: key, CA: n.id.CA,
		Membership: n, Now: n.c.Now, Log: n.log, Dial: n.c.Dial,
	})
	if err != nil {
		return err
	}
	hc := raftLog(n.log)
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(dir, snapshotsKept, hc)
	if err != nil {
		return fmt.Errorf("opening snapshots: %w", err)
	}
	cache, err := raft.NewLogCache(512, n.store)
	if err != nil {
		return err
	}
	config := n.raftConfig()
	config.Logger = hc
	n.raft, err = raft.NewRaft(config, n.machine, cache, n.store, snapshots, n.link.RaftTransport(hc))
	if err != nil {
		return fmt.Errorf("starting from %s: %w", dir, err)
	}
	return nil
}

func (n *Node) raftConfig() *raft.Config {
	config := raft.DefaultConfig()
	config.LocalID = raft.ServerID(n.id.ID)
	config.HeartbeatTimeout = n.c.Heartbeat
	config.ElectionTimeout = n.c.Heartbeat
	config.LeaderLeaseTimeout = n.c.Lease
	config.CommitTimeout = 20 * time.Millisecond // how long an idle follower lags, and with it a challenge
	config.MaxAppendEntries = 64                 // each up to 64 KiB
	config.SnapshotThreshold = 1 << 40           // by bytes: see snapshots
	config.SnapshotInterval = time.Hour
	config.TrailingLogs = n.c.TrailingLogs
	config.NoLegacyTelemetry = true
	config.NotifyCh = n.notify
	return config
}

// fail stops the node: going on would be a lie.
func (n *Node) fail(err error) {
	n.failOnce.Do(func() {
		n.failure = err
		close(n.broken)
	})
}

// Run makes the node a member until ctx ends; then it answers what is under
// way, hands over leadership, and closes the node. It returns early, with the
// reason, if the node cannot go on. It may be called once.
func (n *Node) Run(ctx context.Context) error {
	if !n.running.CompareAndSwap(false, true) {
		return errors.New("running node: it runs already")
	}
	defer n.goneOnce.Do(func() { close(n.gone) })
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	wire, stopWire := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	defer stopWire()

	var workers, wires sync.WaitGroup
	wires.Go(func() {
		if err := n.link.Run(wire, n.rpc(), n.joins()); err != nil {
			n.fail(err)
		}
	})
	for range senders {
		workers.Go(func() { n.send(work) })
	}
	for _, worker := range []func(context.Context){n.govern, n.feel, n.tell, n.recordRefusals, n.snapshots, n.fill, n.refusals.Run} {
		workers.Go(func() { worker(work) })
	}

	select {
	case <-ctx.Done():
		n.drain()
	case <-n.broken:
	case <-n.killed:
	}
	// Raft first: whoever waits for a commit is answered by its end. The link
	// last: Raft must not find its peers gone.
	n.stopOnce.Do(func() { close(n.stopping) })
	stopWork()
	err := n.raft.Shutdown().Error()
	close(n.dead)
	workers.Wait()
	stopWire()
	wires.Wait()
	err = errors.Join(err, n.close())
	select {
	case <-n.broken:
		return n.failure
	default:
		return err
	}
}

// drain lets no new request in, waits for those under way, and hands over
// leadership, so that nobody notices the end.
func (n *Node) drain() {
	n.doors.shut(drainTimeout)
	if n.raft.State() != raft.Leader || len(n.members()) < 2 {
		return
	}
	done := make(chan error, 1)
	go func() { done <- outcome(n.raft.LeadershipTransfer(), n.dead) }()
	select {
	case err := <-done:
		if err != nil {
			n.log.Info("leadership was not handed over", "err", err)
		}
	case <-time.After(drainTimeout):
	}
}

// Close stops the node at once, as if the machine had died, and waits until it
// has closed its files. After Run has returned it does nothing.
func (n *Node) Close() error {
	n.killOnce.Do(func() { close(n.killed) })
	if n.running.CompareAndSwap(false, true) {
		n.stopOnce.Do(func() { close(n.stopping) })
		defer n.goneOnce.Do(func() { close(n.gone) })
		return errors.Join(n.raft.Shutdown().Error(), n.close())
	}
	<-n.gone
	return nil
}

// close closes the files. Raft must be shut down.
func (n *Node) close() error {
	var errs []error
	if n.listener != nil {
		if err := n.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if n.refusals != nil {
		n.refusals.Close()
	}
	if n.journal != nil {
		errs = append(errs, n.journal.Close())
	}
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	return errors.Join(errs...)
}

// rpc serves the other nodes.
func (n *Node) rpc() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /decide", n.decide)
	mux.HandleFunc("GET /pulse", n.pulse)
	mux.HandleFunc("POST /members", n.admit)
	mux.HandleFunc("POST /transfer", n.handOver)
	mux.HandleFunc("GET /journal", n.serveJournal)
	return mux
}

// State is the present state, which must not be changed.
func (n *Node) State() *engine.State { return n.machine.View().State }

// Journal is this node's journal.
func (n *Node) Journal() *journal.Journal { return n.journal }

// Cluster is the cluster's id.
func (n *Node) Cluster() string { return n.id.Cluster }

// Leads says whether this node takes commands for the cluster.
func (n *Node) Leads() bool { return n.batcher.leads() }

// turnstile counts requests under way.
type turnstile struct {
	mu     sync.Mutex // guards below
	empty  *sync.Cond
	inside int
	closed bool
}

func (t *turnstile) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.inside++
	return true
}

func (t *turnstile) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inside--; t.inside == 0 {
		t.empty.Broadcast()
	}
}

// shut lets nobody in any more, and waits until all have left or the time is
// up.
func (t *turnstile) shut(patience time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	late := false
	timer := time.AfterFunc(patience, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		late = true
		t.empty.Broadcast()
	})
	defer timer.Stop()
	for t.inside > 0 && !late {
		t.empty.Wait()
	}
}
