package webui

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// sourceOf returns the address that a request came from: the peer's address or,
// when the peer is a trusted proxy, the rightmost address in X-Forwarded-For
// that is not one. Addresses further left are written by the client and prove
// nothing. An entry that is not an address ends the search; the hop before it is
// then the source.
func sourceOf(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	source := plainAddr(peer.Addr())
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !within(source, trusted) {
			break
		}
		before, ok := parseHop(hop)
		if !ok {
			break
		}
		source = before
	}
	return source
}

// parseHop reads an address as proxies write it, with or without a port.
func parseHop(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if a, err := netip.ParseAddr(text); err == nil {
		return plainAddr(a), true
	}
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return plainAddr(ap.Addr()), true
	}
	return netip.Addr{}, false
}

// plainAddr returns the comparable form of an address: IPv4 as IPv4, no zone.
func plainAddr(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

func within(a netip.Addr, prefixes []netip.Prefix) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}
