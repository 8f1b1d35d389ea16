package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"

	"keyfob/cluster"
	"keyfob/cluster/link"
	"keyfob/cluster/raftlog"
)

// rawLoad describes a load for Raft alone.
type rawLoad struct {
	Dir        string // empty directory for the logs
	Nodes      int
	EntryBytes int // of a log entry
	For        time.Duration
	// Observe receives the duration of each commit. It may be nil.
	Observe func(took time.Duration)
}

// rawRate is the result for Raft alone.
type rawRate struct {
	Entries uint64 // committed and applied on the leader
	Took    time.Duration
	Commits uint64 // transactions of the logs of all nodes, with two fsyncs each
}

// measureRaft commits entries one after the other, as the batcher does, to Raft
// with the log, the transport and the settings of a node, and a state machine that
// does nothing. This is the upper limit for batches of that size. All nodes are in
// this process.
func measureRaft(ctx context.Context, load rawLoad) (rawRate, error) {
	nodes, err := newRawNodes(load)
	defer func() {
		for _, n := range nodes {
			n.close()
		}
	}()
	if err != nil {
		return rawRate{}, fmt.Errorf("starting raft alone: %w", err)
	}
	leader, err := rawLeader(ctx, nodes)
	if err != nil {
		return rawRate{}, err
	}
	entry := make([]byte, load.EntryBytes)
	if _, err := io.ReadFull(rand.Reader, entry); err != nil {
		return rawRate{}, err
	}
	commits := func() (n uint64) {
		for _, one := range nodes {
			n += one.store.Commits()
		}
		return n
	}
	rate, before, began := rawRate{}, commits(), time.Now()
	for ctx.Err() == nil && rate.Took < load.For {
		if err := leader.raft.Apply(entry, raftStart).Error(); err != nil {
			return rate, fmt.Errorf("committing to raft alone: %w", err)
		}
		took := time.Since(began)
		if load.Observe != nil {
			load.Observe(took - rate.Took)
		}
		rate.Entries, rate.Took = rate.Entries+1, took
	}
	rate.Commits = commits() - before
	return rate, ctx.Err()
}

// raftStart limits an election, and the wait for an entry to be accepted.
const raftStart = 20 * time.Second

// rawNode is a node with Raft alone.
type rawNode struct {
	id       string
	addr     string
	key      link.Key
	csr      []byte // the request for the certificate of key
	listener net.Listener
	link     *link.Link
	store    *raftlog.Log
	raft     *raft.Raft
	stop     context.CancelFunc
	done     chan struct{}
}

// rawMembers is a fixed membership.
type rawMembers map[string]link.Member

// Member implements link.Membership.
func (m rawMembers) Member(id string) (link.Member, bool) { a, ok := m[id]; return a, ok }

func newRawNodes(load rawLoad) (nodes []*rawNode, err error) {
	const name = "raw"
	ca, err := link.NewCA(name, time.Now())
	if err != nil {
		return nil, err
	}
	members := rawMembers{}
	var all raft.Configuration
	for i := range load.Nodes {
		n := &rawNode{id: fmt.Sprintf("n%d", i+1)}
		nodes = append(nodes, n)
		if n.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nodes, err
		}
		n.addr = n.listener.Addr().String()
		if n.key, n.csr, err = link.NewNodeKey(); err != nil {
			return nodes, err
		}
		hash, err := link.RequestKey(n.csr)
		if err != nil {
			return nodes, err
		}
		members[n.id] = link.Member{Address: n.addr, Key: hash}
		all.Servers = append(all.Servers, raft.Server{ID: raft.ServerID(n.id), Address: raft.ServerAddress(n.addr)})
	}
	for _, n := range nodes {
		if err := n.start(filepath.Join(load.Dir, n.id), name, ca, members); err != nil {
			return nodes, err
		}
	}
	return nodes, nodes[0].raft.BootstrapCluster(all).Error() // the others receive it from the first
}

func (n *rawNode) start(dir, name string, ca *link.CA, members rawMembers) error {
	certificate, err := ca.Issue(n.csr, n.id, time.Now())
	if err != nil {
		return err
	}
	// Raft reports errors of the log, too.
	if n.store, err = raftlog.Open(dir, func(error) {}); err != nil {
		return err
	}
	silent := slog.New(slog.DiscardHandler)
	n.link, err = link.New(link.Config{
		Listener: n.listener, ClusterID: name, NodeID: n.id, Certificate: certificate, Key: n.key,
		CA: ca.CertificateDER(), Membership: members, Now: time.Now, Log: silent,
	})
	if err != nil {
		return err
	}
	cache, err := raft.NewLogCache(512, n.store)
	if err != nil {
		return err
	}
	config := cluster.RaftConfig(n.id, silent)
	n.raft, err = raft.NewRaft(config, inert{}, cache, n.store, raft.NewDiscardSnapshotStore(), n.link.RaftTransport(config.Logger))
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	n.stop, n.done = stop, make(chan struct{})
	go func() { // ended by close
		defer close(n.done)
		_ = n.link.Run(ctx, http.NotFoundHandler(), nil)
	}()
	return nil
}

// close releases what start acquired, also after an error.
func (n *rawNode) close() {
	if n.raft != nil {
		_ = n.raft.Shutdown().Error()
	}
	if n.stop != nil {
		n.stop()
		<-n.done
	}
	if n.listener != nil {
		_ = n.listener.Close()
	}
	if n.store != nil {
		_ = n.store.Close()
	}
}

// rawLeader waits for a leader.
func rawLeader(ctx context.Context, nodes []*rawNode) (*rawNode, error) {
	ctx, cancel := context.WithTimeout(ctx, raftStart)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, n := range nodes {
			if n.raft.VerifyLeader().Error() == nil {
				return n, nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.New("raft alone elected no leader")
		}
	}
}

// inert is a state machine without state.
type inert struct{}

// Apply implements raft.FSM.
func (inert) Apply(*raft.Log) any { return nil }

// Snapshot implements raft.FSM. None is ever taken.
func (inert) Snapshot() (raft.FSMSnapshot, error) { return nil, errors.New("no snapshots") }

// Restore implements raft.FSM.
func (inert) Restore(r io.ReadCloser) error { return r.Close() }
