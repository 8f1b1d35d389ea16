package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// publisherInbox is the publisher's inbox prefix; readers cannot subscribe to it.
const publisherInbox = "_KEYFOB"

const (
	readyWithin = 10 * time.Second
	maxPayload  = 1 << 20
)

// ServerConfig configures an embedded server.
type ServerConfig struct {
	Name   string // of the node
	Dir    string // the stream is stored in Dir/nats
	Listen string // host:port; port 0 picks a free one
	Keys   Keys
	// TLSCert and TLSKey are PEM files; set both or neither.
	TLSCert, TLSKey string
	Log             *slog.Logger
}

// Validate reports all problems.
func (c ServerConfig) Validate() error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New(what))
		}
	}
	need(c.Name != "", "no name")
	need(c.Dir != "", "no directory")
	_, _, err := hostPort(c.Listen)
	need(err == nil, fmt.Sprintf("address to listen on: %v", err))
	need((c.TLSCert == "") == (c.TLSKey == ""), "a TLS certificate needs its key, and a key its certificate")
	need(c.Keys.Operator != Seed{} && c.Keys.System != Seed{} && c.Keys.Account != Seed{}, "no keys")
	need(c.Log != nil, "no log")
	return errors.Join(errs...)
}

// hostPort splits an address. A random port is -1, as the NATS server has it.
func hostPort(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	if port, err = strconv.Atoi(text); err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("port %q is not between 0 and 65535", text)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	if host == "" {
		host = "0.0.0.0"
	}
	return host, port, nil
}

// Server is an embedded NATS server that holds the audit stream. Clients need
// credentials, and readers must be on the server's list (SetReaders).
type Server struct {
	nats      *server.Server
	authority *authority
	creds     []byte // the publisher's
	tls       bool

	mu      sync.Mutex // guards readers
	readers []string   // keys of the readers let in, sorted
}

// Start starts a server for the publisher. It listens for readers from the first
// call of SetReaders on: a reader that is refused while the list is not known yet
// might give up for good.
func Start(c ServerConfig) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("starting NATS server: %w", err)
	}
	s, err := start(c)
	if err != nil {
		return nil, fmt.Errorf("starting NATS server: %w", err)
	}
	return s, nil
}

func start(c ServerConfig) (*Server, error) {
	a, err := c.Keys.authority()
	if err != nil {
		return nil, err
	}
	publisher, err := publisherClaims()
	if err != nil {
		return nil, err
	}
	s := &Server{authority: a, tls: c.TLSCert != ""}
	if s.creds, err = credentials(publisher, a.stream); err != nil {
		return nil, err
	}
	options, err := options(c, a)
	if err != nil {
		return nil, err
	}
	if err := free(c.Listen); err != nil {
		return nil, err
	}
	if s.nats, err = server.NewServer(options); err != nil {
		return nil, err
	}
	s.nats.SetLoggerV2(newLogger(c.Log), false, false, false)
	s.nats.Start()
	if !s.nats.ReadyForConnections(readyWithin) {
		s.Close()
		return nil, fmt.Errorf("not ready after %v", readyWithin)
	}
	return s, nil
}

// free reports whether the address can be listened on, so that a port in use is
// an error at the start.
func free(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return l.Close()
}

func options(c ServerConfig, a *authority) (*server.Options, error) {
	host, port, err := hostPort(c.Listen)
	if err != nil {
		return nil, err
	}
	o := &server.Options{
		ServerName:       c.Name,
		Host:             host,
		Port:             port,
		DontListen:       true, // see SetReaders
		NoSigs:           true,
		MaxPayload:       maxPayload,
		JetStream:        true,
		StoreDir:         filepath.Join(c.Dir, "nats"),
		SyncInterval:     syncInterval,
		TrustedOperators: []*jwt.OperatorClaims{a.operator},
		SystemAccount:    a.system,
		AccountResolver:  a.resolver,
	}
	if c.TLSCert == "" {
		return o, nil
	}
	pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("reading TLS certificate: %w", err)
	}
	o.TLS = true
	o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	o.TLSTimeout = 5
	return o, nil
}

// URL is the address for consumers on this machine, empty before it listens.
func (s *Server) URL() string {
	scheme, host := "nats://", "127.0.0.1"
	if s.tls {
		scheme = "tls://"
	}
	a, ok := s.nats.Addr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	if !a.IP.IsUnspecified() {
		host = a.IP.String()
	}
	return scheme + net.JoinHostPort(host, strconv.Itoa(a.Port))
}

// Connect connects the publisher in-process, without a socket.
func (s *Server) Connect(context.Context) (*nats.Conn, error) {
	return nats.Connect("", nats.InProcessServer(s.nats), nats.UserCredentialBytes(s.creds),
		nats.CustomInboxPrefix(publisherInbox), nats.Name("keyfob publisher"), nats.NoReconnect())
}

// Close closes all connections and syncs the stream's files.
func (s *Server) Close() {
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
}

// logger forwards the NATS server's messages. Notices are logged at debug level.
// Of the messages about client connections, such as refused logins, only a limited
// number is logged: strangers cause them and must not be able to fill the log.
type logger struct {
	log     *slog.Logger
	clients *clientLines
}

func newLogger(log *slog.Logger) logger { return logger{log, new(clientLines)} }

const (
	clientLinesPeriod = 10 * time.Second
	maxClientLines    = 10 // in each period
)

// clientLines counts the lines about client connections.
type clientLines struct {
	mu    sync.Mutex // guards the fields below
	since time.Time
	count int
}

func (c *clientLines) mayLog(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.since) >= clientLinesPeriod {
		c.since, c.count = now, 0
	}
	c.count++
	return c.count <= maxClientLines
}

func (l logger) Noticef(format string, v ...any) { l.say(slog.LevelDebug, format, v) }
func (l logger) Warnf(format string, v ...any)   { l.say(slog.LevelWarn, format, v) }
func (l logger) Errorf(format string, v ...any)  { l.say(slog.LevelError, format, v) }
func (l logger) Fatalf(format string, v ...any)  { l.say(slog.LevelError, format, v) }
func (l logger) Debugf(string, ...any)           {}
func (l logger) Tracef(string, ...any)           {}

func (l logger) say(level slog.Level, format string, v []any) {
	text := fmt.Sprintf(format, v...)
	if strings.Contains(text, " - cid:") && !l.clients.mayLog(time.Now()) { // address - cid:number - message
		return
	}
	l.log.Log(context.Background(), level, "nats server", "text", text)
}
