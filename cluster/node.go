package cluster

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"keyfob/cluster/clock"
	"keyfob/cluster/link"
	"keyfob/cluster/raftlog"
	"keyfob/cluster/refusal"
	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/events"
	"keyfob/events/journal"
)

const (
	openTimeout  = 30 * time.Second // for the seal provider
	drainTimeout = 5 * time.Second  // for requests in progress when the node stops
)

// Node is this machine's member of the cluster. Its methods may be called from
// any goroutine. It decides nothing before Run is called.
type Node struct {
	*self
	*lifecycle
	sealing

	vault      *vault.Vault
	keychain   *keychain
	store      *raftlog.Log
	journal    *journal.Journal
	listener   net.Listener
	link       *link.Link
	peers      peerClient
	replica    *replica
	members    *membership
	heartbeats *heartbeats
	batcher    *batcher
	forwarder  *forwarder
	recorder   *recorder
	audit      *auditReports
	leadership *leadership
	backfill   *backfill
	admission  *admission
	refusals   *refusals
	removal    *removal
	upkeep     *upkeep
	renewal    *certificates

	caughtUp atomic.Bool // it has been level with the leader
}

// Open opens the node in c.Data, which Bootstrap or Join created. The error says
// in one line what is wrong with the directory.
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
	keys, err := c.openKeys(v, id)
	if err != nil {
		return nil, err
	}
	// A voter without its log could vote twice in a term.
	if _, err := os.Stat(filepath.Join(c.file(dirRaft), raftlog.File)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s has lost its log: remove node %s from the cluster and join it again with an empty data directory", c.Data, c.Node)
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("listening for other nodes: %w", err)
	}
	n, err := assemble(c, id, keys, v, listener)
	if err != nil {
		return nil, err
	}
	n.upkeep.saved, n.upkeep.identity = root.Versions(), engine.KeyVersion(id.SealKey)
	return n, nil
}

// assemble opens the files of a node, puts its parts together, and starts Raft.
func assemble(c Config, id identity, own nodeKeys, v *vault.Vault, listener net.Listener) (*Node, error) {
	s := &self{c: c, log: c.Log.With("node", c.Node), id: id, file: &identityFile{c: c, id: id}}
	n := &Node{self: s, lifecycle: newLifecycle(), sealing: sealing{keys{vault: v, random: rand.Reader}}, vault: v, listener: listener}
	n.keychain = &keychain{self: s, vault: v, key: own.seal}
	err := n.open(own.tls)
	if err == nil {
		n.connect(own.tls)
		err = n.replica.start(n.link.RaftTransport)
	}
	if err != nil {
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

// open opens what can fail.
func (n *Node) open(key link.Key) (err error) {
	delay, err := refusal.NewDelay(n.c.HeldRefusals)
	if err != nil {
		return err
	}
	n.refusals = &refusals{
		self: n.self, gate: refusal.NewGate(), delay: delay, sampler: refusal.NewSampler(n.c.SampleEvery),
		vault: n.vault, stopping: n.stopping,
	}
	// Opening the log locks the data directory, so it comes first.
	if n.store, err = raftlog.Open(n.c.file(dirRaft), n.fail); err != nil {
		return err
	}
	n.journal, err = journal.Open(n.c.file(dirJournal), journal.Options{Cluster: n.id.Cluster, Log: n.log})
	if err != nil {
		return err
	}
	n.replica = newReplica(n.self, n.store, n.keychain, n.journal, n.fail)
	n.members = &membership{
		self: n.id.ID, replica: n.replica,
		peers: peers{silentAfter: n.c.silentAfter(), last: make(map[string]received)},
	}
	n.link, err = link.New(link.Config{
		Listener: n.listener, Advertise: n.id.Address, ClusterID: n.id.Cluster, NodeID: n.id.ID,
		Certificate: n.id.Certificate, Key: key, CA: n.id.CA,
		Membership: n.members, Now: n.c.Now, Log: n.log, Dial: n.c.Dial,
	})
	return err
}

// connect creates the remaining parts.
func (n *Node) connect(key link.Key) {
	s, peers := n.self, peerClient{n.link.Client()}
	n.peers = peers
	clk := clock.New(n.c.Now, n.c.ClockLimit, 10*max(n.c.HeartbeatInterval, time.Second))
	n.batcher = newBatcher(s, n.replica, clk.Stamper(), func(base uint64, b []byte) []byte { return sealEntry(n.vault, base, b) })
	n.batcher.rotate, n.batcher.system = rotationRequest{n.keychain, rand.Reader}, s.system
	n.forwarder = &forwarder{
		self: s, replica: n.replica, batcher: n.batcher, client: peers,
		queue: make(chan forwarded, forwardQueue), stopping: n.stopping,
	}
	n.recorder = &recorder{self: s, forwarder: n.forwarder, queue: make(chan events.Draft, recorderQueue)}
	n.refusals.recorder = n.recorder
	n.audit = &auditReports{self: s, recorder: n.recorder}
	n.heartbeats = &heartbeats{
		self: s, replica: n.replica, members: n.members, batcher: n.batcher, clock: clk, client: peers, link: n.link,
		recorder: n.recorder, audit: n.audit, digests: digests{self: s, replica: n.replica, peers: &n.members.peers, fail: n.fail},
	}
	n.leadership = &leadership{
		self: s, replica: n.replica, batcher: n.batcher, peers: &n.members.peers, link: n.link, vault: n.vault, keys: n.keychain,
		leaving: make(map[string]leaving),
	}
	n.removal = &removal{
		self: s, replica: n.replica, caughtUp: n.CaughtUp, base: func() uint64 { return n.leadership.base },
		refuse: n.requests.refuse, fail: n.fail,
	}
	n.upkeep = &upkeep{self: s, keys: n.keychain, replica: n.replica, report: func(ctx context.Context, e events.Event) error {
		ctx, cancel := context.WithTimeout(ctx, s.c.RequestTimeout)
		defer cancel()
		_, err := n.forwarder.ask(ctx, s.system(), commandRequest{engine.Note{Event: e}})
		return err
	}}
	n.renewal = &certificates{self: s, replica: n.replica, link: n.link, vault: n.vault, key: key, caughtUp: n.CaughtUp}
	n.backfill = &backfill{self: s, replica: n.replica, journal: n.journal, client: peers}
	n.admission = &admission{self: s, replica: n.replica, batcher: n.batcher, client: peers, vault: n.vault, keys: n.keychain, do: n.Do, refusal: func(o events.Origin, e events.Sampled) { n.CountRefusal(o.SourceIP, n.from(o), e) }}
}

// Run makes the node a member until ctx ends. Then it answers the requests in
// progress, hands over leadership, and closes the node. It returns early, with
// the reason, if the node cannot continue. It may be called once.
func (n *Node) Run(ctx context.Context) error {
	if !n.running.CompareAndSwap(false, true) {
		return errors.New("running node: it is already running")
	}
	defer n.done()
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	wire, stopWire := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	defer stopWire()

	var workers, wires sync.WaitGroup
	wires.Go(func() {
		if err := n.link.Run(wire, n.handler(), n.admission.handler()); err != nil {
			n.fail(err)
		}
	})
	for range senders {
		workers.Go(func() { n.forwarder.run(work) })
	}
	for _, worker := range []func(context.Context){
		n.leadership.run, n.heartbeats.run, n.recorder.run, n.refusals.run, n.refusals.delay.Run,
		n.replica.takeSnapshots, n.backfill.run, n.removal.run, n.upkeep.run, n.renewal.run,
	} {
		workers.Go(func() { worker(work) })
	}

	select {
	case <-ctx.Done():
		n.drain()
	case <-n.failed:
	case <-n.killed:
	}
	// Raft stops first: that answers everything that waits for a commit. The link
	// stops last: Raft must not find its peers gone.
	n.stop()
	stopWork()
	err := n.replica.shutdown()
	workers.Wait()
	stopWire()
	wires.Wait()
	return n.result(errors.Join(err, n.close()))
}

// drain refuses new requests, waits for those in progress, and hands over
// leadership, so that clients do not notice the stop.
func (n *Node) drain() {
	n.requests.drain(drainTimeout)
	if !n.replica.leads() || len(n.replica.members()) < 2 {
		return
	}
	done := make(chan error, 1)
	go func() { done <- n.replica.transfer() }()
	select {
	case err := <-done:
		if err != nil {
			n.log.Info("leadership not handed over", "err", err)
		}
	case <-time.After(drainTimeout):
	}
}

// Close stops the node immediately, as if the machine had died, and waits until
// its files are closed. After Run has returned it does nothing.
func (n *Node) Close() error {
	n.kill()
	if n.running.CompareAndSwap(false, true) {
		n.stop()
		defer n.done()
		return errors.Join(n.replica.shutdown(), n.close())
	}
	<-n.closed
	return nil
}

// close closes the files. Raft must be shut down.
func (n *Node) close() error {
	var errs []error
	if err := n.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		errs = append(errs, err)
	}
	if n.refusals != nil {
		n.refusals.delay.Close()
	}
	if n.journal != nil {
		errs = append(errs, n.journal.Close())
	}
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	return errors.Join(errs...)
}

// handler serves the other nodes.
func (n *Node) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /decide", n.forMembers(n.forwarder.serve))
	mux.HandleFunc("GET /pulse", n.heartbeats.serve)
	mux.HandleFunc("POST /members", n.forMembers(n.admission.serve))
	mux.HandleFunc("POST /transfer", n.forMembers(n.serveTransfer))
	mux.HandleFunc("GET /journal", n.backfill.serve)
	return mux
}

// forMembers refuses a node that was removed and is still in Raft's configuration: it
// may vote on that, and ask for nothing.
func (n *Node) forMembers(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !n.replica.belongs(link.Peer(r.Context())) {
			http.Error(w, link.ErrNotMember.Error(), http.StatusForbidden)
			return
		}
		serve(w, r)
	}
}

// State is the present state. It must not be changed.
func (n *Node) State() *engine.State { return n.replica.state() }

// Journal is this node's journal.
func (n *Node) Journal() *journal.Journal { return n.journal }

// Cluster is the id of the cluster.
func (n *Node) Cluster() string { return n.id.Cluster }

// Leads reports whether this node takes commands for the cluster.
func (n *Node) Leads() bool { return n.batcher.leads() }

// CheckpointKey is the public key for this cluster's signed checkpoints, which
// readers of the audit stream need.
func (n *Node) CheckpointKey() ed25519.PublicKey {
	return signingKey(n.vault).Public().(ed25519.PublicKey)
}
