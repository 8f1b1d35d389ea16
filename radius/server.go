package radius

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// Server is the RADIUS server. New opens its sockets; Run serves until its
// context ends.
type Server struct {
	cfg       Config
	node      Node
	now       func() time.Time
	warnings  *warnings
	clients   *clients
	exchanges *exchanges
	rooms     *rooms
	udp       []*udpListener
	radsec    []*radsecListener
	requests  sync.Pool
	findings  chan finding

	radsecSecret *sharedSecret

	// Each queue has room for every request of its kind that may be outstanding,
	// so that a reader never waits to enqueue one.
	signed, unsigned chan *request
}

// request is a packet being served. It is reused for another packet once it
// is released.
type request struct {
	buffer    [maxPacket]byte
	packet    Packet // in buffer
	fields    fields // of an Access-Request
	typed     engine.Secret
	transport transport
	from      netip.AddrPort // as the socket reported it, to answer to
	to        destination
	source    netip.Addr // address of from, in plain form
	client    *client
	secret    *sharedSecret // the client's, or over TLS the one of all clients
	oldSecret *sharedSecret // the client's, while it is not known which one the packet was made with
	arrived   time.Time
	id        events.Request
	signed    bool // its sender is proved: by a Message-Authenticator, or by TLS
	exchange  *exchange
}

// New checks the configuration and opens the sockets, so that an address that
// is in use is reported at start.
func New(cfg Config, node Node, log *slog.Logger) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("radius: %w", err)
	}
	s := newServer(cfg, node, log)
	for _, group := range []struct {
		addresses []string
		serves    Code
	}{{cfg.Listen, AccessRequest}, {cfg.Accounting, AccountingRequest}} {
		for _, address := range group.addresses {
			opened, err := listen(withPort(address), group.serves, cfg.Readers)
			if err != nil {
				return nil, errors.Join(fmt.Errorf("radius: %w", err), s.Close())
			}
			s.udp = append(s.udp, opened)
		}
	}
	for _, address := range cfg.RadSec {
		opened, err := listenRadSec(withPort(address), cfg.TLS, cfg.Connections)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("radius: %w", err), s.Close())
		}
		s.radsec = append(s.radsec, opened)
	}
	return s, nil
}

// newServer makes a server without sockets.
func newServer(cfg Config, node Node, log *slog.Logger) *Server {
	if cfg.Observer == nil {
		cfg.Observer = noObserver{}
	}
	s := &Server{
		cfg:       cfg,
		node:      node,
		now:       time.Now,
		warnings:  newWarnings(log),
		exchanges: newExchanges(func() time.Duration { return node.State().Policy.RetryRequestFor }, cfg.Remembered),
		rooms:     newRooms(cfg.Outstanding, cfg.PerClient),
		requests:  sync.Pool{New: func() any { return new(request) }},
		findings:  make(chan finding, findingQueue),
		signed:    make(chan *request, cfg.Outstanding),
		unsigned:  make(chan *request, cfg.Outstanding),

		radsecSecret: newSharedSecret(radsecSecret),
	}
	s.clients = newClients(node, func(cause Cause, client string, err error) {
		s.warn(cause, client, netip.Addr{}, err)
	})
	return s
}

// Addr returns the first address that logins are served on, AccountingAddr the
// first for accounting, RadSecAddr the first over TLS. They tell which port was
// opened when port 0 was asked for. The zero value means that there is none.
func (s *Server) Addr() netip.AddrPort { return s.addrOf(AccessRequest) }

// AccountingAddr is described with Addr.
func (s *Server) AccountingAddr() netip.AddrPort { return s.addrOf(AccountingRequest) }

// RadSecAddr is described with Addr.
func (s *Server) RadSecAddr() netip.AddrPort {
	if len(s.radsec) == 0 {
		return netip.AddrPort{}
	}
	return s.radsec[0].listener.Addr().(*net.TCPAddr).AddrPort() //nolint:errcheck,forcetypeassert // "tcp"
}

func (s *Server) addrOf(serves Code) netip.AddrPort {
	for _, l := range s.udp {
		if l.serves == serves {
			return l.addr()
		}
	}
	return netip.AddrPort{}
}

// Close closes the sockets. It is not needed after Run.
func (s *Server) Close() error {
	var errs []error
	for _, l := range s.udp {
		errs = append(errs, l.close())
	}
	for _, l := range s.radsec {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}

// Run serves until ctx ends. Then it stops reading, answers the requests it
// has, within the configured timeout, and closes the sockets.
func (s *Server) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var workers, recorder sync.WaitGroup
	for range s.cfg.Workers {
		// Requests in the queues are decided although ctx has ended.
		workers.Go(func() { s.work(context.WithoutCancel(ctx), s.signed) })
		workers.Go(func() { s.work(context.WithoutCancel(ctx), s.unsigned) })
	}
	recorder.Go(func() { s.recordFindings(ctx) })

	err := s.readAll(ctx)
	stop()
	close(s.signed)
	close(s.unsigned)
	workers.Wait()
	recorder.Wait()
	return errors.Join(err, s.Close())
}

// readAll reads from all sockets until ctx ends or one of them fails.
func (s *Server) readAll(ctx context.Context) error {
	var readers sync.WaitGroup
	failed := make(chan error, len(s.udp)*s.cfg.Readers+len(s.radsec))
	for _, l := range s.udp {
		for _, conn := range l.conns {
			readers.Go(func() { failed <- s.read(l, conn) })
		}
	}
	for _, l := range s.radsec {
		readers.Go(func() { failed <- s.acceptAll(l) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	for _, l := range s.udp {
		l.stopReading()
	}
	for _, l := range s.radsec {
		l.stopReading()
	}
	readers.Wait()
	return err
}

// read takes packets from a socket until reading is stopped.
func (s *Server) read(l *udpListener, conn *net.UDPConn) error {
	r := s.request()
	defer func() { s.requests.Put(r) }()
	for failures := 0; ; {
		n, err := l.receive(conn, r)
		switch {
		case err == nil:
			failures = 0
		case l.stopped.Load():
			return nil
		default:
			// This may be an ICMP message about an earlier response, which
			// concerns no other client.
			if failures++; failures > 100 {
				return fmt.Errorf("reading radius packets: %w", err)
			}
			continue
		}
		r.transport = l
		if s.receiveDatagram(r, n) {
			r = s.request()
		}
	}
}

func (s *Server) request() *request {
	return s.requests.Get().(*request) //nolint:errcheck,forcetypeassert // the pool holds nothing else
}

// work decides requests until the queue is closed.
func (s *Server) work(ctx context.Context, queue <-chan *request) {
	for r := range queue {
		s.serve(ctx, r)
	}
}

type noObserver struct{}

func (noObserver) Received(string, Code)                {}
func (noObserver) Answered(string, Code, time.Duration) {}
func (noObserver) Dropped(string, Cause)                {}
