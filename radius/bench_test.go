package radius

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// trivial is a node that accepts every login at once.
type trivial struct{ state *engine.State }

func (n trivial) Authenticate(context.Context, engine.Attempt) (engine.Outcome, error) {
	return engine.Outcome{Verdict: engine.Accept}, nil
}
func (n trivial) Do(context.Context, events.Origin, engine.Command) error { return nil }
func (n trivial) State() *engine.State                                    { return n.state }
func (n trivial) Ready() error                                            { return nil }
func (n trivial) CaughtUp() error                                         { return nil }
func (n trivial) OpenClientSecret(_ string, sealed []byte) (engine.Secret, error) {
	return engine.Secret(sealed), nil
}

// discarding is a UDP address that sends nothing.
type discarding struct{ udpListener }

func (*discarding) send(*request, []byte) {}

// BenchmarkHandler measures one login on a server without sockets.
func BenchmarkHandler(b *testing.B) {
	h := newHarness(b, newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto")), nil)
	h.Server.node = trivial{h.node.state}
	h.auth = &discarding{udpListener{serves: AccessRequest}}
	p := newPackets(true).login("alice", "1234123456", with(CallingStationID, "198.51.100.7"))
	at, _ := p.offset(MessageAuthenticator)
	secret := newSharedSecret(testSecret)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p[1] = byte(i)
		binary.BigEndian.PutUint32(p[4:], uint32(i)) // a Request Authenticator is used once
		mac := Authenticator{}
		secret.with(func(m *md5State) { mac = m.messageAuthenticator(p, at, p.Authenticator()) })
		copy(p[at:], mac[:])
		h.hand(h.auth, vpnAddress, p)
		h.decide()
	}
}

// BenchmarkJunk measures a packet from an unknown address.
func BenchmarkJunk(b *testing.B) {
	h := newHarness(b, newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto")), nil)
	junk := make([]byte, 100)
	r := h.request()
	r.transport, r.from = h.auth, mustAddr("203.0.113.1:5")
	b.ReportAllocs()
	for b.Loop() {
		h.receiveDatagram(r, copy(r.buffer[:], junk))
	}
}

// BenchmarkSockets measures client and server over loopback, with 8 sockets and
// 32 requests in flight on each.
func BenchmarkSockets(b *testing.B) {
	state := newFakeNode(loopback("rsa", "auto")).state
	s := start(b, trivial{state}, nil)
	const sockets, each = 8, 32
	var left atomic.Int64
	left.Store(int64(b.N))
	var callers sync.WaitGroup
	b.ReportAllocs()
	for range sockets {
		c := dial(b, s.Addr(), nil)
		for range each {
			callers.Go(func() {
				for left.Add(-1) >= 0 {
					if _, err := c.Authenticate(context.Background(), Login{User: "alice", Passcode: "1234123456"}); err != nil && !errors.Is(err, ErrNoAnswer) {
						b.Error(err)
						return
					}
				}
			})
		}
	}
	callers.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
}

// BenchmarkFlood measures consecutive logins while an unknown address sends
// 20,000 packets a second.
func BenchmarkFlood(b *testing.B) {
	for _, rate := range []int{0, 20000} {
		b.Run(strconv.Itoa(rate)+"/s", func(b *testing.B) {
			state := newFakeNode(vpn("vpn", "127.0.0.1/32", "rsa", "auto")).state
			s := start(b, trivial{state}, nil)
			if rate > 0 {
				stop := flood(b, s.Addr(), rate)
				defer stop()
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

// flood sends junk from an address that belongs to no client.
func flood(b *testing.B, to netip.AddrPort, rate int) (stop func()) {
	b.Helper()
	conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 66)}, net.UDPAddrFromAddrPort(to))
	if err != nil {
		b.Fatal(err)
	}
	junk := make([]byte, 100)
	ctx, cancel := context.WithCancel(b.Context())
	var sender sync.WaitGroup
	sender.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				for range rate / 1000 {
					_, _ = conn.Write(junk)
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
