package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Server is an embedded NATS server that holds the audit stream. Clients need
// credentials, and readers must be on the server's list (SetReaders).
//
// It survives failures of the NATS server inside it, which is started anew when
// its disk accepts writes again (Repair).
type Server struct {
	c ServerConfig

	mu       sync.Mutex // guards below
	embedded *embedded  // nil if it could not be started
	readers  []string   // keys of the readers let in, sorted
	known    bool       // SetReaders has been called
	closed   bool
	ended    <-chan struct{} // closed when the NATS server before has ended
	rebuilt  time.Time       // when the stream was last set aside
	lost     []consumerInfo  // durable consumers of the stream that was set aside, to be created again
}

// embedded is a NATS server that runs.
type embedded struct {
	*server.Server
	authority  *authority
	publisher  []byte // its credentials
	proxyCreds []byte // those of the proxy
	proxy      *proxy

	accounts sync.Mutex // guards admitted and changes of readers' accounts
	admitted []string   // keys of the readers that have an account, sorted
}

// Start starts a server for the publisher. It listens for readers from the first
// call of SetReaders on: a reader that is refused while the list is not known yet
// might give up for good.
//
// An error means that the configuration is wrong. A disk that accepts no writes is
// left to Repair.
func Start(c ServerConfig) (*Server, error) {
	err := c.Validate()
	if err == nil {
		err = free(c.Listen)
	}
	if err == nil {
		_, err = c.certificates()
	}
	if err != nil {
		return nil, fmt.Errorf("starting NATS server: %w", err)
	}
	none := make(chan struct{})
	close(none)
	s := &Server{c: c, ended: none}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.start(); err != nil {
		c.Log.Error("NATS server not started", "err", err)
	}
	return s, nil
}

// errStopped is returned while the NATS server does not run.
var errStopped = errors.New("the NATS server does not run")

// start starts the NATS server. The caller holds mu.
func (s *Server) start() error {
	if s.closed {
		return errStopped
	}
	if err := s.stop(); err != nil {
		return err
	}
	authority, publisher, proxyCreds, err := newAuthority(s.c.Cluster)
	if err != nil {
		return err
	}
	if err := s.c.removeStrangers(authority.stream); err != nil {
		return err
	}
	options, err := options(s.c, authority)
	if err != nil {
		return err
	}
	log := newLogger(s.c.Log)
	n, err := server.NewServer(options)
	if err != nil {
		return err
	}
	n.SetLoggerV2(log, false, false, false)
	s.embedded = &embedded{Server: n, authority: authority, publisher: publisher, proxyCreds: proxyCreds}
	if err = launch(n, log.fatal); err == nil {
		s.embedded.proxy, err = s.embedded.openProxy(s.c.Log)
	}
	if err == nil && s.known {
		err = s.admit()
	}
	if err != nil {
		return errors.Join(err, s.stop())
	}
	return nil
}

// launch starts n and waits until it is ready, or has reported why it cannot be.
func launch(n *server.Server, fatal <-chan string) error {
	n.Start()
	select {
	case text := <-fatal:
		return errors.New(text)
	default:
	}
	if !n.ReadyForConnections(readyWithin) {
		return fmt.Errorf("not ready after %v", readyWithin)
	}
	return nil
}

// stop stops the NATS server, if it runs, and waits for its end: two servers must
// not have the same files. The caller holds mu.
func (s *Server) stop() error {
	if r := s.embedded; r != nil {
		s.embedded = nil
		done := make(chan struct{})
		s.ended = done
		go func() { // ends with the server
			defer close(done)
			if r.proxy != nil {
				r.proxy.close()
			}
			r.Shutdown()
			r.WaitForShutdown()
		}()
	}
	timeout := time.NewTimer(stopWithin)
	defer timeout.Stop()
	select {
	case <-s.ended:
		return nil
	case <-timeout.C:
		return fmt.Errorf("the NATS server has not stopped within %v", stopWithin)
	}
}

// connect returns a function that connects in-process, without a socket.
func (r *embedded) connect(name string, creds []byte, more ...nats.Option) func() (*nats.Conn, error) {
	options := append([]nats.Option{
		nats.InProcessServer(r.Server), nats.UserCredentialBytes(creds), nats.CustomInboxPrefix(privateInbox), nats.Name(name),
	}, more...)
	return func() (*nats.Conn, error) { return nats.Connect("", options...) }
}

// Connect connects the publisher.
func (s *Server) Connect(context.Context) (*nats.Conn, error) {
	s.mu.Lock()
	r := s.embedded
	s.mu.Unlock()
	if r == nil {
		return nil, errStopped
	}
	connect := r.connect("keyfob publisher", r.publisher, nats.NoReconnect())
	nc, err := connect()
	if err == nil {
		return nc, nil
	}
	if err := r.closeStrangers(); err != nil { // they may hold all connections there are
		return nil, err
	}
	return connect()
}

// URL is the address for consumers on this machine, empty before it listens.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.embedded == nil {
		return ""
	}
	a, ok := s.embedded.Addr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	scheme, host := "nats://", "127.0.0.1"
	if s.c.TLSCert != "" {
		scheme = "tls://"
	}
	if !a.IP.IsUnspecified() {
		host = a.IP.String()
	}
	return scheme + net.JoinHostPort(host, strconv.Itoa(a.Port))
}

// Close closes all connections and syncs the stream's files.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if err := s.stop(); err != nil {
		s.c.Log.Error("NATS server not stopped", "err", err)
	}
}
