package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
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
)

const (
	maxForm       = 64 << 10 // bytes of a form
	maxSocketPath = 107      // characters (unix(7))
)

// ports are the sockets of a node that it opens before anything else.
type ports struct{ web, admin, metrics, socket net.Listener }

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

// portError says which key to change.
func portError(key, address string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s: port %s is in use: stop what uses it (ss -ltnp says what), or set %s", key, address, key)
	}
	return fmt.Errorf("%s: listening on %s: %w", key, address, err)
}

// openSocket opens the administrators' socket. The caller holds the lock of the
// data directory, so a socket that exists was left behind by a dead node.
func openSocket(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("%s is longer than the %d characters that a socket's name can have: choose a shorter data directory", path, maxSocketPath)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("opening socket: %w", err)
	}
	old := syscall.Umask(0o177) // so that it is 0600 from its first moment
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
			_ = l.Close() // closed already by its server, where that ran
		}
	}
}

// httpDoor is a listener and who answers there.
type httpDoor struct {
	name     string
	listener net.Listener
	server   *http.Server
}

// newDoor makes a listener's server; without a certificate it speaks plain HTTP.
func newDoor(name string, listener net.Listener, cert *certificate, handler http.Handler, log *slog.Logger) *httpDoor {
	if cert != nil {
		listener = tls.NewListener(listener, cert.config())
	}
	return &httpDoor{name: name, listener: listener, server: &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      60 * time.Second, // who follows the audit trail extends it line by line
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.With("door", name).Handler(), slog.LevelDebug),
	}}
}

func newSocketDoor(listener net.Listener, handler http.Handler, log *slog.Logger) *httpDoor {
	d := newDoor("socket", listener, nil, handler, log)
	d.server.ConnContext = api.Local
	return d
}

// run serves until ctx ends; then it answers what is under way.
func (d *httpDoor) run(ctx context.Context) error {
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
		err = d.server.Close() // followers of the audit trail stay until they are cut off
	}
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// admin is the listener for administrators.
func admin(commands http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(api.Prefix+"/", commands)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("keyfob: the API is at " + api.Prefix + "/, described by " + api.Prefix + "/openapi.json\n"))
	})
	return mux
}

// limited bounds what a request may send.
func limited(h http.Handler, bytes int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, bytes)
		h.ServeHTTP(w, r)
	})
}

func (c LogConfig) level() slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(strings.ToUpper(c.Level))); err != nil {
		return slog.LevelInfo // the configuration has been checked
	}
	return level
}

// logger writes for operators, to standard error.
func (e *program) logger(c LogConfig, level *slog.LevelVar) *slog.Logger {
	level.Set(c.level())
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(e.Err, options))
	}
	return slog.New(slog.NewTextHandler(e.Err, options))
}
