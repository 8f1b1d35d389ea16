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
	nodes map[string]Member
	keys  map[string]ownKey   // of nodes that are or were members
	asked func(nodeID string) // if set, called before each answer
}

// ownKey is the key of a node, with the request for its certificate.
type ownKey struct {
	key Key
	csr []byte
}

func (r *roster) Member(nodeID string) (Member, bool) {
	r.mu.Lock()
	asked := r.asked
	r.mu.Unlock()
	if asked != nil {
		asked(nodeID)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.nodes[nodeID]
	return m, ok
}

func (r *roster) Address(nodeID string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.nodes[nodeID].Address
}

func (r *roster) add(t *testing.T, nodeID, addr string) {
	t.Helper()
	hash, err := RequestKey(r.key(t, nodeID).csr)
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	next := maps.Clone(r.nodes)
	if next == nil {
		next = make(map[string]Member)
	}
	next[nodeID] = Member{Address: addr, Key: hash}
	r.nodes = next
}

// key is the key that the node of that id always has.
func (r *roster) key(t *testing.T, nodeID string) ownKey {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if k, ok := r.keys[nodeID]; ok {
		return k
	}
	key, csr, err := NewNodeKey()
	if err != nil {
		t.Fatal(err)
	}
	if r.keys == nil {
		r.keys = make(map[string]ownKey)
	}
	r.keys[nodeID] = ownKey{key, csr}
	return r.keys[nodeID]
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
	own := s.members.key(s.t, id)
	cert, err := s.ca.Issue(own.csr, id, birth)
	if err != nil {
		s.t.Fatal(err)
	}
	ln := s.net.listen(s.t, id)
	s.members.add(s.t, id, ln.Addr().String())
	return Config{
		Listener:    ln,
		ClusterID:   "blue",
		NodeID:      id,
		Certificate: cert,
		Key:         own.key,
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

// forged is signed by the CA from any template, for a new key: for attackers.
func forged(t *testing.T, ca *CA, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, csr, err := NewNodeKey()
	if err != nil {
		t.Fatal(err)
	}
	return certificate(t, ca, template, ownKey{key, csr})
}

// certificate is signed by the CA from any template, for a key.
func certificate(t *testing.T, ca *CA, template *x509.Certificate, own ownKey) tls.Certificate {
	t.Helper()
	csr, err := x509.ParseCertificateRequest(own.csr)
	if err != nil {
		t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = birth, birth.Add(24*time.Hour)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, csr.PublicKey, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := own.key.parse()
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
