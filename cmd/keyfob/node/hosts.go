package node

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
)

// hosts decides which Host headers name this node. A page on another site whose
// name resolves to this node's address (DNS rebinding) would otherwise be of the
// same origin as ours.
type hosts struct {
	names   []string // in lower case
	proxies []netip.Prefix
	cert    *certificate // nil without TLS
}

// hosts returns the names of the configuration, of the certificate and of this
// machine.
func (c *Config) hosts(cert *certificate) (*hosts, error) {
	proxies, err := c.proxies()
	if err != nil {
		return nil, err
	}
	h := &hosts{names: []string{"localhost"}, proxies: proxies, cert: cert}
	h.add(c.Web.Hosts...)
	if u, err := url.Parse(c.Web.PublicURL); err == nil {
		h.add(u.Hostname())
	}
	for _, listener := range []string{c.Web.Listen, c.Admin.Listen, c.Metrics.Listen, c.Cluster.Advertise} {
		if host, _, err := net.SplitHostPort(listener); err == nil {
			h.add(host)
		}
	}
	if name, err := os.Hostname(); err == nil {
		h.add(name)
	}
	return h, nil
}

func (h *hosts) add(names ...string) {
	for _, name := range names {
		if name = plainHost(name); name != "" {
			h.names = append(h.names, name)
		}
	}
}

// plainHost returns the one spelling of a host name or an address.
func plainHost(host string) string {
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().WithZone("").String()
	}
	return host
}

// only passes on the requests that name this node. Health checks may use any
// name. A trusted proxy decides itself which names it serves.
func (h *hosts) only(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/livez" && r.URL.Path != "/readyz" && !h.isProxy(r.RemoteAddr) && !h.named(r) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusMisdirectedRequest)
			_, _ = w.Write([]byte(misdirected))
			return
		}
		next.ServeHTTP(w, r)
	})
}

const misdirected = `{"type":"urn:keyfob:problem:misdirected","title":"Misdirected Request","status":421,` +
	`"detail":"the Host header does not name this node; use web.public_url, a name in the certificate, or add the name to web.hosts"}` + "\n"

// named reports whether the Host header of a request names this node. Every
// address does: a load balancer has one of its own, and DNS rebinding needs a
// name.
func (h *hosts) named(r *http.Request) bool {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = plainHost(host)
	if _, err := netip.ParseAddr(host); err == nil || slices.Contains(h.names, host) {
		return true
	}
	return host != "" && h.cert != nil && h.cert.current.Load().Leaf.VerifyHostname(host) == nil
}

func (h *hosts) isProxy(remote string) bool {
	peer := addressOf(remote)
	return slices.ContainsFunc(h.proxies, func(p netip.Prefix) bool { return p.Contains(peer) })
}

// addressOf returns the address of host:port, in plain form.
func addressOf(hostPort string) netip.Addr {
	at, err := netip.ParseAddrPort(hostPort)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}
