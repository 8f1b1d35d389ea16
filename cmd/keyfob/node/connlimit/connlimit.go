// Package connlimit limits the connections of a listener: in all, and from each
// network.
//
// A connection waits until a complete request has arrived, and again after its
// answer. At the limit, a new connection takes the place of the one that has waited
// longest: from the same network if that network is at its limit, otherwise from the
// network of which most connections wait. So clients that open connections and fall
// silent, or send a byte now and then, keep nobody out who opens few. Connections
// with a request in progress are not closed. If there are no others, the new one is
// closed.
//
// The caller says what a request in progress is, with [Answering].
package connlimit

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"keyfob/engine/throttle"
)

// Limits are those of a listener.
type Limits struct {
	Total      int
	PerNetwork int                   // an IPv4 address or an IPv6 /64
	Exempt     func(netip.Addr) bool // from PerNetwork, such as a proxy; nil: nobody
}

// Listener accepts connections within its limits.
type Listener struct {
	net.Listener
	limits Limits

	mu       sync.Mutex // guards what follows, and the fields of every conn
	open     int
	networks map[netip.Prefix]*network
	crowds   []*list.List // of *network, by how many of its connections wait, at most len-1
	counts   Counts
}

// network is what is open from one network.
type network struct {
	open    int
	waiting *list.List    // of *conn, the one that has waited longest first
	crowd   *list.Element // of the list in crowds; nil if none waits
	size    int           // index of that list
}

// Counts are totals since the start.
type Counts struct {
	Open     int
	Replaced uint64 // closed for a new connection while they waited
	Refused  uint64 // closed at once, because no connection waited
}

// conn is an accepted connection.
type conn struct {
	net.Conn
	listener *Listener
	from     netip.Prefix

	requests int           // in progress
	waits    *list.Element // of its network's waiting connections; nil while requests are in progress
	left     bool
}

// New returns a listener within limits.
func New(l net.Listener, limits Limits) *Listener {
	crowds := make([]*list.List, limits.PerNetwork+1)
	for i := range crowds {
		crowds[i] = list.New()
	}
	return &Listener{Listener: l, limits: limits, networks: make(map[netip.Prefix]*network), crowds: crowds}
}

// Counts returns the present counts.
func (l *Listener) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.counts
	c.Open = l.open
	return c
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: raw, listener: l}
		var source netip.Addr
		if at, ok := raw.RemoteAddr().(*net.TCPAddr); ok {
			source = at.AddrPort().Addr().Unmap()
			c.from = throttle.Network(source)
		}
		replaced, ok := l.enter(c, l.limits.Exempt != nil && l.limits.Exempt(source))
		if replaced != nil {
			_ = replaced.Conn.Close()
		}
		if ok {
			return c, nil
		}
		_ = raw.Close()
	}
}

// enter registers a connection. If another one has to be closed for it, that one
// is returned.
func (l *Listener) enter(c *conn, exempt bool) (replaced *conn, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	full, from := l.open >= l.limits.Total, l.networks[c.from]
	if from != nil && !exempt && from.open >= l.limits.PerNetwork {
		full = true
	} else if full {
		from = l.largest()
	}
	if full {
		if from == nil || from.waiting.Len() == 0 {
			l.counts.Refused++
			return nil, false
		}
		replaced, _ = from.waiting.Front().Value.(*conn)
		l.leave(replaced)
		l.counts.Replaced++
	}
	n := l.networks[c.from]
	if n == nil {
		n = &network{waiting: list.New()}
		l.networks[c.from] = n
	}
	l.open++
	n.open++
	l.wait(c)
	return replaced, true
}

// largest returns the network of which most connections wait, the one that has been
// that large for longest; nil if no connection waits. mu is held.
func (l *Listener) largest() *network {
	for size := len(l.crowds) - 1; size > 0; size-- {
		if first := l.crowds[size].Front(); first != nil {
			n, _ := first.Value.(*network)
			return n
		}
	}
	return nil
}

// rank files a network by how many of its connections wait. mu is held.
func (l *Listener) rank(n *network) {
	if n.crowd != nil {
		l.crowds[n.size].Remove(n.crowd)
		n.crowd = nil
	}
	if n.size = min(n.waiting.Len(), len(l.crowds)-1); n.size > 0 {
		n.crowd = l.crowds[n.size].PushBack(n)
	}
}

// wait adds a connection to those that wait. mu is held.
func (l *Listener) wait(c *conn) {
	n := l.networks[c.from]
	c.waits = n.waiting.PushBack(c)
	l.rank(n)
}

// work takes a connection from those that wait. mu is held.
func (l *Listener) work(c *conn) {
	if c.waits != nil {
		n := l.networks[c.from]
		n.waiting.Remove(c.waits)
		c.waits = nil
		l.rank(n)
	}
}

// leave removes a connection. mu is held.
func (l *Listener) leave(c *conn) {
	if c.left {
		return
	}
	l.work(c)
	c.left = true
	l.open--
	n := l.networks[c.from]
	if n.open--; n.open == 0 {
		delete(l.networks, c.from)
	}
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.listener.mu.Lock()
	c.listener.leave(c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// request counts the requests in progress on a connection.
func (c *conn) request(change int) {
	l := c.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.left {
		return
	}
	c.requests += change
	switch {
	case c.requests > 0:
		l.work(c)
	case c.waits == nil:
		l.wait(c)
	}
}

type connKey struct{}

// Context is the ConnContext of a server, for Answering. TLS may be in between.
func Context(ctx context.Context, c net.Conn) context.Context {
	if wrapped, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = wrapped.NetConn()
	}
	if of, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, of)
	}
	return ctx
}

// Answering returns a handler during whose calls the connection does not wait.
func Answering(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(*conn); ok {
			c.request(1)
			defer c.request(-1)
		}
		h.ServeHTTP(w, r)
	})
}
