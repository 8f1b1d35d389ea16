package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// keepAlive detects a peer that lost power or network within 20 seconds.
func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 8 * time.Second, Interval: 3 * time.Second, Count: 4}
}

// base is the common part of all handshakes. Session tickets are off, so every
// connection shows a certificate that is checked again.
func (l *Link) base() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return l.self.Load(), nil },
		GetClientCertificate:   func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return l.self.Load(), nil },
		Time:                   l.config.Now,
	}
}

// serverConfig requires a node's certificate, except from a client that only wants
// to join.
func (l *Link) serverConfig(listeners map[string]*listener) *tls.Config {
	members := l.base()
	members.NextProtos = []string{protoRaft, protoRPC}
	members.ClientAuth = tls.RequireAnyClientCert // checked by VerifyConnection
	members.VerifyConnection = func(state tls.ConnectionState) error {
		id, key, err := shown(state, l.config.ClusterID)
		if err != nil {
			return err
		}
		err = l.checkKey(id, key)
		if err != nil && l.issued(state.PeerCertificates[0]) {
			return fmt.Errorf("%w: %w", errIssued, err)
		}
		return err
	}
	strangers := l.base()
	strangers.NextProtos = []string{protoJoin}

	front := l.base()
	front.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if len(hello.SupportedProtos) != 1 || listeners[hello.SupportedProtos[0]] == nil {
			return nil, fmt.Errorf("the client offers protocols %q, want one of this port", hello.SupportedProtos)
		}
		if hello.SupportedProtos[0] == protoJoin {
			return strangers, nil
		}
		return members, nil
	}
	return front
}

// dial connects to the member nodeID at addr. It refuses any other node there.
func (l *Link) dial(ctx context.Context, nodeID, addr, proto string) (*conn, error) {
	if _, err := l.memberAddress(nodeID); err != nil {
		return nil, err
	}
	config := l.base()
	config.NextProtos = []string{proto}
	config.InsecureSkipVerify = true // crypto/tls checks host names only; VerifyConnection checks the node
	config.VerifyConnection = func(state tls.ConnectionState) error {
		id, key, err := shown(state, l.config.ClusterID)
		if err != nil {
			return err
		}
		if id != nodeID {
			return fmt.Errorf("node %s answers at the address of node %s", id, nodeID)
		}
		if err := l.checkKey(id, key); err != nil {
			return err
		}
		return wantProtocol(state, proto)
	}
	raw, tc, err := connect(ctx, l.dialer, addr, config)
	if err != nil {
		return nil, fmt.Errorf("connecting to node %s: %w", nodeID, err)
	}
	_, key, err := shown(tc.ConnectionState(), l.config.ClusterID)
	if err != nil {
		return nil, err
	}
	return l.admit(slot{kind: outbound, peer: nodeID, key: key}, raw, tc)
}

func connect(ctx context.Context, dial func(ctx context.Context, network, addr string) (net.Conn, error),
	addr string, config *tls.Config,
) (net.Conn, *tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	raw, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	tc := tls.Client(raw, config)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, nil, err
	}
	return raw, tc, nil
}

// wantProtocol refuses a server that ignores ALPN, which crypto/tls accepts.
func wantProtocol(state tls.ConnectionState, proto string) error {
	if state.NegotiatedProtocol != proto {
		return fmt.Errorf("the peer does not speak %s", proto)
	}
	return nil
}

// conn is a connection with a known peer.
type conn struct {
	*tls.Conn
	slot  // whose peer is empty for a joining machine
	leave func()

	once sync.Once
	gone chan struct{} // closed by Close
}

// Close implements [net.Conn]. It may be called repeatedly.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.leave()
		close(c.gone)
	})
	return err
}

// listener is a [net.Listener] for the connections of one protocol, after their
// handshakes.
type listener struct {
	addr net.Addr
	in   chan net.Conn
	once sync.Once
	shut chan struct{}
}

func newListener(addr net.Addr) *listener {
	return &listener{addr: addr, in: make(chan net.Conn), shut: make(chan struct{})}
}

var errNotAccepted = errors.New("the connection was not accepted")

func (l *listener) pass(ctx context.Context, c net.Conn) error {
	select {
	case l.in <- c:
		return nil
	case <-l.shut:
		return net.ErrClosed
	case <-ctx.Done():
		return errNotAccepted
	}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.in:
		return c, nil
	case <-l.shut:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.shut) })
	return nil
}

func (l *listener) Addr() net.Addr { return l.addr }

// address is a host:port that others dial.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }
