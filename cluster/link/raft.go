package link

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

const (
	raftTimeout  = 10 * time.Second
	raftPool     = 5 // connections kept with each peer
	raftInFlight = 2

	// The log store has the same setting. It is a format on disk and between nodes and
	// must not change.
	newTimeFormat = true
)

// RaftTransport returns a transport for Raft's messages over the link. Call it once.
// Raft closes it when it is shut down.
func (l *Link) RaftTransport(log hclog.Logger) raft.Transport {
	t := &transport{
		NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream:                  &dialer{listener: newListener(l.advertise), link: l},
			Logger:                  log,
			MaxPool:                 raftPool,
			MaxRPCsInFlight:         raftInFlight,
			Timeout:                 raftTimeout,
			MsgpackUseNewTimeFormat: newTimeFormat,
		}),
		link: l,
		log:  log,
		rpcs: make(chan raft.RPC),
		done: make(chan struct{}),
	}
	t.running.Go(t.listen)
	return t
}

// Optional interfaces of a transport that Raft uses.
var (
	_ raft.WithPreVote = (*transport)(nil)
	_ raft.WithClose   = (*transport)(nil)
)

// transport is [raft.NetworkTransport] with two corrections.
//
// The sender: a NetworkTransport trusts the sender's id inside a message. So it is
// used only for this node's own calls. Each connection of a peer gets a
// NetworkTransport of its own, and its messages are compared with the certificate
// before Raft receives them.
//
// Heartbeats: see SetHeartbeatHandler.
type transport struct {
	*raft.NetworkTransport // for calls of this node only

	link *Link
	log  hclog.Logger
	rpcs chan raft.RPC

	once    sync.Once
	done    chan struct{}
	running sync.WaitGroup
}

// SetHeartbeatHandler does nothing, so heartbeats pass through Raft's main loop like
// all other messages.
//
// Raft would handle them on the connection's goroutine. A heartbeat of a newer term
// would change the term and depose the leader while the main loop is appending
// entries. The deposed leader would then write entries with a term that it never
// led. Two logs could contain different entries with the same index and term, which
// no later check detects (hashicorp/raft issue 695). A tokencode could be accepted
// twice.
func (t *transport) SetHeartbeatHandler(func(raft.RPC)) {}

// Consumer implements [raft.Transport].
func (t *transport) Consumer() <-chan raft.RPC { return t.rpcs }

// Close implements [raft.WithClose]. It waits until no message can reach Raft.
func (t *transport) Close() error {
	t.once.Do(func() {
		close(t.done)
		_ = t.link.raft.Close()
		_ = t.NetworkTransport.Close()
		t.CloseStreams() // the pool, which Close leaves open
	})
	t.running.Wait()
	return nil
}

func (t *transport) listen() {
	for {
		c, err := t.link.raft.Accept()
		if err != nil {
			return // closed
		}
		t.running.Go(func() { t.receive(c.(*conn)) })
	}
}

// receive passes the messages of one connection to Raft until either side closes.
func (t *transport) receive(c *conn) {
	defer func() { _ = c.Close() }()
	one := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:                  newSingle(c),
		Logger:                  t.log,
		Timeout:                 raftTimeout,
		MsgpackUseNewTimeFormat: newTimeFormat,
	})
	defer func() { _ = one.Close() }()
	for {
		select {
		case rpc := <-one.Consumer():
			err := sentBy(c.peer, rpc)
			if err == nil {
				err = t.link.checkKey(c.peer, c.key)
			}
			if err != nil {
				t.link.log.Warn("raft message refused", "peer", c.peer, "err", err)
				rpc.Respond(nil, err)
				return
			}
			select {
			case t.rpcs <- rpc:
			case <-t.done:
				return
			}
		case <-c.gone:
			return
		case <-t.done:
			return
		}
	}
}

// sentBy checks that a message names the peer as its sender.
func sentBy(peer string, rpc raft.RPC) error {
	command, ok := rpc.Command.(raft.WithRPCHeader)
	if !ok {
		return fmt.Errorf("%T has no sender", rpc.Command)
	}
	if claimed := string(command.GetRPCHeader().ID); claimed != peer {
		return fmt.Errorf("node %s sent a message in the name of %q", peer, claimed)
	}
	return nil
}

// target adds a peer's id to its address, as id@host:port. Raft's transport dials by
// address alone, but the peer must show a certificate with that id.
func target(id raft.ServerID, addr raft.ServerAddress) raft.ServerAddress {
	return raft.ServerAddress(id) + "@" + addr
}

// AppendEntriesPipeline implements [raft.Transport].
func (t *transport) AppendEntriesPipeline(id raft.ServerID, addr raft.ServerAddress) (raft.AppendPipeline, error) {
	return t.NetworkTransport.AppendEntriesPipeline(id, target(id, addr))
}

// AppendEntries implements [raft.Transport].
func (t *transport) AppendEntries(id raft.ServerID, addr raft.ServerAddress,
	args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse,
) error {
	return t.NetworkTransport.AppendEntries(id, target(id, addr), args, resp)
}

// RequestVote implements [raft.Transport].
func (t *transport) RequestVote(id raft.ServerID, addr raft.ServerAddress,
	args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse,
) error {
	return t.NetworkTransport.RequestVote(id, target(id, addr), args, resp)
}

// RequestPreVote implements [raft.WithPreVote].
func (t *transport) RequestPreVote(id raft.ServerID, addr raft.ServerAddress,
	args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse,
) error {
	return t.NetworkTransport.RequestPreVote(id, target(id, addr), args, resp)
}

// InstallSnapshot implements [raft.Transport].
func (t *transport) InstallSnapshot(id raft.ServerID, addr raft.ServerAddress,
	args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader,
) error {
	return t.NetworkTransport.InstallSnapshot(id, target(id, addr), args, resp, data)
}

// TimeoutNow implements [raft.Transport].
func (t *transport) TimeoutNow(id raft.ServerID, addr raft.ServerAddress,
	args *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse,
) error {
	return t.NetworkTransport.TimeoutNow(id, target(id, addr), args, resp)
}

// dialer is the stream layer for this node's calls. It accepts no connections.
type dialer struct {
	*listener
	link *Link
}

// Dial implements [raft.StreamLayer].
func (o *dialer) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	id, addr, ok := strings.Cut(string(to), "@")
	if !ok {
		return nil, fmt.Errorf("raft address %q contains no node id", to)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	c, err := o.link.dial(ctx, id, addr, protoRaft)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// single is the stream layer for one connection of a peer.
type single struct{ *listener }

func newSingle(c *conn) single {
	l := newListener(c.LocalAddr())
	l.in = make(chan net.Conn, 1)
	l.in <- c
	return single{l}
}

// Dial implements [raft.StreamLayer].
func (single) Dial(raft.ServerAddress, time.Duration) (net.Conn, error) {
	return nil, errNotAccepted
}
