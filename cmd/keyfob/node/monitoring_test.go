package node

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"keyfob/engine"
	"keyfob/radius"
)

// TestStrangersSeeNoClientInTheMetrics: the names of gateways are for this machine
// and for callers with the token.
func TestStrangersSeeNoClientInTheMetrics(t *testing.T) {
	const token = "a token of the monitoring"
	m := newMetrics()
	m.Received("vpn-berlin", radius.AccessRequest)
	m.Answered("vpn-paris", radius.AccessReject, 0)
	known := &hosts{names: []string{"localhost"}}
	for _, tc := range []struct {
		name, peer, host, token, said string
		status                        int
		named                         bool
	}{
		{"this machine", "127.0.0.1:9", "localhost:9182", "", "", http.StatusOK, true},
		{"a page in a browser on this machine", "127.0.0.1:9", "evil.example", "", "", http.StatusOK, false},
		{"another machine", "192.0.2.7:9", "n1:9182", "", "", http.StatusOK, false},
		{"another machine that guesses", "192.0.2.7:9", "n1:9182", "", "Bearer ", http.StatusOK, false},
		{"another machine, with a token set", "192.0.2.7:9", "n1:9182", token, "", http.StatusUnauthorized, false},
		{"another machine, with a wrong token", "[2001:db8::1]:9", "n1:9182", token, "Bearer " + token + "x", http.StatusUnauthorized, false},
		{"another machine, with the token", "192.0.2.7:9", "n1:9182", token, "Bearer " + token, http.StatusOK, true},
		{"this machine, with a token set", "[::1]:9", "localhost", token, "", http.StatusOK, true},
	} {
		r := httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody)
		r.RemoteAddr, r.Host = tc.peer, tc.host
		if tc.said != "" {
			r.Header.Set("Authorization", tc.said)
		}
		w := httptest.NewRecorder()
		m.handler(func() error { return nil }, known, engine.Secret(tc.token)).ServeHTTP(w, r)
		body := w.Body.String()
		if w.Code != tc.status || strings.Contains(body, "vpn-") != tc.named {
			t.Errorf("%s: status %d, want %d; names of clients: %v, want %v", tc.name, w.Code, tc.status, !tc.named, tc.named)
		}
		if w.Code == http.StatusOK && !tc.named && !strings.Contains(body, `keyfob_radius_requests_total{client="*",code="access_reject"} 1`) {
			t.Errorf("%s: the sum is missing:%s", tc.name, body)
		}
	}
}

func TestMetricsListenOnLoopbackUnlessToldOtherwise(t *testing.T) {
	for text, want := range map[string]string{
		"": "127.0.0.1:9182", "9000": "127.0.0.1:9000", ":9182": ":9182", "192.0.2.1:9182": "192.0.2.1:9182", Off: Off,
	} {
		c := DefaultConfig()
		if text != "" {
			c.Metrics.Listen = text
		}
		c.Complete()
		if c.Metrics.Listen != want {
			t.Errorf("metrics.listen %q is %s, want %s", text, c.Metrics.Listen, want)
		}
	}
}
