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

	// Also set in the log store. A format on the wire and on disk: never change.
	newTimeFormat = true
)

// RaftTransport carries Raft's messages over the link. Call it once; Raft
// closes it when it is shut down.
func (l *Link) RaftTransport(log hclog.Logger) raft.Transport {
	t := &transport{
		NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream:                  &outward{door: newDoor(l.advertise), link: l},
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

// What Raft looks for in a transport besides raft.Transport itself.
var (
	_ raft.WithPreVote = (*transport)(nil)
	_ raft.WithClose   = (*transport)(nil)
)

// transport is [raft.NetworkTransport] with two doubts removed.
//
// Who sent it. A NetworkTransport believes the sender's id inside a message. So
// it is used here for this node's own calls only, and each connection of a peer
// gets a NetworkTransport of its own, whose messages are compared with the
// certificate before Raft sees them.
//
// Where it is handled. See SetHeartbeatHandler.
type transport struct {
	*raft.NetworkTransport // calls others; is never called

	link *Link
	log  hclog.Logger
	rpcs chan raft.RPC

	once    sync.Once
	done    chan struct{}
	running sync.WaitGroup
}

// SetHeartbeatHandler does nothing, which sends heartbeats through Raft's main
// loop like every other message.
//
// Raft would have them handled at once, on the connection's goroutine. There
// a heartbeat of a newer term changes the term and deposes the leader while the
// main loop is inside an append: the deposed leader then stamps its clients'
// entries with a term that it never led, and two logs can hold different
// entries under the same index and term, which no later check can tell apart
// (hashicorp/raft issue 695). A tokencode could be accepted twice.
func (t *transport) SetHeartbeatHandler(func(raft.RPC)) {}

// Consumer implements [raft.Transport].
func (t *transport) Consumer() <-chan raft.RPC { return t.rpcs }

// Close implements [raft.WithClose]. It waits until nothing reaches Raft.
func (t *transport) Close() error {
	t.once.Do(func() {
		close(t.done)
		_ = t.link.raft.Close()
		_ = t.NetworkTransport.Close()
		t.CloseStreams() // the pool, which Close forgets
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
		t.running.Go(func() { t.hear(c.(*conn)) })
	}
}

// hear passes the messages of one connection to Raft until either end is gone.
func (t *transport) hear(c *conn) {
	defer func() { _ = c.Close() }()
	one := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:                  newOnly(c),
		Logger:                  t.log,
		Timeout:                 raftTimeout,
		MsgpackUseNewTimeFormat: newTimeFormat,
	})
	defer func() { _ = one.Close() }()
	for {
		select {
		case rpc := <-one.Consumer():
			if err := sentBy(c.peer, rpc); err != nil {
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

// sentBy checks that a message names the peer, and nobody else, as its sender.
func sentBy(peer string, rpc raft.RPC) error {
	command, ok := rpc.Command.(raft.WithRPCHeader)
	if !ok {
		return fmt.Errorf("%T has no sender", rpc.Command)
	}
	if claimed := string(command.GetRPCHeader().ID); claimed != peer {
		return fmt.Errorf("node %s sends in the name of %q", peer, claimed)
	}
	return nil
}

// Raft names a peer by id and address, but its transport dials an address
// alone. So the address handed down to it carries the id, which a certificate
// must show: id@host:port.

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

// outward is the stream layer of this node's own calls. Nobody comes in by it.
type outward struct {
	*door
	link *Link
}

// Dial implements [raft.StreamLayer].
func (o *outward) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	id, addr, ok := strings.Cut(string(to), "@")
	if !ok {
		return nil, fmt.Errorf("raft address %q names no node", to)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	c, err := o.link.dial(ctx, id, addr, protoRaft)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// only is the stream layer of one peer's one connection.
type only struct{ *door }

func newOnly(c *conn) only {
	d := newDoor(c.LocalAddr())
	d.in = make(chan net.Conn, 1)
	d.in <- c
	return only{d}
}

// Dial implements [raft.StreamLayer].
func (only) Dial(raft.ServerAddress, time.Duration) (net.Conn, error) {
	return nil, errNobodyThere
}
