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

// port is where packets come in: one UDP address with the sockets that share
// it, or one connection over TLS.
type port struct {
	serves  Code // besides StatusServer; 0: all
	conns   []*net.UDPConn
	anyHost bool // bound to no particular address of this machine
	stopped atomic.Bool

	secure bool                       // one connection over TLS
	reply  func(r *request, b []byte) // in the place of conns
	hangUp func()                     // ends the connection
}

// takes reports whether a packet of that code belongs here.
func (p *port) takes(c Code) bool {
	if p.secure {
		return c == AccessRequest || c == AccountingRequest || c == StatusServer
	}
	return c == p.serves || c == StatusServer
}

// receiveBuffer holds a burst. The system may grant less.
const receiveBuffer = 4 << 20

// openPort opens an address with as many sockets as wanted, where the system
// lets sockets share one.
func openPort(address string, serves Code, sockets int) (*port, error) {
	p := &port{serves: serves}
	for i := range sockets {
		conn, err := listenUDP(address, i)
		if errors.Is(err, errors.ErrUnsupported) && i > 0 {
			break
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listening on %s: %w", address, err), p.close())
		}
		p.conns = append(p.conns, conn)
		_ = conn.SetReadBuffer(receiveBuffer)
		if i == 0 {
			bound := p.addr()
			address, p.anyHost = bound.String(), bound.Addr().IsUnspecified()
		}
		if p.anyHost {
			if err := tellLocal(conn); err != nil {
				return nil, errors.Join(fmt.Errorf("listening on %s: %w", address, err), p.close())
			}
		}
	}
	return p, nil
}

// listenUDP opens the socket of that number, from 0, for an address.
func listenUDP(address string, number int) (*net.UDPConn, error) {
	lc := net.ListenConfig{Control: shareControl(number)}
	conn, err := lc.ListenPacket(context.Background(), "udp", address)
	if err != nil {
		return nil, err
	}
	if number == 0 {
		// Only now may others share it: had another process been there
		// already, the first bind would have failed instead of taking half of
		// its packets.
		if err := share(conn.(*net.UDPConn)); err != nil { //nolint:errcheck,forcetypeassert // "udp"
			return nil, errors.Join(err, conn.Close())
		}
	}
	return conn.(*net.UDPConn), nil //nolint:errcheck,forcetypeassert // "udp"
}

func (p *port) addr() netip.AddrPort {
	if len(p.conns) == 0 {
		return netip.AddrPort{}
	}
	return p.conns[0].LocalAddr().(*net.UDPAddr).AddrPort() //nolint:errcheck,forcetypeassert // "udp"
}

// receive reads one packet into a request.
func (p *port) receive(conn *net.UDPConn, r *request) (n int, err error) {
	r.local.conn, r.local.n = conn, 0
	if p.anyHost {
		n, r.local.n, _, r.from, err = conn.ReadMsgUDPAddrPort(r.buffer[:], r.local.control[:])
		r.local.answerable()
		return n, err
	}
	n, r.from, err = conn.ReadFromUDPAddrPort(r.buffer[:])
	return n, err
}

// send answers from the address that was asked: a client takes an answer from
// another address of this machine for somebody else's.
func (p *port) send(r *request, b []byte) {
	switch {
	case p.reply != nil:
		p.reply(r, b)
	case r.local.n > 0:
		_, _, _ = r.local.conn.WriteMsgUDPAddrPort(b, r.local.control[:r.local.n], r.from)
	default:
		_, _ = r.local.conn.WriteToUDPAddrPort(b, r.from)
	}
}

// stopReading wakes the readers for the last time.
func (p *port) stopReading() {
	p.stopped.Store(true)
	for _, conn := range p.conns {
		_ = conn.SetReadDeadline(time.Unix(1, 0))
	}
}

func (p *port) close() error {
	var errs []error
	for _, conn := range p.conns {
		errs = append(errs, conn.Close())
	}
	return errors.Join(errs...)
}
