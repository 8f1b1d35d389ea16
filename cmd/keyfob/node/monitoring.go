package node

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"keyfob/engine"
)

const minMetricsToken = 16 // characters

// metricsToken reads the token of the monitoring listener. It is empty if there is
// none.
func (e *program) metricsToken(c Config) (engine.Secret, error) {
	if c.Metrics.TokenFile == "" {
		return "", nil
	}
	text, err := e.ReadSecret(c.Metrics.TokenFile)
	if err != nil {
		return "", fmt.Errorf("metrics.token_file: %w", err)
	}
	if len(text) < minMetricsToken {
		return "", fmt.Errorf("metrics.token_file: %s has %d characters, want at least %d", c.Metrics.TokenFile, len(text), minMetricsToken)
	}
	return engine.Secret(text), nil
}

// handler returns the handler of the monitoring listener. The names of RADIUS
// clients say how a company is built, so they are shown to this machine and to
// callers with the token. Without a token, other machines see the sum of all
// clients, as does a page in a browser on this machine.
func (m *metrics) handler(ready func() error, known *hosts, token engine.Secret) http.Handler {
	options := promhttp.HandlerOpts{MaxRequestsInFlight: 4}
	named := promhttp.HandlerFor(prometheus.Gatherers{m.registry, m.named}, options)
	nameless := promhttp.HandlerFor(prometheus.Gatherers{m.registry, m.nameless}, options)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case token != "" && bears(r, token), addressOf(r.RemoteAddr).IsLoopback() && known.named(r):
			named.ServeHTTP(w, r)
		case token != "":
			w.Header().Set("WWW-Authenticate", `Bearer realm="keyfob metrics"`)
			http.Error(w, "this needs the token of metrics.token_file", http.StatusUnauthorized)
		default:
			nameless.ServeHTTP(w, r)
		}
	})
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	return mux
}

// bears reports whether a request has the token.
func bears(r *http.Request, token engine.Secret) bool {
	scheme, said, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "bearer") && subtle.ConstantTimeCompare([]byte(said), []byte(token.Reveal())) == 1
}
