package node

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRequestsForOtherHostsAreMisdirected: a page of another site whose name
// resolves to this node must not count as ours.
func TestRequestsForOtherHostsAreMisdirected(t *testing.T) {
	c := DefaultConfig()
	c.Data, c.Cluster.Advertise = t.TempDir(), "n1.example.net:7400"
	c.Web.PublicURL, c.Web.Hosts = "https://Token.example.com:8443", []string{"vpn-help.example.com"}
	c.Web.TrustedProxies = []string{"10.0.0.0/8"}
	c.Web.TLS.Cert, c.Web.TLS.Key = filepath.Join(c.Data, "c"), filepath.Join(c.Data, "k")
	pair, err := Issue(Issuer{}, []string{"*.pages.example.com", "198.51.100.3"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.Save(c.Web.TLS.Cert, c.Web.TLS.Key); err != nil {
		t.Fatal(err)
	}
	cert, _, err := openCertificate(c, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	known, err := c.hosts(cert)
	if err != nil {
		t.Fatal(err)
	}
	handler := known.only(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for _, tc := range []struct {
		host, path, peer string
		ok               bool
	}{
		{host: "evil.example"},
		{host: "evil.example:8443"},
		{host: "token.example.com.evil.example"},
		{host: "xtoken.example.com"},
		{host: ""},
		{host: "203.0.113.77", ok: true},
		{host: "169.254.169.254", ok: true},
		{host: "[2001:db8::77]:8443", ok: true},
		{host: "evil.example", path: "/readyz", ok: true}, // of a load balancer
		{host: "10.9.9.9", path: "/livez", ok: true},
		{host: "upstream", peer: "10.1.2.3:999", ok: true}, // a proxy has its own names
		{host: "upstream", peer: "11.1.2.3:999"},
		{host: "token.example.com", ok: true},
		{host: "TOKEN.example.com.:443", ok: true},
		{host: "vpn-help.example.com", ok: true},
		{host: "203.0.113.9:8443", ok: true},
		{host: "n1.example.net", ok: true},
		{host: "a.pages.example.com", ok: true},
		{host: "198.51.100.3", ok: true},
		{host: "localhost:8443", ok: true},
		{host: "192.0.2.1:8443", ok: true},
		{host: "[::ffff:192.0.2.1]:8443", ok: true},
	} {
		r := httptest.NewRequest(http.MethodGet, "https://node"+tc.path+"/", http.NoBody)
		r.URL.Path, r.Host, r.RemoteAddr = max(tc.path, "/"), tc.host, tc.peer
		if tc.peer == "" {
			r.RemoteAddr = "198.51.100.66:1234"
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		want := http.StatusMisdirectedRequest
		if tc.ok {
			want = http.StatusNoContent
		}
		if w.Code != want {
			t.Errorf("Host %q, path %q, from %s: status %d, want %d", tc.host, tc.path, r.RemoteAddr, w.Code, want)
		}
		if body := w.Body.String(); tc.host != "" && strings.Contains(body, tc.host) {
			t.Errorf("the answer repeats the Host header: %s", body)
		}
	}
}
