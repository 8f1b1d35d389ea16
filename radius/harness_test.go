package radius

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"keyfob/cluster/nodetest"
	"keyfob/engine"
	"keyfob/events"
)

func mustAddr(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }

func sprint(v any) string { return fmt.Sprintf("%v", v) }

const testSecret engine.Secret = "testing123"

// fakeNode is a scripted node with the clients that a test gives it.
type fakeNode struct {
	nodetest.Script

	mu       sync.Mutex // guards the fields below
	state    *engine.State
	notReady error
	behind   error
	noSecret error
}

func newFakeNode(clients ...events.ClientAdded) *fakeNode {
	n := &fakeNode{state: engine.NewState()}
	n.Decide = func(a engine.Attempt) (engine.Outcome, error) {
		if a.Typed == "1234123456" {
			return engine.Outcome{Verdict: engine.Accept}, nil
		}
		return engine.Outcome{Reason: events.ReasonBadTokencode}, nil
	}
	for _, c := range clients {
		n.apply(c)
	}
	return n
}

// vpn returns a client with the shared secret of the tests.
func vpn(name, prefix, dialect, policy string) events.ClientAdded {
	return events.ClientAdded{
		Client: name, Prefix: prefix, Dialect: dialect, MessageAuthenticator: policy,
		Sealed: []byte(testSecret.Reveal()),
	}
}

func (n *fakeNode) apply(e events.Event) { n.applyAt(1, e) }

func (n *fakeNode) applyAt(at events.Time, e events.Event) { n.applyDraft(at, events.Draft{Event: e}) }

func (n *fakeNode) applyDraft(at events.Time, d events.Draft) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state = n.state.Copy()
	n.state.Apply(at, d)
}

// Do executes a command by the script, then by the rules.
func (n *fakeNode) Do(ctx context.Context, o events.Origin, c engine.Command) error {
	if err := n.Script.Do(ctx, o, c); err != nil {
		return err
	}
	now := events.At(time.Now())
	d, err := engine.Decide(n.State(), o, c, now)
	for _, draft := range d.Drafts {
		n.applyDraft(now, draft)
	}
	return err
}

func (n *fakeNode) State() *engine.State {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state
}

func (n *fakeNode) OpenClientSecret(_ string, sealed []byte) (engine.Secret, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return engine.Secret(sealed), n.noSecret
}

func (n *fakeNode) Ready() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.notReady
}

func (n *fakeNode) CaughtUp() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.behind
}

// counts is an Observer that counts drops.
type counts struct {
	mu      sync.Mutex
	dropped map[Cause]int
}

func (c *counts) Received(string, Code)                {}
func (c *counts) Answered(string, Code, time.Duration) {}
func (c *counts) Dropped(_ string, cause Cause) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped[cause]++
}

func (c *counts) of(cause Cause) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dropped[cause]
}

// harness is a server without sockets, which is handed packets and whose
// responses are kept.
type harness struct {
	*Server
	t      testing.TB
	node   *fakeNode
	counts *counts
	log    *bytes.Buffer
	auth   transport
	acct   transport

	mu   sync.Mutex // guards sent
	sent []Packet
}

func newHarness(t testing.TB, node *fakeNode, change func(*Config)) *harness {
	t.Helper()
	b := &harness{t: t, node: node, counts: &counts{dropped: map[Cause]int{}}, log: &bytes.Buffer{}}
	cfg := DefaultConfig()
	cfg.Node, cfg.Site, cfg.Observer = "n1", "hq", b.counts
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	b.Server = newServer(cfg, node, slog.New(slog.NewTextHandler(b.log, nil)))
	b.auth = &recorded{udpListener{serves: AccessRequest}, b}
	b.acct = &recorded{udpListener{serves: AccountingRequest}, b}
	return b
}

// recorded is a UDP address without sockets, whose responses the harness keeps.
type recorded struct {
	udpListener
	harness *harness
}

func (t *recorded) send(_ *request, p []byte) {
	t.harness.mu.Lock()
	defer t.harness.mu.Unlock()
	t.harness.sent = append(t.harness.sent, Packet(p))
}

// hand gives the server a packet, but does not have it decided.
func (b *harness) hand(t transport, from string, packet []byte) {
	r := b.request()
	r.transport, r.from = t, netip.MustParseAddrPort(from)
	b.receiveDatagram(r, copy(r.buffer[:], packet))
}

// recordAll records all queued findings.
func (b *harness) recordAll() {
	for len(b.findings) > 0 {
		b.record(context.Background(), <-b.findings)
	}
}

// decide serves all queued requests.
func (b *harness) decide() {
	for _, queue := range []chan *request{b.signed, b.unsigned} {
		for len(queue) > 0 {
			b.serve(context.Background(), <-queue)
		}
	}
}

// ask returns the response to a packet from an address, nil if there is none.
func (b *harness) ask(from string, packet []byte) Packet {
	b.t.Helper()
	b.again()
	b.hand(b.auth, from, packet)
	b.decide()
	return b.answer()
}

// again forgets the responses so far.
func (b *harness) again() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent = nil
}

// answer returns the response that was sent, nil if there is none.
func (b *harness) answer() Packet {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	switch len(b.sent) {
	case 0:
		return nil
	case 1:
		return b.sent[0]
	default:
		b.t.Fatalf("%d answers", len(b.sent))
		return nil
	}
}

// packets makes requests as a VPN makes them.
type packets struct {
	*Client
	id byte
}

func newPackets(signed bool) *packets { return packetsUnder(testSecret, signed) }

func packetsUnder(secret engine.Secret, signed bool) *packets {
	return &packets{Client: &Client{
		cfg:    ClientConfig{Random: rand.Reader, Unsigned: !signed},
		secret: newSharedSecret(secret),
	}}
}

// make makes a packet of a code with the next identifier.
func (m *packets) make(code Code, fill func(*Request)) Packet {
	m.id++
	p, err := m.build(code, m.id, fill)
	if err != nil {
		panic(err)
	}
	return p
}

// login makes an Access-Request.
func (m *packets) login(user string, passcode engine.Secret, more ...func(*Request)) Packet {
	return m.make(AccessRequest, func(r *Request) {
		r.AddString(UserName, user)
		r.AddPassword(passcode)
		for _, f := range more {
			f(r)
		}
	})
}

func with(t Type, value string) func(*Request) {
	return func(r *Request) { r.AddString(t, value) }
}

// mustAnswer checks a response and its code.
func mustAnswer(t testing.TB, request, response Packet, want Code) {
	t.Helper()
	if response == nil {
		t.Fatalf("no answer, want %v", want)
	}
	if err := sound(request, response); err != nil {
		t.Fatal(err)
	}
	if response.Code() != want {
		t.Fatalf("answer is %v, want %v", response.Code(), want)
	}
}

// sound returns what is wrong with a response to a request of any kind.
func sound(request, response Packet) error { return soundUnder(testSecret, request, response) }

func soundUnder(shared engine.Secret, request, response Packet) error {
	p, err := Parse(response)
	if err != nil {
		return err
	}
	secret := newSharedSecret(shared)
	at, count := p.offset(MessageAuthenticator)
	vector := request.Authenticator()
	bare := false
	if request.Code() == AccountingRequest {
		vector = Authenticator{}
		_, asked := request.offset(MessageAuthenticator)
		bare = asked == 0
	}
	var want, got []byte
	for typ, value := range request.Attributes() {
		if typ == ProxyState {
			want = append(append(want, 0), value...)
		}
	}
	for typ, value := range p.Attributes() {
		if typ == ProxyState {
			got = append(append(got, 0), value...)
		}
	}
	switch {
	case len(p) != len(response):
		return errors.New("response has padding")
	case !secret.authentic(p, request.Authenticator()):
		return errors.New("response authenticator is wrong")
	case p.ID() != request.ID():
		return errors.New("response has another identifier")
	case !bytes.Equal(want, got):
		return fmt.Errorf("proxy state is %x, want %x", got, want)
	case bare && count == 0: // see Server.account
		return nil
	case count != 1 || at != messageAuthenticatorAt:
		return fmt.Errorf("response has %d Message-Authenticators, the first at %d", count, at)
	case !secret.signed(p, at, vector):
		return errors.New("message authenticator is wrong")
	}
	return nil
}

func messageOf(t testing.TB, p Packet) string {
	t.Helper()
	var text string
	count := 0
	for typ, value := range p.Attributes() {
		if typ == ReplyMessage {
			text = string(value)
			count++
		}
	}
	if count != 1 {
		t.Fatalf("%d Reply-Messages", count)
	}
	return text
}

var discard = slog.New(slog.NewTextHandler(io.Discard, nil))
