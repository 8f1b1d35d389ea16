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
)

// radsecSecret is the shared secret of everybody over TLS, which does what the
// secret was for (RFC 6614, section 2.3).
const radsecSecret engine.Secret = "radsec"

const (
	handshakeTimeout = 10 * time.Second
	idleTimeout      = 15 * time.Minute
	writeTimeout     = time.Second // of an answer to a client that does not read
	perAddress       = 4           // one address gets a quarter of the connections
)

// radsec is RADIUS over TLS (RFC 6614): authentication, accounting and status
// on one connection. A client is whom its certificate names.
type radsec struct {
	listener net.Listener
	tls      *tls.Config
	limit    int

	mu       sync.Mutex // guards what follows
	sessions map[*session]struct{}
	stopped  bool
}

// session is one client's connection.
type session struct {
	conn *tls.Conn
	from netip.AddrPort
	port *port
	mu   sync.Mutex // one answer at a time
}

func openRadSec(address string, cfg *tls.Config, limit int) (*radsec, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", address, err)
	}
	cfg = cfg.Clone()
	cfg.ClientAuth = tls.RequireAndVerifyClientCert
	cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS12)
	cfg.SessionTicketsDisabled = true // a certificate is looked at each time
	return &radsec{listener: listener, tls: cfg, limit: limit, sessions: make(map[*session]struct{})}, nil
}

// acceptAll serves connections until the listener is closed, and returns when
// no connection is read from any more.
func (s *Server) acceptAll(r *radsec) error {
	var readers sync.WaitGroup
	defer readers.Wait()
	for failures := 0; ; {
		conn, err := r.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			if failures++; failures > 100 {
				return fmt.Errorf("accepting radsec connections: %w", err)
			}
			time.Sleep(10 * time.Millisecond) // out of descriptors, most likely
			continue
		}
		failures = 0
		x := r.enter(conn)
		if x == nil {
			_ = conn.Close()
			s.cfg.Observer.Dropped("", DropBusy)
			continue
		}
		readers.Go(func() { s.converse(r, x) })
	}
}

// enter makes room for a connection, or answers nil.
func (r *radsec) enter(conn net.Conn) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := conn.RemoteAddr().(*net.TCPAddr).AddrPort() //nolint:errcheck,forcetypeassert // "tcp"
	if r.stopped || len(r.sessions) >= r.limit || r.count(from.Addr()) >= max(1, r.limit/perAddress) {
		return nil
	}
	x := &session{conn: tls.Server(conn, r.tls), from: from}
	x.port = &port{secure: true, reply: x.reply, hangUp: x.hangUp}
	r.sessions[x] = struct{}{}
	return x
}

// count is how many connections an address has. mu is held.
func (r *radsec) count(address netip.Addr) int {
	n := 0
	for x := range r.sessions {
		if x.from.Addr() == address {
			n++
		}
	}
	return n
}

// leave ends a connection, unless the server is stopping: then answers may
// still be due on it, and close ends it.
func (r *radsec) leave(x *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.stopped {
		delete(r.sessions, x)
		x.hangUp()
	}
}

// stopReading ends the listener and wakes the readers for the last time.
func (r *radsec) stopReading() {
	_ = r.listener.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	for x := range r.sessions {
		_ = x.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

func (r *radsec) close() error {
	err := r.listener.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for x := range r.sessions {
		x.hangUp()
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// converse reads a client's packets until the connection ends.
func (s *Server) converse(r *radsec, x *session) {
	defer r.leave(x)
	source := plain(x.from.Addr())
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	if err := x.conn.HandshakeContext(ctx); err != nil {
		s.complain(FailedTLS, "", source, err)
		return
	}
	name, ok := s.nameOf(x.conn.ConnectionState().PeerCertificates[0])
	if !ok {
		cause, err := s.stranger(DropUnknownName)
		s.cfg.Observer.Dropped("", cause)
		s.complain(cause, "", source, err)
		return
	}
	s.readStream(r, x, name)
}

// nameOf is the client that a certificate names: by DNS name, or by common
// name where there is none.
func (s *Server) nameOf(certificate *x509.Certificate) (string, bool) {
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

func (s *Server) readStream(r *radsec, x *session, name string) {
	q := s.request()
	defer func() { s.requests.Put(q) }()
	for r.await(x) {
		n, err := readPacket(x.conn, &q.buffer)
		if err != nil {
			if errors.Is(err, errShort) || errors.Is(err, errLong) {
				s.complain(DropMalformed, name, plain(x.from.Addr()), err)
			}
			return
		}
		found, ok := s.clients.named(name, s.now())
		if !ok {
			return // the client is known no more
		}
		q.port, q.from, q.client, q.secret = x.port, x.from, found, s.radsecSecret
		if s.admit(q, n) {
			q = s.request()
		}
	}
}

// await sets how long the next packet may take, unless the server is stopping.
func (r *radsec) await(x *session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
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

func (x *session) reply(_ *request, b []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	_ = x.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := x.conn.Write(b); err != nil {
		x.hangUp() // half a packet may have gone out
	}
}

// hangUp ends the connection at once, without waiting for a farewell to be
// taken.
func (x *session) hangUp() { _ = x.conn.NetConn().Close() }
