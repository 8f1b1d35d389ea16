package node

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"keyfob/cluster"
	"keyfob/cluster/vault"
)

const (
	askSealEvery = 5 * time.Second // between attempts to reach the seal provider
	saySealEvery = time.Minute     // between log messages about it
)

// openNode opens the node. While its seal provider is out of reach it keeps trying,
// says so, and answers /livez and /readyz on the metrics listener, which may be nil.
func (e *program) openNode(ctx context.Context, c cluster.Config, metrics net.Listener, every time.Duration, log *slog.Logger) (*cluster.Node, error) {
	n, err := cluster.Open(c)
	if !errors.Is(err, vault.ErrUnreachable) {
		return n, err
	}
	e.notify("READY=1\nSTATUS=waiting for the seal provider") // systemd is not to restart it
	var why atomic.Value
	why.Store(err.Error())
	defer answerWaiting(metrics, &why, log)()
	tick := time.NewTicker(every)
	defer tick.Stop()
	said := e.Now().Add(-saySealEvery)
	for errors.Is(err, vault.ErrUnreachable) {
		why.Store(err.Error())
		if e.Now().Sub(said) >= saySealEvery {
			log.ErrorContext(ctx, "seal provider out of reach; trying again", "err", err, "every", every)
			said = e.Now()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		n, err = cluster.Open(c)
	}
	if err == nil {
		log.InfoContext(ctx, "seal provider answered")
		e.notify("STATUS=")
	}
	return n, err
}

// answerWaiting serves the metrics listener until the function that it returns is
// called. The listener stays open.
func answerWaiting(l net.Listener, why *atomic.Value, log *slog.Logger) (stop func()) {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return func() {}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		text, _ := why.Load().(string)
		http.Error(w, "not ready: "+text, http.StatusServiceUnavailable)
	})
	server := newHTTPServer("metrics", borrowed{tcp}, nil, mux, log).server
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(borrowed{tcp}) // ends with stop
	}()
	return func() {
		_ = server.Close()
		<-done
		_ = tcp.SetDeadline(time.Time{})
	}
}

// borrowed is a listener that stays open when its server closes it.
type borrowed struct{ *net.TCPListener }

// Close makes Accept return.
func (b borrowed) Close() error { return b.SetDeadline(time.Unix(1, 0)) }
