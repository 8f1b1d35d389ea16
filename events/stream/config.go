package stream

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
)

const (
	readyWithin = 10 * time.Second
	stopWithin  = 30 * time.Second
	maxPayload  = 1 << 20
	maxMemory   = 256 << 20 // for consumers that are not stored
)

// ServerConfig configures an embedded server.
type ServerConfig struct {
	Name   string // of the node
	Dir    string // the stream is stored in Dir/nats
	Listen string // host:port; port 0 picks a free one
	// Cluster is the cluster's id. The accounts are named after it.
	Cluster string
	// TLSCert and TLSKey are PEM files; set both or neither.
	TLSCert, TLSKey string
	Connections     int // of clients, at most; 0: maxConnections, which bounds it
	Log             *slog.Logger
}

// store is the directory of the NATS server.
func (c ServerConfig) store() string { return filepath.Join(c.Dir, "nats") }

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
	need(c.Cluster != "", "no cluster")
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
		ServerName: c.Name,
		Host:       host,
		Port:       port,
		DontListen: true, // see SetReaders
		NoSigs:     true,
		MaxConn:    min(cmp.Or(c.Connections, maxConnections), maxConnections),
		MaxPayload: maxPayload,
		JetStream:  true,
		StoreDir:   c.store(),
		// By default the limits are computed from what is free at the start. A disk
		// that was full then would remain too small when there is room again.
		JetStreamMaxStore:  math.MaxInt64 / 2,
		JetStreamMaxMemory: maxMemory,
		SyncInterval:       syncInterval,
		TrustedOperators:   []*jwt.OperatorClaims{a.operator},
		SystemAccount:      a.system,
		AccountResolver:    a.resolver,
	}
	if c.TLSCert == "" {
		return o, nil
	}
	o.TLS, o.TLSTimeout = true, 5
	o.TLSConfig, err = c.certificates()
	return o, err
}

// certificates returns the configuration of TLS, nil without a certificate.
func (c ServerConfig) certificates() (*tls.Config, error) {
	if c.TLSCert == "" {
		return nil, nil //nolint:nilnil // as in server.Options
	}
	pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("reading TLS certificate: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}
