package radius

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// loopback returns a client for all addresses of this machine.
func loopback(dialect, policy string) events.ClientAdded {
	return vpn("loopback", "127.0.0.0/8", dialect, policy)
}

// start runs a server until the test ends.
func start(t testing.TB, node Node, change func(*Config)) *Server {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Node, cfg.Listen, cfg.Accounting = "n1", []string{"127.0.0.1:0"}, []string{"127.0.0.1:0"}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg, node, discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

func dial(t testing.TB, server netip.AddrPort, change func(*ClientConfig)) *Client {
	t.Helper()
	cfg := ClientConfig{Server: server.String(), Secret: testSecret, Timeout: 2 * time.Second, Tries: 3, Random: rand.Reader}
	if change != nil {
		change(&cfg)
	}
	c, err := Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestConversationOverSockets(t *testing.T) {
	node := newFakeNode(loopback("rsa", "auto"))
	node.Decide = func(a engine.Attempt) (engine.Outcome, error) {
		switch {
		case a.Conversation == "" && a.Typed == "123456":
			return engine.Outcome{Verdict: engine.Challenge, Conversation: "one", Prompt: engine.Prompt{Step: events.StepNewPIN, Rules: digits}}, nil
		case a.Conversation == "one" && a.Typed == "4321":
			return engine.Outcome{Verdict: engine.Challenge, Conversation: "two", Prompt: engine.Prompt{Step: events.StepConfirmPIN}}, nil
		case a.Conversation == "two" && a.Typed == "4321":
			return engine.Outcome{Verdict: engine.Accept}, nil
		default:
			return engine.Outcome{}, nil
		}
	}
	s := start(t, node, nil)
	for _, unsigned := range []bool{true, false} {
		c := dial(t, s.Addr(), func(c *ClientConfig) { c.Unsigned = unsigned })
		login := Login{User: "alice", Passcode: "123456"}
		for _, want := range []Reply{
			{Code: AccessChallenge, Message: "Enter a new PIN having from 4 to 8 digits:", State: "one"},
			{Code: AccessChallenge, Message: "Please re-enter new PIN:", State: "two"},
			{Code: AccessAccept},
		} {
			got, err := c.Authenticate(t.Context(), login)
			if err != nil || got != want {
				t.Fatalf("reply to %q is %+v, %v; want %+v", login.State, got, err, want)
			}
			login.State, login.Passcode = got.State, "4321"
		}
	}
}

func TestManyRequestsAreInFlightOnOneSocket(t *testing.T) {
	node := newFakeNode(loopback("rsa", "auto"))
	var together, most atomic.Int64
	all := make(chan struct{})
	node.Decide = func(a engine.Attempt) (engine.Outcome, error) {
		if n := together.Add(1); n == 200 {
			most.Store(n)
			close(all)
		}
		<-all
		return engine.Outcome{Verdict: engine.Challenge, Conversation: a.User, Prompt: engine.Prompt{Step: events.StepNextTokencode}}, nil
	}
	s := start(t, node, nil)
	c := dial(t, s.Addr(), nil)
	var callers sync.WaitGroup
	for i := range 200 {
		callers.Go(func() {
			user := fmt.Sprint("user", i)
			if got, err := c.Authenticate(context.Background(), Login{User: user, Passcode: "1"}); err != nil || got.State != user {
				t.Errorf("%s got the answer of %q, %v", user, got.State, err)
			}
		})
	}
	callers.Wait()
	if most.Load() != 200 {
		t.Error("requests waited for each other")
	}
}

func TestStatusAndAccountingOverSockets(t *testing.T) {
	s := start(t, newFakeNode(loopback("rsa", "auto")), nil)
	for _, address := range []netip.AddrPort{s.Addr(), s.AccountingAddr()} {
		if err := dial(t, address, nil).Status(t.Context()); err != nil {
			t.Errorf("status of %v: %v", address, err)
		}
	}
	p, err := dial(t, s.AccountingAddr(), nil).Exchange(t.Context(), AccountingRequest, func(r *Request) { r.AddUint32(AcctStatusType, 7) })
	if err != nil || p.Code() != AccountingResponse {
		t.Errorf("accounting: %v, %v", p, err)
	}
}

func TestClientReportsThatThereIsNoAnswer(t *testing.T) {
	node := newFakeNode(loopback("rsa", "auto"))
	s := start(t, node, nil)
	quick := func(c *ClientConfig) { c.Timeout, c.Tries = 10*time.Millisecond, 3 }
	wrong := dial(t, s.Addr(), func(c *ClientConfig) { quick(c); c.Secret = "another" })
	if _, err := wrong.Authenticate(t.Context(), Login{User: "alice", Passcode: "1"}); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("with a wrong secret: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dial(t, s.Addr(), nil).Authenticate(ctx, Login{User: "alice"}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func TestClientAcceptsResponsesOfTheServerOnly(t *testing.T) {
	node := newFakeNode(loopback("rsa", "auto"))
	b, m := newHarness(t, node, nil), newPackets(true)
	for id := range m.slots {
		m.slots[id].response = make(chan Packet, 1)
	}
	request := m.login("alice", "0000000000")
	reject := b.ask("127.0.0.1:5", request)
	slot := &m.slots[request.ID()]
	slot.begin(request)
	for at := range reject {
		forged := append(Packet(nil), reject...)
		forged[at] ^= 1
		if p, err := Parse(forged); err == nil && p.ID() == request.ID() {
			m.deliver(p)
		}
	}
	// BlastRADIUS makes an accept with the right MD5, but cannot compute the
	// Message-Authenticator.
	blast := append(Packet{byte(AccessAccept), request.ID(), 0, headerLength}, make([]byte, 16)...)
	newSharedSecret(testSecret).with(func(s *md5State) {
		sum := s.authenticator(blast, request.Authenticator(), []byte(testSecret.Reveal()))
		copy(blast[4:], sum[:])
	})
	m.deliver(blast)
	if len(slot.response) != 0 {
		t.Fatalf("accepted %x", <-slot.response)
	}
	m.deliver(reject)
	if len(slot.response) != 1 {
		t.Error("did not accept the response of the server")
	}
}

func TestOpenRequestsAreAnsweredBeforeTheServerStops(t *testing.T) {
	node := newFakeNode(loopback("rsa", "auto"))
	admitted, goOn := make(chan struct{}, 20), make(chan struct{})
	node.Decide = func(engine.Attempt) (engine.Outcome, error) {
		admitted <- struct{}{}
		<-goOn
		return engine.Outcome{}, nil
	}
	cfg := DefaultConfig()
	cfg.Listen, cfg.Accounting, cfg.Workers = []string{"127.0.0.1:0"}, nil, 2
	s, err := New(cfg, node, discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	c := dial(t, s.Addr(), func(c *ClientConfig) { c.Tries = 1 })
	var callers sync.WaitGroup
	for range 10 {
		callers.Go(func() {
			if got, err := c.Authenticate(context.Background(), Login{User: "alice", Passcode: "1"}); err != nil || got.Code != AccessReject {
				t.Errorf("reply is %v, %v", got.Code, err)
			}
		})
	}
	for range 2 {
		<-admitted
	}
	until(t, func() bool { return s.rooms.waiting() == 10 })
	stop()
	close(goOn)
	callers.Wait()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := New(Config{}, node, discard); err == nil {
		t.Error("an empty configuration is accepted")
	}
	again, err := net.ListenPacket("udp", s.Addr().String())
	if err != nil {
		t.Fatalf("the socket was not closed: %v", err)
	}
	_ = again.Close()
}

// until waits for a condition.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("the condition was not met in time")
		}
		<-time.After(time.Millisecond)
	}
}

func TestAddressInUseIsAnError(t *testing.T) {
	s := start(t, newFakeNode(), nil)
	cfg := DefaultConfig()
	cfg.Listen, cfg.Accounting = []string{s.Addr().String()}, nil
	if second, err := New(cfg, newFakeNode(), discard); err == nil {
		_ = second.Close()
		t.Error("two servers share an address, and each gets half of the packets")
	}
}

// TestResponseComesFromTheAddressOfTheRequest: a socket that is connected to
// 127.0.0.2 receives nothing from 127.0.0.1.
func TestResponseComesFromTheAddressOfTheRequest(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:0", "[::]:0"} {
		t.Run(listen, func(t *testing.T) {
			node := newFakeNode(loopback("rsa", "auto"), vpn("six", "::1/128", "rsa", "auto"))
			s := start(t, node, func(c *Config) { c.Listen = []string{listen} })
			targets := []string{"127.0.0.1", "127.0.0.2", "127.0.0.99"}
			if strings.HasPrefix(listen, "[") {
				targets = append(targets, "::1")
			}
			for _, target := range targets {
				address := netip.AddrPortFrom(netip.MustParseAddr(target), s.Addr().Port())
				c := dial(t, address, nil)
				if got, err := c.Authenticate(t.Context(), Login{User: "alice", Passcode: "1234123456"}); err != nil || got.Code != AccessAccept {
					t.Errorf("asked at %s: %v, %v", target, got.Code, err)
				}
			}
		})
	}
}

func TestConfigReportsAllProblems(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	cfg := DefaultConfig()
	cfg.Listen, cfg.Accounting = []string{"1812", "nowhere", ":1812"}, nil
	cfg.PageURL = "https://exämple.com/"
	cfg.Timeout, cfg.Workers, cfg.PerClient = 0, 0, 1<<30
	err := cfg.Validate()
	for _, want := range []string{`"nowhere"`, "page URL", "timeout", "workers", "per client"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not report %s", err, want)
		}
	}
	if err != nil && strings.Contains(err.Error(), `"1812"`) {
		t.Error("a port alone is not accepted")
	}
}
