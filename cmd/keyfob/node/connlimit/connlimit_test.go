package connlimit

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// gate is a listener whose connections a test makes.
type gate struct {
	net.Listener
	arriving chan net.Conn
}

func (g gate) Accept() (net.Conn, error) {
	c := <-g.arriving
	if c == nil {
		return nil, net.ErrClosed
	}
	return c, nil
}

// fakeConn comes from an address and remembers whether it was closed.
type fakeConn struct {
	net.Conn
	from   net.Addr
	mu     sync.Mutex // guards closed
	closed bool
}

func (c *fakeConn) RemoteAddr() net.Addr { return c.from }

func (c *fakeConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}

func (c *fakeConn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// rig is a listener and what it has accepted.
type rig struct {
	t *testing.T
	l *Listener
	g gate
}

func newRig(t *testing.T, limits Limits) *rig {
	g := gate{arriving: make(chan net.Conn, 2)}
	return &rig{t: t, l: New(g, limits), g: g}
}

// connect has an address connect. It returns nil as accepted if the connection was
// refused.
func (r *rig) connect(address string) (raw *fakeConn, accepted *conn) {
	r.t.Helper()
	raw = &fakeConn{from: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), 1))}
	r.g.arriving <- raw
	r.g.arriving <- nil // is reached if the first one is refused
	got, err := r.l.Accept()
	if err != nil {
		return raw, nil
	}
	<-r.g.arriving
	return raw, got.(*conn)
}

func TestNewConnectionReplacesTheOneThatWaitsLongest(t *testing.T) {
	r := newRig(t, Limits{Total: 3, PerNetwork: 3})
	first, busy := r.connect("192.0.2.1")
	second, _ := r.connect("192.0.2.2")
	third, _ := r.connect("192.0.2.3")
	busy.request(1)
	fourth, _ := r.connect("192.0.2.4")
	if first.isClosed() || !second.isClosed() || third.isClosed() || fourth.isClosed() {
		t.Errorf("closed: %v %v %v %v, want only the second", first.isClosed(), second.isClosed(), third.isClosed(), fourth.isClosed())
	}
	busy.request(-1) // waits again, as the last
	r.connect("192.0.2.5")
	if first.isClosed() || !third.isClosed() {
		t.Error("a connection that has just been answered is closed before one that waits")
	}
	if c := r.l.Counts(); c != (Counts{Open: 3, Replaced: 2}) {
		t.Errorf("%+v", c)
	}
}

// TestWhoOpensFewConnectionsIsNotReplaced: strangers renew connections from many
// addresses, faster than a request arrives.
func TestWhoOpensFewConnectionsIsNotReplaced(t *testing.T) {
	r := newRig(t, Limits{Total: 16, PerNetwork: 4})
	honest, _ := r.connect("192.0.2.1")
	for i := range 1000 {
		r.connect(netip.AddrFrom4([4]byte{198, 51, 100, byte(i % 10)}).String())
		if honest.isClosed() {
			t.Fatalf("closed for connection %d of strangers", i)
		}
	}
}

func TestNetworkAtItsLimitReplacesItsOwnConnections(t *testing.T) {
	r := newRig(t, Limits{Total: 100, PerNetwork: 2})
	other, _ := r.connect("192.0.2.1")
	first, _ := r.connect("2001:db8::1")
	second, _ := r.connect("2001:db8::2")
	third, _ := r.connect("2001:db8::3") // the same /64
	if other.isClosed() || !first.isClosed() || second.isClosed() || third.isClosed() {
		t.Error("another network, or not the oldest connection, made room")
	}
	if c := r.l.Counts(); c.Open != 3 {
		t.Errorf("%d connections are open, want 3", c.Open)
	}
}

func TestProxyIsNotLimitedAsOneNetwork(t *testing.T) {
	proxy := netip.MustParseAddr("10.0.0.1")
	r := newRig(t, Limits{Total: 5, PerNetwork: 1, Exempt: func(a netip.Addr) bool { return a == proxy }})
	var all []*fakeConn
	for range 5 {
		c, _ := r.connect("::ffff:10.0.0.1")
		all = append(all, c)
	}
	for i, c := range all {
		if c.isClosed() {
			t.Errorf("connection %d of the proxy is closed", i)
		}
	}
	r.connect("10.0.0.1")
	if !all[0].isClosed() {
		t.Error("the limit of all connections does not hold for the proxy")
	}
}

func TestRequestsInProgressAreNotCutOff(t *testing.T) {
	r := newRig(t, Limits{Total: 2, PerNetwork: 2})
	one, a := r.connect("192.0.2.1")
	two, b := r.connect("192.0.2.2")
	a.request(1)
	b.request(1)
	b.request(1) // HTTP/2
	b.request(-1)
	if raw, accepted := r.connect("192.0.2.3"); accepted != nil || !raw.isClosed() || one.isClosed() || two.isClosed() {
		t.Error("a request in progress was cut off, or the limit exceeded")
	}
	_ = a.Close()
	_ = a.Close() // the server may close twice
	if _, accepted := r.connect("192.0.2.3"); accepted == nil {
		t.Error("a connection that has ended keeps its place")
	}
	if c := r.l.Counts(); c != (Counts{Open: 2, Refused: 1}) {
		t.Errorf("%+v", c)
	}
}

func TestNothingIsRememberedOfClosedConnections(t *testing.T) {
	r := newRig(t, Limits{Total: 10, PerNetwork: 5})
	for i := range 1000 {
		_, c := r.connect(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String())
		c.request(1)
		c.request(-1)
		if i%2 == 0 {
			_ = c.Close()
		}
	}
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	ranked := 0
	for _, crowd := range r.l.crowds {
		ranked += crowd.Len()
	}
	if len(r.l.networks) != r.l.open || ranked != r.l.open || r.l.open > 10 {
		t.Errorf("%d networks, %d of them ranked, for %d open connections", len(r.l.networks), ranked, r.l.open)
	}
}

// TestServerKeepsAnsweringWhileOthersFallSilent: an HTTP server over TLS, with all
// of its places taken by connections that say nothing.
func TestServerKeepsAnsweringWhileOthersFallSilent(t *testing.T) {
	slow, begun := make(chan struct{}), make(chan struct{})
	server := httptest.NewUnstartedServer(Answering(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(begun)
			<-slow
		}
		_, _ = io.WriteString(w, "answer")
	})))
	limited := New(server.Listener, Limits{Total: 8, PerNetwork: 8})
	server.Listener, server.Config.ConnContext = limited, Context
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()

	ask := func(path string) error {
		client := server.Client()
		client.Transport = client.Transport.(*http.Transport).Clone()
		res, err := client.Get(server.URL + path)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != "answer" {
			return errors.Join(err, errors.New("no answer"))
		}
		return nil
	}
	inProgress := make(chan error, 1)
	go func() { inProgress <- ask("/slow") }()
	<-begun
	for range 5 {
		for range 40 {
			c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, _ = c.Write([]byte{22, 3, 1}) // the beginning of a handshake
		}
		if err := ask("/"); err != nil {
			t.Error(err)
		}
	}
	close(slow)
	if err := <-inProgress; err != nil {
		t.Errorf("a request in progress: %v", err)
	}
	if c := limited.Counts(); c.Open > 8 || c.Replaced < 100 {
		t.Errorf("%+v", c)
	}
}
