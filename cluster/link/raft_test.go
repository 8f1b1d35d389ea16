package link

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// counter is a state machine that counts what was applied.
type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) Apply(*raft.Log) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return nil
}

func (c *counter) applied() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func (c *counter) Snapshot() (raft.FSMSnapshot, error) { return nothing{}, nil }
func (c *counter) Restore(r io.ReadCloser) error       { return r.Close() }

type nothing struct{}

func (nothing) Persist(sink raft.SnapshotSink) error { return sink.Close() }
func (nothing) Release()                             {}

// peer is a node of Raft on the link.
type peer struct {
	id    string
	addr  string
	link  *Link
	trans raft.Transport
	raft  *raft.Raft
	fsm   counter
}

func (s *site) servers() (c raft.Configuration) {
	for id, m := range s.members.nodes {
		c.Servers = append(c.Servers, raft.Server{ID: raft.ServerID(id), Address: raft.ServerAddress(m.Address)})
	}
	return c
}

// peer gives a running link with its transport, and start makes it a node.
func (s *site) peer(id string) *peer {
	s.t.Helper()
	p := &peer{id: id, link: s.link(id)}
	p.addr = s.members.Address(id)
	p.trans = p.link.RaftTransport(hclog.NewNullLogger())
	s.run(p.link, http.NotFoundHandler(), nil)
	return p
}

func (s *site) start(p *peer, trans raft.Transport, logs raft.LogStore, patience time.Duration) {
	s.t.Helper()
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(p.id)
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = patience, patience, patience/2
	c.CommitTimeout = 5 * time.Millisecond
	c.Logger = hclog.NewNullLogger()
	stable, snaps := raft.NewInmemStore(), raft.NewInmemSnapshotStore()
	if err := raft.BootstrapCluster(c, logs, stable, snaps, trans, s.servers()); err != nil {
		s.t.Fatal(err)
	}
	var err error
	p.raft, err = raft.NewRaft(c, &p.fsm, logs, stable, snaps, trans)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := p.raft.Shutdown().Error(); err != nil {
			s.t.Errorf("shutting raft down: %v", err)
		}
	})
}

func TestRaftReplicatesAndContinuesWithoutARemovedNode(t *testing.T) {
	s := newSite(t, loopback{})
	var peers []*peer
	for _, id := range []string{"n1", "n2", "n3"} {
		peers = append(peers, s.peer(id))
	}
	for _, p := range peers {
		s.start(p, p.trans, raft.NewInmemStore(), 500*time.Millisecond)
	}
	var leader *peer
	eventually(t, "a leader", func() bool {
		for _, p := range peers {
			if p.raft.State() == raft.Leader {
				leader = p
			}
		}
		return leader != nil
	})
	apply := func() {
		t.Helper()
		for range 20 {
			if err := leader.raft.Apply([]byte("event"), 5*time.Second).Error(); err != nil {
				t.Fatal(err)
			}
		}
	}
	apply()
	for _, p := range peers {
		eventually(t, "the events at "+p.id, func() bool { return p.fsm.applied() == 20 })
	}
	if addr, id := leader.raft.LeaderWithID(); string(id) != leader.id || string(addr) != leader.addr {
		t.Errorf("the leader is said to be %s at %s, want %s at %s", id, addr, leader.id, leader.addr)
	}

	out := peers[0]
	if out == leader {
		out = peers[1]
	}
	if err := leader.raft.RemoveServer(raft.ServerID(out.id), 0, 5*time.Second).Error(); err != nil {
		t.Fatal(err)
	}
	s.members.remove(out.id)
	for _, p := range peers {
		p.link.Recheck()
	}
	apply()
	for _, p := range peers {
		if p != out {
			eventually(t, "more events at "+p.id, func() bool { return p.fsm.applied() == 40 })
		}
	}
	if n := leader.link.conns.count(func(at slot) bool { return at.peer == out.id }); n != 0 {
		t.Errorf("%d connections with the removed node", n)
	}
}

// rawStream sends Raft messages with the identity of its TLS configuration.
type rawStream struct {
	net.Listener
	config *tls.Config
}

func (r rawStream) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return tls.DialWithDialer(&net.Dialer{Timeout: timeout}, "tcp", string(addr), r.config)
}

// heartbeatOf sends n1 a heartbeat of the term, in the name of a node.
func (s *site) heartbeatOf(name string, config *tls.Config, term uint64) error {
	ln := s.net.listen(s.t, "")
	t := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: rawStream{ln, config}, Timeout: 2 * time.Second, Logger: hclog.NewNullLogger(),
	})
	defer func() {
		_ = t.Close()
		t.CloseStreams()
	}()
	addr := s.members.Address("n1")
	var resp raft.AppendEntriesResponse
	return t.AppendEntries("n1", raft.ServerAddress(addr), &raft.AppendEntriesRequest{
		RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(name), Addr: []byte("127.0.0.1:1")},
		Term:      term,
	}, &resp)
}

func TestIntrudersCannotChangeTheTerm(t *testing.T) {
	s := newSite(t, loopback{})
	n1 := s.peer("n1")
	s.start(n1, n1.trans, raft.NewInmemStore(), 50*time.Millisecond)
	eventually(t, "a leader", func() bool { return n1.raft.State() == raft.Leader })
	s.members.add(t, "n2", "127.0.0.1:1")
	s.members.add(t, "n3", "127.0.0.1:1")
	term := n1.raft.CurrentTerm()

	intruders := s.intruders()
	for name, config := range intruders {
		if len(config.NextProtos) == 1 && config.NextProtos[0] == protoRPC {
			config.NextProtos[0] = protoRaft
		}
		if err := s.heartbeatOf("n2", config, 1<<40); err == nil {
			t.Errorf("%s: answered", name)
		}
	}
	member := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protoRaft}, Certificates: []tls.Certificate{s.as("n2")}}
	for _, name := range []string{"n3", "n1", "n22", ""} {
		if err := s.heartbeatOf(name, member, 1<<40); err == nil {
			t.Errorf("n2 in the name of %q: answered", name)
		}
	}
	for _, proto := range []string{protoRPC, protoJoin} {
		elsewhere := member.Clone()
		elsewhere.NextProtos = []string{proto}
		if err := s.heartbeatOf("n2", elsewhere, 1<<40); err == nil {
			t.Errorf("by %s: answered", proto)
		}
	}
	if got := n1.raft.CurrentTerm(); got != term {
		t.Fatalf("the term went from %d to %d", term, got)
	}

	// The same heartbeat from a member in its own name changes it, so the test can fail.
	if err := s.heartbeatOf("n2", member, term+100); err != nil {
		t.Fatal(err)
	}
	if got := n1.raft.CurrentTerm(); got < term+100 {
		t.Errorf("term %d after a member's heartbeat of %d", got, term+100)
	}
}

func TestTransportClosesWithRaft(t *testing.T) {
	s := newSite(t, loopback{})
	n1, n2 := s.peer("n1"), s.peer("n2")
	vote := func() error {
		var resp raft.RequestVoteResponse
		return n2.trans.RequestVote("n1", raft.ServerAddress(n1.addr), &raft.RequestVoteRequest{
			RPCHeader: raft.RPCHeader{ID: []byte("n2"), Addr: []byte(n2.addr)}, Term: 1,
		}, &resp)
	}
	answered := make(chan error, 1)
	go func() { answered <- vote() }()
	rpc := <-n1.trans.Consumer() // received, never answered

	closer, ok := n1.trans.(raft.WithClose)
	if !ok {
		t.Fatal("raft cannot close the transport")
	}
	for range 2 {
		if err := closer.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := <-answered; err == nil {
		t.Errorf("%T got no answer", rpc.Command)
	}
	if err := vote(); err == nil {
		t.Error("a vote was given after closing")
	}
	eventually(t, "connections to close", func() bool {
		return n1.link.conns.count(func(p slot) bool { return p.kind == inbound }) == 0
	})
}

// ledger is a log store that records commands of terms that its node cannot have
// led, because nobody voted for it.
type ledger struct {
	*raft.InmemStore
	mu       sync.Mutex
	votes    map[uint64]bool // terms in which a peer gave its vote
	commands int
	forged   []uint64 // the terms of commands without votes
}

func newLedger() *ledger {
	return &ledger{InmemStore: raft.NewInmemStore(), votes: make(map[uint64]bool)}
}

func (l *ledger) voted(term uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.votes[term] = true
}

func (l *ledger) StoreLog(entry *raft.Log) error { return l.StoreLogs([]*raft.Log{entry}) }

func (l *ledger) StoreLogs(entries []*raft.Log) error {
	l.mu.Lock()
	for _, entry := range entries {
		if entry.Type != raft.LogCommand {
			continue
		}
		l.commands++
		if !l.votes[entry.Term] {
			l.forged = append(l.forged, entry.Term)
		}
	}
	l.mu.Unlock()
	return l.InmemStore.StoreLogs(entries)
}

func (l *ledger) seen() (commands, forged int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.commands, len(l.forged)
}

// follow answers as a peer that votes for every candidate and stores nothing.
func follow(p *peer, book *ledger, done <-chan struct{}) {
	header := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(p.id), Addr: []byte(p.addr)}
	for {
		select {
		case <-done:
			return
		case rpc := <-p.trans.Consumer():
			switch m := rpc.Command.(type) {
			case *raft.RequestPreVoteRequest:
				rpc.Respond(&raft.RequestPreVoteResponse{RPCHeader: header, Term: m.Term, Granted: true}, nil)
			case *raft.RequestVoteRequest:
				book.voted(m.Term)
				rpc.Respond(&raft.RequestVoteResponse{RPCHeader: header, Term: m.Term, Granted: true}, nil)
			case *raft.AppendEntriesRequest:
				last := m.PrevLogEntry
				if n := len(m.Entries); n > 0 {
					last = m.Entries[n-1].Index
				}
				rpc.Respond(&raft.AppendEntriesResponse{RPCHeader: header, Term: m.Term, LastLog: last, Success: true}, nil)
			default:
				rpc.Respond(nil, fmt.Errorf("unexpected %T", m))
			}
		}
	}
}
