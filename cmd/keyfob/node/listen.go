package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
	"keyfob/cmd/keyfob/node/connlimit"
)

const (
	maxForm       = 16 << 10 // bytes of a form
	maxSocketPath = 107      // characters (unix(7))

	// Concurrent requests of a connection over HTTP/2, and what they may send ahead
	// of their handlers. A browser needs few.
	maxStreams    = 8
	maxStreamData = 64 << 10
)

// ports are the sockets that a node opens first.
type ports struct {
	web, admin, metrics, socket net.Listener
	limited                     connections
}

func openPorts(c Config) (*ports, error) {
	p := &ports{}
	var err error
	for _, l := range []struct {
		key, address string
		into         *net.Listener
	}{
		{"web.listen", c.Web.Listen, &p.web},
		{"admin.listen", c.Admin.Listen, &p.admin},
		{"metrics.listen", c.Metrics.Listen, &p.metrics},
	} {
		if l.address == Off {
			continue
		}
		if *l.into, err = net.Listen("tcp", l.address); err != nil {
			p.close()
			return nil, portError(l.key, l.address, err)
		}
	}
	if p.socket, err = openSocket(filepath.Join(c.Data, cli.SocketName)); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// portError names the key to change.
func portError(key, address string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s: port %s is in use: stop the process that uses it (see ss -ltnp), or set %s", key, address, key)
	}
	return fmt.Errorf("%s: listening on %s: %w", key, address, err)
}

// openSocket opens the administrators' socket. The caller holds the lock of the
// data directory, so a socket that exists was left behind by a dead node.
func openSocket(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("socket path %s is longer than %d characters; choose a data directory with a shorter path", path, maxSocketPath)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("opening socket: %w", err)
	}
	old := syscall.Umask(0o177) // so that it has mode 0600 from the start
	listener, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("opening socket: %w", err)
	}
	return listener, nil
}

func (p *ports) close() {
	for _, l := range []net.Listener{p.web, p.admin, p.metrics, p.socket} {
		if l != nil {
			_ = l.Close() // its server may have closed it
		}
	}
}

// httpServer is a listener and its server.
type httpServer struct {
	name     string
	listener net.Listener
	server   *http.Server
}

// newHTTPServer returns the server of a listener; without a certificate it uses
// plain HTTP.
func newHTTPServer(name string, listener net.Listener, cert *certificate, handler http.Handler, log *slog.Logger) *httpServer {
	if cert != nil {
		listener = tls.NewListener(listener, cert.config())
	}
	return &httpServer{name: name, listener: listener, server: &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second, // also for the TLS handshake
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      60 * time.Second, // the audit trail extends it with each line
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerStream: maxStreamData, MaxReceiveBufferPerConnection: 2 * maxStreamData},
		ConnContext:       connlimit.Context,
		ErrorLog:          slog.NewLogLogger(log.With("door", name).Handler(), slog.LevelDebug),
	}}
}

func newSocketServer(listener net.Listener, handler http.Handler, log *slog.Logger) *httpServer {
	d := newHTTPServer("socket", listener, nil, handler, log)
	d.server.ConnContext = api.Local
	return d
}

// run serves until ctx ends, and then completes the requests in progress.
func (d *httpServer) run(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- d.server.Serve(d.listener) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainFor)
	defer cancel()
	err := d.server.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		err = d.server.Close() // readers that follow the audit trail are disconnected
	}
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// admin returns the handler of the administrative listener.
func admin(commands http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(api.Prefix+"/", commands)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("keyfob: the API is at " + api.Prefix + "/, described by " + api.Prefix + "/openapi.json\n"))
	})
	return mux
}

// received calls h once the request has arrived completely. While its body is
// awaited, the connection may be closed in favor of a new one. A request that is too
// large ends in an error where h reads it.
func received(h http.Handler, most int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := http.MaxBytesReader(w, r.Body, most)
		read, err := io.ReadAll(body)
		if err == nil {
			r.Body = io.NopCloser(bytes.NewReader(read))
		} else {
			r.Body = body // which repeats the error
		}
		h.ServeHTTP(w, r)
	})
}

func (c LogConfig) level() slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(strings.ToUpper(c.Level))); err != nil {
		return slog.LevelInfo // the configuration was checked
	}
	return level
}

// logger returns a logger to standard error.
func (e *program) logger(c LogConfig, level *slog.LevelVar) *slog.Logger {
	level.Set(c.level())
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(e.Err, options))
	}
	return slog.New(slog.NewTextHandler(e.Err, options))
}
