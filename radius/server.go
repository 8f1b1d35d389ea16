package radius

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"keyfob/events"
)

// Server is the door. New opens its sockets; Run serves until its context
// ends.
type Server struct {
	cfg        Config
	node       Node
	now        func() time.Time
	notices    *notices
	clients    *clients
	duplicates *duplicates
	ports      []*port
	streams    []*radsec
	requests   sync.Pool
	latches    chan latched

	radsecSecret *sharedSecret

	// queue has room for all that may be outstanding, so that who was admitted
	// never waits to get in.
	queue       chan *request
	outstanding atomic.Int64
	open        sync.WaitGroup // requests admitted and not yet done with
}

// request is a packet on its way through the door. It is used again for
// another when it is done with.
type request struct {
	buffer  [maxPacket]byte
	packet  Packet // in buffer
	fields  fields // of an Access-Request
	port    *port
	from    netip.AddrPort // as the socket gave it, to answer to
	local   local          // where it was sent to
	source  netip.Addr     // of from, plain
	client  *client
	secret  *sharedSecret // of the client; over TLS the one of all
	arrived time.Time
	id      events.Request
	entry   *exchange
}

// New checks the configuration and opens the sockets, so that whoever starts
// the node learns at once when an address is taken.
func New(cfg Config, node Node, log *slog.Logger) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("radius: %w", err)
	}
	s := newServer(cfg, node, log)
	for _, listen := range []struct {
		addresses []string
		serves    Code
	}{{cfg.Listen, AccessRequest}, {cfg.Accounting, AccountingRequest}} {
		for _, address := range listen.addresses {
			opened, err := openPort(withPort(address), listen.serves, cfg.Readers)
			if err != nil {
				return nil, errors.Join(fmt.Errorf("radius: %w", err), s.Close())
			}
			s.ports = append(s.ports, opened)
		}
	}
	for _, address := range cfg.RadSec {
		opened, err := openRadSec(withPort(address), cfg.TLS, cfg.Connections)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("radius: %w", err), s.Close())
		}
		s.streams = append(s.streams, opened)
	}
	return s, nil
}

// newServer is a server without sockets.
func newServer(cfg Config, node Node, log *slog.Logger) *Server {
	if cfg.Observer == nil {
		cfg.Observer = nobody{}
	}
	s := &Server{
		cfg:        cfg,
		node:       node,
		now:        time.Now,
		notices:    newNotices(log),
		duplicates: newDuplicates(func() time.Duration { return node.State().Policy.RetryRequestFor }, cfg.Remembered),
		requests:   sync.Pool{New: func() any { return new(request) }},
		latches:    make(chan latched, latchQueue),
		queue:      make(chan *request, cfg.Outstanding),

		radsecSecret: newSharedSecret(radsecSecret),
	}
	s.clients = newClients(node, func(cause Cause, client string, err error) {
		s.notices.complain(cause, client, netip.Addr{}, s.now(), err)
	})
	return s
}

// Addr is the first address that logins are served on, AccountingAddr the
// first of accounting, RadSecAddr the first over TLS. They tell which port was
// opened when port 0 was asked for. The zero value says that there is none.
func (s *Server) Addr() netip.AddrPort { return s.addrOf(AccessRequest) }

// AccountingAddr is described with Addr.
func (s *Server) AccountingAddr() netip.AddrPort { return s.addrOf(AccountingRequest) }

// RadSecAddr is described with Addr.
func (s *Server) RadSecAddr() netip.AddrPort {
	if len(s.streams) == 0 {
		return netip.AddrPort{}
	}
	return s.streams[0].listener.Addr().(*net.TCPAddr).AddrPort() //nolint:errcheck,forcetypeassert // "tcp"
}

func (s *Server) addrOf(serves Code) netip.AddrPort {
	for _, p := range s.ports {
		if p.serves == serves {
			return p.addr()
		}
	}
	return netip.AddrPort{}
}

// Close gives the sockets back. Who has called Run need not call it.
func (s *Server) Close() error {
	var errs []error
	for _, p := range s.ports {
		errs = append(errs, p.close())
	}
	for _, r := range s.streams {
		errs = append(errs, r.close())
	}
	return errors.Join(errs...)
}

// Run serves until ctx ends. Then it reads no more, answers what it has
// admitted, within the configured timeout, and gives the sockets back.
func (s *Server) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var workers, latches sync.WaitGroup
	for range s.cfg.Workers {
		// What was admitted is decided although ctx has ended.
		workers.Go(func() { s.work(context.WithoutCancel(ctx)) })
	}
	latches.Go(func() { s.recordLatches(ctx) })

	err := s.readAll(ctx)
	stop()
	close(s.queue)
	workers.Wait()
	latches.Wait()
	s.open.Wait() // refusals leave some time after they are decided
	return errors.Join(err, s.Close())
}

// readAll reads from all sockets until ctx ends or one of them fails.
func (s *Server) readAll(ctx context.Context) error {
	var readers sync.WaitGroup
	failed := make(chan error, len(s.ports)*s.cfg.Readers+len(s.streams))
	for _, p := range s.ports {
		for _, conn := range p.conns {
			readers.Go(func() { failed <- s.read(p, conn) })
		}
	}
	for _, r := range s.streams {
		readers.Go(func() { failed <- s.acceptAll(r) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	for _, p := range s.ports {
		p.stopReading()
	}
	for _, r := range s.streams {
		r.stopReading()
	}
	readers.Wait()
	return err
}

// read takes packets from a socket until reading from it is stopped.
func (s *Server) read(p *port, conn *net.UDPConn) error {
	r := s.request()
	defer func() { s.requests.Put(r) }()
	for failures := 0; ; {
		n, err := p.receive(conn, r)
		switch {
		case err == nil:
			failures = 0
		case p.stopped.Load():
			return nil
		default:
			// An ICMP message about an earlier answer may come up here. It
			// concerns nobody else.
			if failures++; failures > 100 {
				return fmt.Errorf("reading radius packets: %w", err)
			}
			continue
		}
		r.port = p
		if s.admitDatagram(r, n) {
			r = s.request()
		}
	}
}

func (s *Server) request() *request {
	return s.requests.Get().(*request) //nolint:errcheck,forcetypeassert // the pool holds nothing else
}

// work decides requests until there are no more.
func (s *Server) work(ctx context.Context) {
	for r := range s.queue {
		s.serve(ctx, r)
	}
}

// nobody counts nothing.
type nobody struct{}

func (nobody) Received(string, Code)                {}
func (nobody) Answered(string, Code, time.Duration) {}
func (nobody) Dropped(string, Cause)                {}
