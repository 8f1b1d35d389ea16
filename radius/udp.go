package radius

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// transport is how a request arrived and how its response goes back: a UDP
// address, or a connection over TLS.
type transport interface {
	// accepts reports whether packets of a code are served here.
	accepts(Code) bool
	// encrypted reports whether TLS protects the packets.
	encrypted() bool
	// send sends a response to the sender of a request.
	send(*request, []byte)
	// disconnect ends a connection; over UDP it does nothing.
	disconnect()
}

// udpListener is a UDP address with the sockets that share it.
type udpListener struct {
	serves   Code // besides StatusServer
	conns    []*net.UDPConn
	wildcard bool // bound to no particular address of this machine
	stopped  atomic.Bool
}

func (l *udpListener) accepts(c Code) bool { return c == l.serves || c == StatusServer }
func (l *udpListener) encrypted() bool     { return false }
func (l *udpListener) disconnect()         {}

// receiveBuffer holds a burst. The system may grant less.
const receiveBuffer = 4 << 20

// listen opens an address with the given number of sockets, or with one where
// the system cannot share an address.
func listen(address string, serves Code, sockets int) (*udpListener, error) {
	l := &udpListener{serves: serves}
	for i := range sockets {
		conn, err := listenUDP(address, i)
		if errors.Is(err, errors.ErrUnsupported) && i > 0 {
			break
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listening on %s: %w", address, err), l.close())
		}
		l.conns = append(l.conns, conn)
		_ = conn.SetReadBuffer(receiveBuffer)
		if i == 0 {
			bound := l.addr()
			address, l.wildcard = bound.String(), bound.Addr().IsUnspecified()
		}
		if l.wildcard {
			if err := reportDestination(conn); err != nil {
				return nil, errors.Join(fmt.Errorf("listening on %s: %w", address, err), l.close())
			}
		}
	}
	return l, nil
}

// listenUDP opens socket number n, from 0, of an address.
func listenUDP(address string, n int) (*net.UDPConn, error) {
	lc := net.ListenConfig{Control: shareControl(n)}
	conn, err := lc.ListenPacket(context.Background(), "udp", address)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		// Sharing is enabled only after the first bind, which therefore fails if
		// another process has the address. Otherwise that process would take
		// half of the packets.
		if err := share(conn.(*net.UDPConn)); err != nil { //nolint:errcheck,forcetypeassert // "udp"
			return nil, errors.Join(err, conn.Close())
		}
	}
	return conn.(*net.UDPConn), nil //nolint:errcheck,forcetypeassert // "udp"
}

func (l *udpListener) addr() netip.AddrPort {
	if len(l.conns) == 0 {
		return netip.AddrPort{}
	}
	return l.conns[0].LocalAddr().(*net.UDPAddr).AddrPort() //nolint:errcheck,forcetypeassert // "udp"
}

// receive reads one packet into a request.
func (l *udpListener) receive(conn *net.UDPConn, r *request) (n int, err error) {
	r.to.conn, r.to.n = conn, 0
	if l.wildcard {
		n, r.to.n, _, r.from, err = conn.ReadMsgUDPAddrPort(r.buffer[:], r.to.control[:])
		r.to.makeSource()
		return n, err
	}
	n, r.from, err = conn.ReadFromUDPAddrPort(r.buffer[:])
	return n, err
}

// send answers from the address that the request was sent to: a client ignores
// a response from any other address.
func (l *udpListener) send(r *request, b []byte) {
	if r.to.n > 0 {
		_, _, _ = r.to.conn.WriteMsgUDPAddrPort(b, r.to.control[:r.to.n], r.from)
		return
	}
	_, _ = r.to.conn.WriteToUDPAddrPort(b, r.from)
}

// stopReading makes pending and later reads return.
func (l *udpListener) stopReading() {
	l.stopped.Store(true)
	for _, conn := range l.conns {
		_ = conn.SetReadDeadline(time.Unix(1, 0))
	}
}

func (l *udpListener) close() error {
	var errs []error
	for _, conn := range l.conns {
		errs = append(errs, conn.Close())
	}
	return errors.Join(errs...)
}
