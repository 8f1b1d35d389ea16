package link

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// roster is a Membership that tests can change.
type roster struct {
	mu    sync.Mutex
	nodes map[string]string
	asked func(nodeID string) // if set, called before each answer
}

func (r *roster) Address(nodeID string) (string, bool) {
	r.mu.Lock()
	asked := r.asked
	r.mu.Unlock()
	if asked != nil {
		asked(nodeID)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	addr, ok := r.nodes[nodeID]
	return addr, ok
}

func (r *roster) add(nodeID, addr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := maps.Clone(r.nodes)
	if next == nil {
		next = make(map[string]string)
	}
	next[nodeID] = addr
	r.nodes = next
}

func (r *roster) remove(nodeID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nodes = maps.Clone(r.nodes)
	delete(r.nodes, nodeID)
}

// network is where the nodes of a test reach each other.
type network interface {
	listen(t *testing.T, name string) net.Listener
	dial(ctx context.Context, network, addr string) (net.Conn, error)
}

// loopback is TCP.
type loopback struct{}

func (loopback) listen(t *testing.T, _ string) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func (loopback) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

// pipes is an in-memory network, for tests that advance the clock.
type pipes struct {
	mu    sync.Mutex
	ports map[string]*listener
}

func newPipes() *pipes { return &pipes{ports: make(map[string]*listener)} }

func (p *pipes) listen(_ *testing.T, name string) net.Listener {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ports[name+":7400"] = newListener(address(name + ":7400"))
	return p.ports[name+":7400"]
}

func (p *pipes) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	p.mu.Lock()
	port := p.ports[addr]
	p.mu.Unlock()
	if port == nil {
		return nil, errors.New("no such host")
	}
	near, far := net.Pipe()
	if err := port.pass(ctx, far); err != nil {
		return nil, err
	}
	return near, nil
}

// site is a cluster under test.
type site struct {
	t       *testing.T
	net     network
	ca      *CA
	members *roster
}

func newSite(t *testing.T, n network) *site {
	t.Helper()
	return &site{t: t, net: n, ca: mustCA(t, "blue"), members: &roster{}}
}

func now() time.Time { return birth.Add(time.Hour) }

// config is the configuration of a member that does not accept connections yet.
func (s *site) config(id string) Config {
	s.t.Helper()
	key, csr, err := NewNodeKey()
	if err != nil {
		s.t.Fatal(err)
	}
	cert, err := s.ca.Issue(csr, id, birth)
	if err != nil {
		s.t.Fatal(err)
	}
	ln := s.net.listen(s.t, id)
	s.members.add(id, ln.Addr().String())
	return Config{
		Listener:    ln,
		ClusterID:   "blue",
		NodeID:      id,
		Certificate: cert,
		Key:         key,
		CA:          s.ca.CertificateDER(),
		Membership:  s.members,
		Now:         now,
		Log:         slog.New(slog.DiscardHandler),
		Dial:        s.net.dial,
	}
}

func (s *site) link(id string) *Link {
	s.t.Helper()
	l, err := New(s.config(id))
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}

// run runs the link until the returned function is called, or the test ends.
func (s *site) run(l *Link, rpc, join http.Handler) (stop func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx, rpc, join) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("link ended: %v", err)
		}
	})
	s.t.Cleanup(stop)
	return stop
}

// certificate is signed by the CA from any template: for attackers.
func certificate(t *testing.T, ca *CA, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, csrDER, err := NewNodeKey()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(csrDER)
	if err != nil {
		t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = birth, birth.Add(24*time.Hour)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, csr.PublicKey, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := key.parse()
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der, ca.cert.Raw}, PrivateKey: private}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("timed out waiting for: %s", what)
		}
	}
}
