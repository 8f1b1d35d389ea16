package radius

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// Strangers within the prefix of a client, who do not know its shared secret but
// may have seen its packets.

const strangerAddress = "192.0.2.66:40000"

// TestWhatProvesNothingGetsSilence: a packet that anyone can make costs neither an
// answer, nor room, nor memory, nor a decision.
func TestWhatProvesNothingGetsSilence(t *testing.T) {
	node := newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto"))
	b, m := newHarness(t, node, nil), packetsUnder("another shared secret", false)
	for range 1000 {
		if b.ask(strangerAddress, m.login("alice", strings1234(100))) != nil {
			t.Fatal("answered")
		}
	}
	if b.counts.of(DropPassword) != 1000 || len(node.Attempts()) != 0 || len(b.exchanges.known)+len(b.exchanges.working) != 0 || b.rooms.waiting() != 0 {
		t.Errorf("drops are %v, %d attempts, %d remembered", b.counts.dropped, len(node.Attempts()), len(b.exchanges.known))
	}
	// A signature proves the secret: then the answer says that something is wrong.
	signed := newPackets(true).make(AccessRequest, func(r *Request) {
		r.AddString(UserName, "alice")
		r.Add(UserPassword, make([]byte, 8))
	})
	mustAnswer(t, signed, b.ask(vpnAddress, signed), AccessReject)
}

// copied returns a packet with the Request Authenticator and the password of
// another, for another user.
func copied(p Packet, user string) Packet {
	b := newBarePacket(p.Code(), p.ID()+1)
	copy(b.b[4:headerLength], p[4:headerLength])
	b.addString(UserName, user)
	hidden, _ := p.Lookup(UserPassword)
	b.add(UserPassword, hidden)
	forged, err := b.finish()
	if err != nil {
		panic(err)
	}
	return forged
}

// TestRequestAuthenticatorIsUsedOnce: who has seen a login cannot make guesses of
// it, for its user or for others.
func TestRequestAuthenticatorIsUsedOnce(t *testing.T) {
	for _, signed := range []bool{true, false} {
		t.Run(fmt.Sprintf("signed %v", signed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				node := newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "allow"), vpn("other", "198.51.100.0/24", "rsa", "allow"))
				b := newHarness(t, node, nil)
				p := newPackets(signed).login("alice", "0000000000")
				mustAnswer(t, p, b.ask(vpnAddress, p), AccessReject)
				for range 2 {
					for i, from := range []string{vpnAddress, "192.0.2.1:40001", strangerAddress} {
						for _, user := range []string{"alice", "bob"} {
							if b.ask(from, copied(p, user)) != nil {
								t.Errorf("copy for %s from %s was answered", user, from)
							}
						}
						if i > 0 && b.ask(from, p) != nil {
							t.Errorf("the packet itself was answered to %s", from)
						}
					}
					pass(seenFor - time.Minute)
				}
				if n := len(node.Attempts()); n != 1 || b.counts.of(DropReplayed) < 12 {
					t.Errorf("%d attempts, drops are %v", n, b.counts.dropped)
				}
				if b.ask("198.51.100.1:1", p); len(node.Attempts()) != 2 {
					t.Error("another client may not use the same Request Authenticator")
				}
			})
		})
	}
}

// TestForgeryDoesNotStandInTheWayOfTheRequest: a signed request that comes after
// its copy is decided.
func TestForgeryDoesNotStandInTheWayOfTheRequest(t *testing.T) {
	b := newHarness(t, newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "allow")), nil)
	p := newPackets(true).login("alice", "1234123456")
	b.ask(vpnAddress, copied(p, "bob"))
	mustAnswer(t, p, b.ask(vpnAddress, p), AccessAccept)
	if b.rooms.waiting() != 0 {
		t.Error("a request was not released")
	}
}

// TestUndecidedRequestMayBeSentAgain, although its Request Authenticator was used.
func TestUndecidedRequestMayBeSentAgain(t *testing.T) {
	node := newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "allow"))
	node.Fail(engine.ErrUndecided)
	b, p := newHarness(t, node, nil), newPackets(false).login("alice", "1234123456")
	if b.ask(vpnAddress, p) != nil {
		t.Fatal("answered")
	}
	node.Fail(nil)
	mustAnswer(t, p, b.ask(vpnAddress, p), AccessAccept)
}

// TestForgedPacketDoesNotDisplaceTheOneInWork: it has the port and the identifier
// of a request that is being decided (RFC 5080, section 2.2.2).
func TestForgedPacketDoesNotDisplaceTheOneInWork(t *testing.T) {
	for _, signed := range []bool{true, false} {
		t.Run(fmt.Sprintf("signed %v", signed), func(t *testing.T) {
			b := newHarness(t, newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "allow")), nil)
			p, forger := newPackets(signed).login("alice", "1234123456"), newPackets(false)
			forged := forger.login("alice", "0000000000") // as if its password decoded by chance
			if forged.ID() != p.ID() {
				t.Fatal("identifiers differ")
			}
			b.hand(b.auth, vpnAddress, p)
			b.hand(b.auth, vpnAddress, forged)
			if b.counts.of(DropIdentifier) != 1 {
				t.Errorf("drops are %v", b.counts.dropped)
			}
			b.decide()
			mustAnswer(t, p, b.answer(), AccessAccept)

			// Nor does one that comes later cost the retransmission its answer.
			mustAnswer(t, forged, b.ask(vpnAddress, forged), AccessReject)
			mustAnswer(t, p, b.ask(vpnAddress, p), AccessAccept)
			if n := len(b.node.Attempts()); n != 2 {
				t.Errorf("%d attempts", n)
			}
		})
	}
}

// TestEachAddressHasItsShare: an address that floods leaves room for the other
// gateways of its client, and unsigned requests leave that of signed ones.
func TestEachAddressHasItsShare(t *testing.T) {
	b := newHarness(t, newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "allow")), func(c *Config) { c.Outstanding, c.PerClient = 64, 32 })
	unsigned, signed := newPackets(false), newPackets(true)
	flood := func(from string) {
		for i := range 100 {
			b.hand(b.auth, fmt.Sprintf("%s:%d", from, 1000+i), unsigned.login("alice", "0"))
		}
	}
	flood("192.0.2.66")
	if len(b.unsigned) != 16 || b.counts.of(DropSourceBusy) != 84 {
		t.Errorf("one address has %d of 32, drops are %v", len(b.unsigned), b.counts.dropped)
	}
	flood("192.0.2.67")
	for i := range 5 {
		b.hand(b.auth, fmt.Sprintf("192.0.2.1:%d", 40000+i), unsigned.login("alice", "0"))
	}
	if b.rooms.unsigned.sources[source{"vpn", netip.MustParseAddr("192.0.2.1")}] == 0 {
		t.Error("another address has no room")
	}
	for i := range 16 {
		b.hand(b.auth, fmt.Sprintf("192.0.2.1:%d", 40000+i), signed.login("alice", "1234123456"))
	}
	if len(b.signed) != 16 {
		t.Errorf("%d of 16 signed requests have room", len(b.signed))
	}
	b.decide()
	if b.rooms.waiting() != 0 || len(b.rooms.signed.clients)+len(b.rooms.unsigned.sources) != 0 {
		t.Error("room is not given back")
	}
}

// held is a node that holds its refusals, as the real one does.
type held struct{ *fakeNode }

func (n held) Authenticate(ctx context.Context, a engine.Attempt) (engine.Outcome, error) {
	out, err := n.fakeNode.Authenticate(ctx, a)
	if out.Verdict == engine.Reject {
		select {
		case <-time.After(time.Second): // a late refusal slows down the others, up to this
		case <-ctx.Done():
		}
	}
	return out, err
}

// TestFloodOfUnsignedPacketsDoesNotStopAGateway: 2,000 packets a second from an
// address within the prefix of the client, whose passwords even decode.
func TestFloodOfUnsignedPacketsDoesNotStopAGateway(t *testing.T) {
	node := held{newFakeNode(vpn("vpn", "127.0.0.0/8", "rsa", "allow"))}
	node.Decide = func(a engine.Attempt) (engine.Outcome, error) {
		if a.Origin.Unsigned {
			return engine.Outcome{Reason: events.ReasonBadTokencode}, nil
		}
		return engine.Outcome{Verdict: engine.Accept}, nil
	}
	s := start(t, node, nil)
	defer floodUnsigned(t, s.Addr(), 2000)()
	until(t, func() bool { return s.rooms.waiting() >= s.cfg.PerClient/2 })
	c := dial(t, s.Addr(), nil)
	for i := range 200 {
		code, err := c.Authenticate(t.Context(), Login{User: "alice", Passcode: "1234123456"})
		if err != nil || code.Code != AccessAccept {
			t.Fatalf("login %d: %v, %v", i, code, err)
		}
	}
}

// BenchmarkStrangers measures consecutive signed logins while an address within the
// prefix of the client sends 2,000 unsigned packets a second that must be decided.
func BenchmarkStrangers(b *testing.B) {
	for _, rate := range []int{0, 2000} {
		b.Run(strconv.Itoa(rate)+"/s", func(b *testing.B) {
			node := held{newFakeNode(vpn("vpn", "127.0.0.0/8", "rsa", "allow"))}
			s := start(b, node, nil)
			if rate > 0 {
				defer floodUnsigned(b, s.Addr(), rate)()
			}
			c := dial(b, s.Addr(), nil)
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				if _, err := c.Authenticate(b.Context(), Login{User: "alice", Passcode: "1234123456"}); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
		})
	}
}

// floodUnsigned sends unsigned logins with wrong passcodes from 127.0.0.66.
func floodUnsigned(t testing.TB, to netip.AddrPort, rate int) (stop func()) {
	t.Helper()
	conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 66)}, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	m := newPackets(false)
	ctx, cancel := context.WithCancel(context.Background())
	var sender sync.WaitGroup
	sender.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				for range rate / 100 {
					_, _ = conn.Write(m.login("alice", "0000000000"))
				}
			}
		}
	})
	return func() {
		cancel()
		sender.Wait()
		_ = conn.Close()
	}
}
