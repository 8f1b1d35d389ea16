package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"keyfob/cluster/raftlog"
	"keyfob/engine"
	"keyfob/events"
	"keyfob/events/journal"
	"keyfob/fsm"
)

const (
	snapshotsKept = 2

	// How long a change of Raft's configuration may take to be accepted.
	configTimeout = 5 * time.Second
)

// replica is this node's copy of the state, and the Raft node that keeps it the
// same as the others.
type replica struct {
	*self
	machine   *fsm.Machine
	store     *raftlog.Log
	snapshots raft.SnapshotStore
	raft      *raft.Raft
	started   atomic.Bool   // raft is set: Raft dials while it is being created
	elected   chan bool     // leadership acquired, lost
	down      chan struct{} // closed when Raft is shut down
}

// newReplica creates the state machine over the log in store. fail is called for
// errors after which the node must not continue.
func newReplica(s *self, store *raftlog.Log, k *keychain, j *journal.Journal, fail func(error)) *replica {
	return &replica{
		self: s, store: store, elected: make(chan bool, 16), down: make(chan struct{}),
		machine: fsm.New(fsm.Config{
			Open:         func(entry []byte) ([]byte, error) { return openEntry(k.vault, entry) },
			Journal:      j,
			SealSnapshot: k.sealSnapshot,
			OpenSnapshot: k.openSnapshot,
			KeysChanged:  k.install,
			Halt:         fail,
		}),
	}
}

// start creates the Raft node, which begins to work immediately.
func (r *replica) start(transport func(hclog.Logger) raft.Transport) error {
	dir, log := r.c.file(dirRaft), raftlog.NewLogger(r.log)
	var err error
	if r.snapshots, err = raft.NewFileSnapshotStoreWithLogger(dir, snapshotsKept, log); err != nil {
		return fmt.Errorf("opening snapshots: %w", err)
	}
	cache, err := raft.NewLogCache(512, r.store)
	if err != nil {
		return err
	}
	config := r.c.raft(r.id.ID, log)
	config.NotifyCh = r.elected
	if r.raft, err = raft.NewRaft(config, r.machine, cache, r.store, r.snapshots, transport(log)); err != nil {
		return fmt.Errorf("starting from %s: %w", dir, err)
	}
	r.started.Store(true)
	return nil
}

// raft returns Raft's settings for the node of that id.
func (c Config) raft(id string, log hclog.Logger) *raft.Config {
	config := raft.DefaultConfig()
	config.LocalID = raft.ServerID(id)
	config.HeartbeatTimeout = c.ElectionTimeout
	config.ElectionTimeout = c.ElectionTimeout
	config.LeaderLeaseTimeout = c.LeaderLease
	config.CommitTimeout = 20 * time.Millisecond // how long an idle follower lags, and with it a challenge
	config.MaxAppendEntries = 64                 // each up to 64 KiB
	config.SnapshotThreshold = 1 << 40           // snapshots are taken by bytes: see takeSnapshots
	config.SnapshotInterval = time.Hour
	config.TrailingLogs = c.TrailingLogs
	config.NoLegacyTelemetry = true
	config.Logger = log
	return config
}

// RaftConfig returns the settings that Raft has in a node with the default
// configuration, for measuring Raft alone.
func RaftConfig(id string, log *slog.Logger) *raft.Config {
	return DefaultConfig().raft(id, raftlog.NewLogger(log))
}

// shutdown stops Raft. Everything that waits for it is answered.
func (r *replica) shutdown() error {
	err := r.raft.Shutdown().Error()
	close(r.down)
	return err
}

// bootstrap makes this node the only member of a new cluster.
func (r *replica) bootstrap() error {
	only := raft.Server{ID: raft.ServerID(r.id.ID), Address: raft.ServerAddress(r.id.Address)}
	return r.raft.BootstrapCluster(raft.Configuration{Servers: []raft.Server{only}}).Error()
}

// View implements ledger.
func (r *replica) View() *fsm.View { return r.machine.View() }

func (r *replica) state() *engine.State { return r.machine.View().State }

// Commit implements ledger. The timeout limits how long Raft may take to accept
// the entry; an accepted entry is waited for.
func (r *replica) Commit(entry []byte) error {
	f := r.raft.Apply(entry, r.c.CommitTimeout)
	if err := r.await(f); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	err, _ := f.Response().(error)
	return err
}

// await waits for a future of Raft or until Raft is shut down. Raft drops the
// futures of entries that are on the way to the state machine at a shutdown; the
// goroutine that waits for one of those remains.
func (r *replica) await(f raft.Future) error {
	known := make(chan error, 1)
	go func() { known <- f.Error() }()
	select {
	case err := <-known:
		return err
	case <-r.down:
		return raft.ErrRaftShutdown
	}
}

// leader is the id of the leader, empty if it is unknown.
func (r *replica) leader() string {
	_, id := r.raft.LeaderWithID()
	return string(id)
}

// leads reports whether Raft considers this node the leader.
func (r *replica) leads() bool { return r.raft.State() == raft.Leader }

// waitForLeader waits until the leader is known.
func (r *replica) waitForLeader(ctx context.Context) (id string, err error) {
	for {
		if id := r.leader(); id != "" {
			return id, nil
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return "", fmt.Errorf("%w: %w", errNoLeader, engine.ErrUndecided)
		}
	}
}

// members are the members in the latest configuration.
func (r *replica) members() []member {
	if !r.started.Load() {
		return nil
	}
	f := r.raft.GetConfiguration()
	if f.Error() != nil {
		return nil
	}
	servers := f.Configuration().Servers
	list := make([]member, len(servers))
	for i, s := range servers {
		id := string(s.ID)
		list[i] = member{ID: id, Address: string(s.Address), Voter: s.Suffrage == raft.Voter, Key: r.keyOf(id)}
	}
	return list
}

// keyOf is the hash of the key of the node of that id, zero if it is not known. A
// removed node has one until it is out of Raft's configuration. After a restart, the
// records at the end of the log are applied when a leader is elected, and that needs
// the other nodes: until then, the members on disk are asked.
func (r *replica) keyOf(id string) events.Hash {
	for _, key := range r.state().NodeKeys(nameOf(id)) {
		if id == nodeID(nameOf(id), key) {
			return key
		}
	}
	for _, m := range r.file.now().Members {
		if m.ID == id {
			return m.Key
		}
	}
	return events.Hash{}
}

// belongs reports whether the node of that id is a member that was not removed.
func (r *replica) belongs(id string) bool {
	record := r.state().Node(nameOf(id))
	return record != nil && id == nodeID(record.Name, record.Key)
}

func (r *replica) addNonvoter(m member) error {
	return r.await(r.raft.AddNonvoter(raft.ServerID(m.ID), raft.ServerAddress(m.Address), 0, configTimeout))
}

func (r *replica) addVoter(m member) error {
	return r.await(r.raft.AddVoter(raft.ServerID(m.ID), raft.ServerAddress(m.Address), 0, configTimeout))
}

func (r *replica) remove(id string) error {
	return r.await(r.raft.RemoveServer(raft.ServerID(id), 0, configTimeout))
}

// transfer hands leadership to any voter, chosen by Raft.
func (r *replica) transfer() error { return r.await(r.raft.LeadershipTransfer()) }

func (r *replica) transferTo(m member) error {
	return r.await(r.raft.LeadershipTransferToServer(raft.ServerID(m.ID), raft.ServerAddress(m.Address)))
}

// takeSnapshots takes a snapshot whenever enough bytes of log have been applied,
// until ctx ends. Raft itself counts entries, which have 300 bytes or 64 KiB.
func (r *replica) takeSnapshots(ctx context.Context) {
	tick := time.NewTicker(r.c.HeartbeatInterval)
	defer tick.Stop()
	var last uint64
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if applied := r.machine.Bytes(); applied-last >= r.c.SnapshotBytes {
			if err := r.await(r.raft.Snapshot()); err != nil && ctx.Err() == nil {
				r.log.WarnContext(ctx, "snapshot failed", "err", err)
				continue
			}
			last = applied
		}
	}
}

// emptyLog creates the log of a node that has no entries yet, so that a node
// that lost its log can be told from a new one. term is the latest one known.
func (c Config) emptyLog(term uint64) error {
	log, err := raftlog.Open(c.file(dirRaft), func(error) {})
	if err != nil {
		return err
	}
	if term != 0 {
		err = log.SetUint64([]byte("CurrentTerm"), term) // Raft's own key
	}
	return errors.Join(err, log.Close())
}
