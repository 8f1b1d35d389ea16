package radius

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"keyfob/engine"
	"keyfob/engine/throttle"
)

// radsecSecret is the shared secret of every client over TLS, which takes over
// the secret's purpose (RFC 6614, section 2.3).
const radsecSecret engine.Secret = "radsec"

const (
	handshakeTimeout = 10 * time.Second
	idleTimeout      = 15 * time.Minute
	writeTimeout     = time.Second // for a client that does not read
	networkShare     = 4           // one address, or IPv6 /64, may have a quarter of the connections
)

// radsecListener serves RADIUS over TLS (RFC 6614): authentication, accounting
// and status on one connection. The certificate names the client.
type radsecListener struct {
	listener net.Listener
	tls      *tls.Config
	limit    int

	mu       sync.Mutex // guards what follows
	sessions map[*session]struct{}
	opened   uint64
	stopped  bool
}

// session is one client's connection.
type session struct {
	conn    *tls.Conn
	from    netip.AddrPort
	network netip.Prefix
	opened  uint64 // counts the sessions of the listener
	known   bool   // its certificate names a client; guarded by the listener

	mu sync.Mutex // held while a response is written
}

func (x *session) accepts(c Code) bool {
	return c == AccessRequest || c == AccountingRequest || c == StatusServer
}
func (x *session) encrypted() bool { return true }

func (x *session) send(_ *request, b []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	_ = x.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := x.conn.Write(b); err != nil {
		x.disconnect() // part of a packet may have gone out
	}
}

// disconnect closes the connection at once, without TLS's closing message.
func (x *session) disconnect() { _ = x.conn.NetConn().Close() }

func listenRadSec(address string, cfg *tls.Config, limit int) (*radsecListener, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", address, err)
	}
	cfg = cfg.Clone()
	cfg.ClientAuth = tls.RequireAndVerifyClientCert
	cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS12)
	cfg.SessionTicketsDisabled = true // so that every connection shows its certificate
	return &radsecListener{listener: listener, tls: cfg, limit: limit, sessions: make(map[*session]struct{})}, nil
}

// acceptAll serves connections until the listener is closed, and returns when
// all of its readers have ended.
func (s *Server) acceptAll(l *radsecListener) error {
	var readers sync.WaitGroup
	defer readers.Wait()
	for failures := 0; ; {
		conn, err := l.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			if failures++; failures > 100 {
				return fmt.Errorf("accepting radsec connections: %w", err)
			}
			time.Sleep(10 * time.Millisecond) // most likely out of file descriptors
			continue
		}
		failures = 0
		x := l.open(conn)
		if x == nil {
			_ = conn.Close()
			s.cfg.Observer.Dropped("", DropBusy)
			continue
		}
		readers.Go(func() { s.serveSession(l, x) })
	}
}

// open starts a session, or returns nil if there are too many. If so, it closes the
// oldest session that has not shown a client's certificate yet: strangers who
// connect and fall silent keep no client out.
func (l *radsecListener) open(conn net.Conn) *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := conn.RemoteAddr().(*net.TCPAddr).AddrPort() //nolint:errcheck,forcetypeassert // "tcp"
	x := &session{conn: tls.Server(conn, l.tls), from: from, network: throttle.Network(from.Addr()), opened: l.opened}
	theirs, strangerThere := l.count(func(y *session) bool { return y.network == x.network })
	all, stranger := l.count(func(*session) bool { return true })
	if theirs >= max(1, l.limit/networkShare) {
		stranger = strangerThere
	} else if all < l.limit {
		stranger = x // there is room
	}
	if l.stopped || stranger == nil {
		return nil
	}
	if stranger != x {
		delete(l.sessions, stranger)
		stranger.disconnect()
	}
	l.opened++
	l.sessions[x] = struct{}{}
	return x
}

// count returns the number of sessions that a condition selects, and the oldest one
// of them that is not known. mu is held.
func (l *radsecListener) count(selected func(*session) bool) (n int, stranger *session) {
	for x := range l.sessions {
		if !selected(x) {
			continue
		}
		n++
		if !x.known && (stranger == nil || x.opened < stranger.opened) {
			stranger = x
		}
	}
	return n, stranger
}

// know notes that a session's certificate names a client.
func (l *radsecListener) know(x *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x.known = true
}

// end ends a session. While the server stops, responses may still be due on
// it; then close ends it.
func (l *radsecListener) end(x *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopped {
		delete(l.sessions, x)
		x.disconnect()
	}
}

// stopReading closes the listener and makes pending reads return.
func (l *radsecListener) stopReading() {
	_ = l.listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	for x := range l.sessions {
		_ = x.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

func (l *radsecListener) close() error {
	err := l.listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for x := range l.sessions {
		x.disconnect()
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// serveSession authenticates a connection and reads its packets until it ends.
func (s *Server) serveSession(l *radsecListener, x *session) {
	defer l.end(x)
	source := plain(x.from.Addr())
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	if err := x.conn.HandshakeContext(ctx); err != nil {
		s.warn(FailedTLS, "", source, err)
		return
	}
	name, ok := s.clientNamedBy(x.conn.ConnectionState().PeerCertificates[0])
	if !ok {
		cause, err := s.causeForStranger(DropUnknownName)
		s.cfg.Observer.Dropped("", cause)
		s.warn(cause, "", source, err)
		return
	}
	l.know(x)
	s.readSession(l, x, name)
}

// clientNamedBy returns the client that a certificate names: by DNS name, or
// by common name if there is none.
func (s *Server) clientNamedBy(certificate *x509.Certificate) (string, bool) {
	names := certificate.DNSNames
	if len(names) == 0 {
		names = []string{certificate.Subject.CommonName}
	}
	for _, name := range names {
		if _, ok := s.clients.named(name, s.now()); ok {
			return name, true
		}
	}
	return "", false
}

func (s *Server) readSession(l *radsecListener, x *session, name string) {
	r := s.request()
	defer func() { s.requests.Put(r) }()
	for l.await(x) {
		n, err := readPacket(x.conn, &r.buffer)
		if err != nil {
			if errors.Is(err, errShort) || errors.Is(err, errLong) {
				s.warn(DropMalformed, name, plain(x.from.Addr()), err)
			}
			return
		}
		found, ok := s.clients.named(name, s.now())
		if !ok {
			return // the client was removed
		}
		r.transport, r.from = x, x.from
		r.client, r.secret, r.oldSecret = found, s.radsecSecret, nil
		if s.receive(r, n) {
			r = s.request()
		}
	}
}

// await sets the deadline for the next packet. It reports false while the
// server stops.
func (l *radsecListener) await(x *session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return false
	}
	return x.conn.SetReadDeadline(time.Now().Add(idleTimeout)) == nil
}

// readPacket reads one packet from a stream (RFC 6613, section 2.6).
func readPacket(r io.Reader, buffer *[maxPacket]byte) (int, error) {
	const prefix = 4 // code, identifier, length
	if _, err := io.ReadFull(r, buffer[:prefix]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint16(buffer[2:prefix]))
	switch {
	case n < headerLength:
		return 0, errShort
	case n > maxPacket:
		return 0, errLong
	}
	_, err := io.ReadFull(r, buffer[prefix:n])
	return n, err
}
