// Package link owns the one TCP port between the nodes of a cluster.
//
// Every connection is TLS 1.3 under the cluster's own small CA, which is used
// for nothing else. There is no plaintext mode. The ALPN protocol says what a
// connection is for: Raft, requests between nodes, or a machine that wants to
// join. A node's certificate carries its id, and the id is checked on both
// sides of each handshake against the present membership: hashicorp/raft
// authenticates nobody, and to be signed by the CA is not to be a member. Any
// certificate of a node removed long ago would otherwise be enough to push the
// term to the end of its range, and to depose every leader for ever.
// Recheck closes what is open with nodes that are no longer members.
//
// So the identity of a peer is settled here once. Above this package a request
// has a sender (Peer), a URL names a node and not an address
// (https://NODE/path), and a Raft message comes from the node that it says it
// comes from.
//
// A machine that joins has no certificate yet. It checks the cluster by the CA
// digest in its invitation (JoinClient), and is itself not authenticated here:
// the handler for joins must do that, with what the invitation holds.
//
// Node ids must never be used twice; see CA.Issue.
package link

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// ALPN protocols of the port. A client offers exactly one.
const (
	protoRaft = "keyfob-raft/1"
	protoRPC  = "keyfob-rpc/1"
	protoJoin = "keyfob-join/1"
)

const (
	// From the first byte until the connection is in the hands of who serves it.
	handshakeTimeout = 5 * time.Second

	// How long requests under way may still take when Run ends.
	shutdownGrace = 3 * time.Second
)

// Link is this node's end of its connections with the others.
// Its methods may be called from any goroutine.
type Link struct {
	listener   net.Listener
	advertise  address
	self       tls.Certificate
	root       *x509.Certificate
	verifier   verifier
	membership Membership
	log        *slog.Logger
	dialer     func(ctx context.Context, network, addr string) (net.Conn, error)

	lobby  lobby
	raft   *door
	client *http.Client
}

// New makes a link. It may dial from now on, and takes connections in Run.
func New(c Config) (*Link, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	self, root, err := c.identity()
	if err != nil {
		return nil, fmt.Errorf("cluster link: %w", err)
	}
	l := &Link{
		listener:   c.Listener,
		advertise:  address(c.Advertise),
		self:       self,
		root:       root,
		verifier:   verifier{cluster: c.ClusterID, now: c.Now},
		membership: c.Membership,
		log:        c.Log,
		dialer:     c.Dial,
	}
	if l.advertise == "" {
		l.advertise = address(c.Listener.Addr().String())
	}
	if l.dialer == nil {
		l.dialer = (&net.Dialer{KeepAliveConfig: keepAlive()}).DialContext
	}
	l.raft = newDoor(l.advertise)
	l.client = newRPCClient(l)
	return l, nil
}

// Run takes connections until ctx ends, and then closes all of them, those that
// this node dialled too. It may be called once. rpc serves the requests of
// members; Peer tells which. join serves machines that are not authenticated;
// if it is nil, nobody can join here.
//
// Raft must be shut down before ctx ends, or it will find its peers gone.
func (l *Link) Run(ctx context.Context, rpc, join http.Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	doors := map[string]*door{protoRaft: l.raft, protoRPC: newDoor(l.advertise)}
	servers := []*http.Server{l.serve(&running, doors[protoRPC], rpcServer(rpc))}
	if join != nil {
		doors[protoJoin] = newDoor(l.advertise)
		servers = append(servers, l.serve(&running, doors[protoJoin], joinServer(join)))
	}
	context.AfterFunc(ctx, func() { _ = l.listener.Close() })
	err := l.accept(ctx, &running, doors)

	// Nobody comes in any more; who has not come in yet goes; requests under
	// way get their answers; then all others go.
	cancel()
	l.lobby.clear(func(p place) bool { return p.kind == shakingHands })
	grace, done := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer done()
	for _, s := range servers {
		_ = s.Shutdown(grace) // what is left is closed next
	}
	l.client.CloseIdleConnections()
	l.lobby.close()
	_ = l.raft.Close()
	running.Wait()
	return err
}

func (l *Link) serve(running *sync.WaitGroup, d *door, s *http.Server) *http.Server {
	s.ErrorLog = slog.NewLogLogger(l.log.Handler(), slog.LevelDebug)
	running.Go(func() { _ = s.Serve(d) }) // ends with Shutdown
	return s
}

// accept takes connections until ctx ends. An error of one accept, such as too
// many open files, is waited out.
func (l *Link) accept(ctx context.Context, running *sync.WaitGroup, doors map[string]*door) error {
	config := l.serverConfig(doors)
	const longest = time.Second
	wait := 5 * time.Millisecond
	for {
		raw, err := l.listener.Accept()
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("taking connections of other nodes: %w", err)
		default:
			l.log.WarnContext(ctx, "cluster port cannot take a connection", "err", err)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			wait = min(2*wait, longest)
			continue
		}
		wait = 5 * time.Millisecond
		if tcp, ok := raw.(*net.TCPConn); ok {
			_ = tcp.SetKeepAliveConfig(keepAlive())
		}
		leave, ok := l.lobby.enter(place{kind: shakingHands}, raw)
		if !ok {
			continue
		}
		running.Go(func() { l.receive(ctx, raw, leave, config, doors) })
	}
}

// receive shakes hands and hands the connection to whom it is for.
func (l *Link) receive(ctx context.Context, raw net.Conn, leave func(), config *tls.Config, doors map[string]*door) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	tc := tls.Server(raw, config)
	err := tc.HandshakeContext(ctx)
	leave()
	if err != nil {
		_ = raw.Close()
		l.refused(ctx, raw, err)
		return
	}
	state := tc.ConnectionState()
	at := place{kind: joining}
	if state.NegotiatedProtocol != protoJoin {
		at.kind = calling
		at.peer, _ = nodeOf(state.PeerCertificates[0], l.verifier.cluster) // checked in the handshake
	}
	c, err := l.admit(at, raw, tc)
	if err != nil {
		l.refused(ctx, raw, err)
		return
	}
	if err := doors[state.NegotiatedProtocol].pass(ctx, c); err != nil {
		_ = c.Close()
	}
}

// refused tells of a peer that could not come in. Strangers are many and prove
// nothing; a node with a good certificate that is no member is worth a look.
func (l *Link) refused(ctx context.Context, raw net.Conn, err error) {
	level := slog.LevelDebug
	if errors.Is(err, ErrNotMember) {
		level = slog.LevelWarn
	}
	l.log.Log(ctx, level, "connection refused on the cluster port", "remote", raw.RemoteAddr().String(), "err", err)
}

// admit notes a connection that has shaken hands. It asks for membership once
// more: between the handshake and the note a Recheck may have missed it.
func (l *Link) admit(at place, raw net.Conn, tc *tls.Conn) (*conn, error) {
	leave, ok := l.lobby.enter(at, raw)
	if !ok {
		return nil, net.ErrClosed
	}
	c := &conn{Conn: tc, peer: at.peer, leave: leave, gone: make(chan struct{})}
	if at.kind == joining {
		return c, nil
	}
	if _, err := l.memberAddress(at.peer); err != nil {
		leave()
		_ = raw.Close()
		return nil, err
	}
	return c, nil
}

// Recheck closes every connection with a node that is not a member any more.
// Call it after each change of the membership.
func (l *Link) Recheck() {
	closed := l.lobby.clear(func(p place) bool {
		if p.peer == "" {
			return false
		}
		_, member := l.membership.Address(p.peer)
		return !member
	})
	if closed > 0 {
		l.log.Info("connections with removed nodes closed", "connections", closed)
	}
}

func (l *Link) memberAddress(nodeID string) (string, error) {
	addr, ok := l.membership.Address(nodeID)
	if !ok {
		return "", fmt.Errorf("node %s: %w", nodeID, ErrNotMember)
	}
	return addr, nil
}
