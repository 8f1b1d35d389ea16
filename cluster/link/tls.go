package link

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// keepAlive notices a peer without power or network within 20 seconds.
func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 8 * time.Second, Interval: 3 * time.Second, Count: 4}
}

// base is what all handshakes have in common. Tickets are off: whoever comes
// back shows the certificate again, and is checked again.
func (l *Link) base() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		Certificates:           []tls.Certificate{l.self},
		Time:                   l.verifier.now,
	}
}

// serverConfig asks for a node's certificate, except from a client that wants
// to join and nothing else.
func (l *Link) serverConfig(doors map[string]*door) *tls.Config {
	members := l.base()
	members.NextProtos = []string{protoRaft, protoRPC}
	members.ClientAuth = tls.RequireAnyClientCert // checked by VerifyConnection
	members.VerifyConnection = func(state tls.ConnectionState) error {
		id, err := l.verifier.node(state, l.root, x509.ExtKeyUsageClientAuth)
		if err != nil {
			return err
		}
		_, err = l.memberAddress(id)
		return err
	}
	strangers := l.base()
	strangers.NextProtos = []string{protoJoin}

	front := l.base()
	front.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if len(hello.SupportedProtos) != 1 || doors[hello.SupportedProtos[0]] == nil {
			return nil, fmt.Errorf("client offers protocols %q, want one of this port", hello.SupportedProtos)
		}
		if hello.SupportedProtos[0] == protoJoin {
			return strangers, nil
		}
		return members, nil
	}
	return front
}

// dial connects to the member nodeID at addr, and to nobody else.
func (l *Link) dial(ctx context.Context, nodeID, addr, proto string) (*conn, error) {
	if _, err := l.memberAddress(nodeID); err != nil {
		return nil, err
	}
	config := l.base()
	config.NextProtos = []string{proto}
	config.InsecureSkipVerify = true // crypto/tls knows host names only; checked by VerifyConnection
	config.VerifyConnection = func(state tls.ConnectionState) error {
		id, err := l.verifier.node(state, l.root, x509.ExtKeyUsageServerAuth)
		if err != nil {
			return err
		}
		if id != nodeID {
			return fmt.Errorf("node %s answers at the address of node %s", id, nodeID)
		}
		return wantProtocol(state, proto)
	}
	raw, tc, err := connect(ctx, l.dialer, addr, config)
	if err != nil {
		return nil, fmt.Errorf("connecting to node %s: %w", nodeID, err)
	}
	return l.admit(place{kind: called, peer: nodeID}, raw, tc)
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

// wantProtocol refuses a server that ignores ALPN, which crypto/tls lets pass.
func wantProtocol(state tls.ConnectionState, proto string) error {
	if state.NegotiatedProtocol != proto {
		return fmt.Errorf("the peer does not speak %s", proto)
	}
	return nil
}

// A conn is a connection whose other end is known.
type conn struct {
	*tls.Conn
	peer  string // node id, empty for a machine that joins
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

// A door is where one protocol takes its connections: a [net.Listener] behind
// the handshake.
type door struct {
	addr net.Addr
	in   chan net.Conn
	once sync.Once
	shut chan struct{}
}

func newDoor(addr net.Addr) *door {
	return &door{addr: addr, in: make(chan net.Conn), shut: make(chan struct{})}
}

var errNobodyThere = errors.New("nobody takes the connection")

func (d *door) pass(ctx context.Context, c net.Conn) error {
	select {
	case d.in <- c:
		return nil
	case <-d.shut:
		return net.ErrClosed
	case <-ctx.Done():
		return errNobodyThere
	}
}

func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.in:
		return c, nil
	case <-d.shut:
		return nil, net.ErrClosed
	}
}

func (d *door) Close() error {
	d.once.Do(func() { close(d.shut) })
	return nil
}

func (d *door) Addr() net.Addr { return d.addr }

// An address is a host:port that others dial.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }
