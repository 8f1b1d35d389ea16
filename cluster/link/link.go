// Package link is the one TCP port between the nodes of a cluster.
//
// Every connection is TLS 1.3 under the cluster's own CA, which is used for
// nothing else. There is no plaintext mode. The ALPN protocol says what a
// connection is for: Raft, requests between nodes, or a machine that joins.
//
// A member is the holder of a private key. Membership knows the hash of each
// member's public key, and both sides compare it in each handshake and for each
// request and message. The CA's signature proves nothing between members: every
// node can open the CA's key, so a removed one could issue a certificate in any
// name. hashicorp/raft authenticates nobody; one accepted message would be enough
// to raise the term to the end of its range and to depose every leader forever.
// Recheck closes the connections with nodes that are no longer members.
//
// So the identity of a peer is established here, once. For users of this package a
// request has a sender (Peer), a URL names a node instead of an address
// (https://NODE/path), and a Raft message comes from the node that it names.
//
// A joining machine has no certificate yet. It verifies the cluster by the digest
// of the CA in its invitation (JoinClient). The machine itself is not
// authenticated here; the handler for joins must do that with the invitation.
//
// Node ids must never be reused; see CA.Issue.
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
	"sync/atomic"
	"time"
)

// ALPN protocols of the port. A client offers exactly one.
const (
	protoRaft = "keyfob-raft/1"
	protoRPC  = "keyfob-rpc/1"
	protoJoin = "keyfob-join/1"
)

const (
	// From accepting a connection until its server takes it.
	handshakeTimeout = 5 * time.Second

	// How long requests in progress may take after ctx of Run has ended.
	shutdownGrace = 3 * time.Second
)

// Link is this node's side of the connections with the other nodes. Its methods may
// be called from any goroutine.
type Link struct {
	listener   net.Listener
	advertise  address
	config     Config
	self       atomic.Pointer[tls.Certificate]
	membership Membership
	log        *slog.Logger
	dialer     func(ctx context.Context, network, addr string) (net.Conn, error)

	conns  connections
	raft   *listener
	client *http.Client
}

// New returns a link. It can dial immediately and accepts connections in Run.
func New(c Config) (*Link, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	self, err := c.identity()
	if err != nil {
		return nil, fmt.Errorf("cluster link: %w", err)
	}
	l := &Link{
		listener:   c.Listener,
		advertise:  address(c.Advertise),
		config:     c,
		membership: c.Membership,
		log:        c.Log,
		dialer:     c.Dial,
	}
	l.self.Store(&self)
	if l.advertise == "" {
		l.advertise = address(c.Listener.Addr().String())
	}
	if l.dialer == nil {
		l.dialer = (&net.Dialer{KeepAliveConfig: keepAlive()}).DialContext
	}
	l.raft = newListener(l.advertise)
	l.client = newRPCClient(l)
	return l, nil
}

// Renew replaces this node's certificate and the certificate of the CA that issued
// it, for the same key. Open connections stay.
func (l *Link) Renew(certificate, ca []byte) error {
	c := l.config
	c.Certificate, c.CA = certificate, ca
	self, err := c.identity()
	if err != nil {
		return fmt.Errorf("renewing the node's certificate: %w", err)
	}
	l.self.Store(&self)
	return nil
}

// Run accepts connections until ctx ends. Then it closes all connections, including
// those that this node dialed. It may be called once. rpc serves requests of
// members, and Peer says of which. join serves machines that are not
// authenticated; if it is nil, nobody can join through this node.
//
// Shut Raft down before ctx ends, otherwise it finds its peers gone.
func (l *Link) Run(ctx context.Context, rpc, join http.Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	listeners := map[string]*listener{protoRaft: l.raft, protoRPC: newListener(l.advertise)}
	servers := []*http.Server{l.serve(&running, listeners[protoRPC], rpcServer(l.onlyMembers(rpc)))}
	if join != nil {
		listeners[protoJoin] = newListener(l.advertise)
		servers = append(servers, l.serve(&running, listeners[protoJoin], joinServer(join)))
	}
	context.AfterFunc(ctx, func() { _ = l.listener.Close() })
	err := l.accept(ctx, &running, listeners)

	// No more connections are accepted, and unfinished handshakes are closed.
	// Requests in progress get their answers, then everything is closed.
	cancel()
	l.conns.clear(func(p slot) bool { return p.kind == handshaking })
	grace, done := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer done()
	for _, s := range servers {
		_ = s.Shutdown(grace) // what remains is closed next
	}
	l.client.CloseIdleConnections()
	l.conns.close()
	_ = l.raft.Close()
	running.Wait()
	return err
}

func (l *Link) serve(running *sync.WaitGroup, in *listener, s *http.Server) *http.Server {
	s.ErrorLog = slog.NewLogLogger(l.log.Handler(), slog.LevelDebug)
	running.Go(func() { _ = s.Serve(in) }) // ends with Shutdown
	return s
}

// accept accepts connections until ctx ends. It retries after an error, such as too
// many open files.
func (l *Link) accept(ctx context.Context, running *sync.WaitGroup, listeners map[string]*listener) error {
	config := l.serverConfig(listeners)
	const longest = time.Second
	wait := 5 * time.Millisecond
	for {
		raw, err := l.listener.Accept()
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accepting connections from other nodes: %w", err)
		default:
			l.log.WarnContext(ctx, "accepting a connection on the cluster port failed", "err", err)
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
		leave, ok := l.conns.enter(slot{kind: handshaking}, raw)
		if !ok {
			continue
		}
		running.Go(func() { l.receive(ctx, raw, leave, config, listeners) })
	}
}

// receive does the handshake and passes the connection to its protocol's server.
func (l *Link) receive(ctx context.Context, raw net.Conn, leave func(), config *tls.Config, listeners map[string]*listener) {
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
	at := slot{kind: joining}
	if state.NegotiatedProtocol != protoJoin {
		at.kind = inbound
		at.peer, at.key, _ = shown(state, l.config.ClusterID) // verified in the handshake
	}
	c, err := l.admit(at, raw, tc)
	if err != nil {
		l.refused(ctx, raw, err)
		return
	}
	if err := listeners[state.NegotiatedProtocol].pass(ctx, c); err != nil {
		_ = c.Close()
	}
}

// errIssued means that the present CA issued the certificate of a refused peer: it is a
// node that was removed, or somebody who has the CA's key.
var errIssued = errors.New("the cluster's CA issued the certificate of a peer that is refused")

// issued reports whether the present CA issued a certificate.
func (l *Link) issued(leaf *x509.Certificate) bool {
	chain := l.self.Load().Certificate
	root, err := x509.ParseCertificate(chain[len(chain)-1])
	if err == nil {
		_, err = issuedBy(root, leaf, l.config.ClusterID, l.config.Now())
	}
	return err == nil
}

// refused logs a refused connection. Strangers are many and prove nothing. One with a
// certificate of the cluster is worth a warning.
func (l *Link) refused(ctx context.Context, raw net.Conn, err error) {
	level := slog.LevelDebug
	if errors.Is(err, errIssued) {
		level = slog.LevelWarn
	}
	l.log.Log(ctx, level, "connection refused on the cluster port", "remote", raw.RemoteAddr().String(), "err", err)
}

// admit registers a connection after its handshake. It checks membership again,
// because a Recheck between the handshake and the registration would miss it.
func (l *Link) admit(at slot, raw net.Conn, tc *tls.Conn) (*conn, error) {
	leave, ok := l.conns.enter(at, raw)
	if !ok {
		return nil, net.ErrClosed
	}
	c := &conn{Conn: tc, slot: at, leave: leave, gone: make(chan struct{})}
	if at.kind == joining {
		return c, nil
	}
	if err := l.checkKey(at.peer, at.key); err != nil {
		leave()
		_ = raw.Close()
		return nil, err
	}
	return c, nil
}

// Recheck closes all connections with nodes that are no longer members. Call it
// after each change of the membership.
func (l *Link) Recheck() {
	closed := l.conns.clear(func(p slot) bool {
		if p.peer == "" {
			return false
		}
		return l.checkKey(p.peer, p.key) != nil
	})
	if closed > 0 {
		l.log.Info("connections with removed nodes closed", "connections", closed)
	}
}

func (l *Link) memberAddress(nodeID string) (string, error) {
	m, ok := l.membership.Member(nodeID)
	if !ok {
		return "", fmt.Errorf("node %s: %w", nodeID, ErrNotMember)
	}
	return m.Address, nil
}

// checkKey reports whether the member of that id has that key.
func (l *Link) checkKey(nodeID string, key [32]byte) error {
	m, ok := l.membership.Member(nodeID)
	switch {
	case !ok:
		return fmt.Errorf("node %s: %w", nodeID, ErrNotMember)
	case m.Key != key:
		return fmt.Errorf("the peer that calls itself node %s has another key: %w", nodeID, ErrNotMember)
	}
	return nil
}
