package refusal

import (
	"net/netip"
	"strconv"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

var stranger = netip.MustParseAddr("198.51.100.66")

func policy() *engine.State {
	s := engine.NewState()
	s.Policy.SourceFailures, s.Policy.SourceEvery = 2, time.Hour
	s.Policy.ClientFailures, s.Policy.ClientEvery = 3, time.Minute
	return s
}

func enter(g *Gate, p Pass, now time.Time) time.Duration { return g.Enter(&p, now) }

func TestGateBoundsFailuresOfASource(t *testing.T) {
	g, now := NewGate(), time.Unix(0, 0)
	attempt := engine.Attempt{Origin: events.Origin{Door: events.DoorWeb}, Source: stranger}
	p := PassFor(policy(), attempt, "")
	for range 10 { // successes do not count
		if wait := g.Enter(&p, now); wait != 0 {
			t.Fatalf("waits %v after successes", wait)
		}
		g.Leave(p, false, now)
	}
	for range 2 {
		if wait := g.Enter(&p, now); wait != 0 {
			t.Fatalf("waits %v within the limit", wait)
		}
	}
	if wait := g.Enter(&p, now); wait == 0 {
		t.Error("a third attempt was admitted while two are in progress")
	}
	g.Leave(p, true, now)
	g.Leave(p, true, now)
	if wait := g.Enter(&p, now); wait < time.Second {
		t.Errorf("waits %v after two failures", wait)
	}
	attempt.Origin.Door = events.DoorAPI
	if wait := enter(g, PassFor(policy(), attempt, ""), now); wait != 0 {
		t.Errorf("waits %v at another door", wait)
	}
	if wait := g.Enter(&p, now.Add(time.Hour)); wait != 0 {
		t.Errorf("waits %v an hour later", wait)
	}
}

func TestGateBoundsFailuresOfAnUntrustedClient(t *testing.T) {
	s := policy()
	s.Apply(0, events.Draft{Event: events.ClientAdded{Client: "vpn", Prefix: "192.0.2.0/24", Trusted: true}})
	for client, want := range map[string]int{"vpn": 20, "other": 3} {
		g, now, admitted := NewGate(), time.Unix(0, 0), 0
		p := PassFor(s, engine.Attempt{Origin: events.Origin{Door: events.DoorRADIUS, Client: client}, Client: client}, "")
		for range 20 {
			if g.Enter(&p, now) == 0 {
				g.Leave(p, true, now)
				admitted++
			}
		}
		if admitted != want {
			t.Errorf("client %s: %d of 20 failures were admitted, want %d", client, admitted, want)
		}
	}
}

// A client that is out of budget must not use up the budget of its source.
func TestClientLimitDoesNotUseUpTheSource(t *testing.T) {
	g, now := NewGate(), time.Unix(0, 0)
	both := PassFor(policy(), engine.Attempt{Origin: events.Origin{Door: events.DoorWeb}, Source: stranger, Client: "app"}, "")
	source := both
	source.perClient = PassFor(policy(), engine.Attempt{}, "").perClient
	alone := both
	alone.perSource = source.perClient
	for range 3 {
		g.Enter(&alone, now)
	}
	for range 5 {
		if g.Enter(&both, now) == 0 {
			t.Fatal("the client's limit does not apply")
		}
	}
	if wait := g.Enter(&source, now); wait != 0 {
		t.Errorf("the source waits %v", wait)
	}
}

// TestManyNetworksOfOneSubscriberHaveOneBudget: a provider gives a subscriber a /56
// or a /48, and with it up to 65,536 networks of /64.
func TestManyNetworksOfOneSubscriberHaveOneBudget(t *testing.T) {
	for name, c := range map[string]struct {
		address func(i int) [16]byte
		want    int
	}{
		"one /64": {func(i int) [16]byte { return [16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)} }, 2},
		"one /56": {func(i int) [16]byte { return [16]byte{0x20, 1, 0xd, 0xb8, 7: byte(i), 15: 1} }, 8},
		"one /48": {func(i int) [16]byte { return [16]byte{0x20, 1, 0xd, 0xb8, 6: byte(i), 7: byte(i >> 8)} }, 32},
		"many":    {func(i int) [16]byte { return [16]byte{0x20, 1, 0xd, 0xb8, 4: byte(i), 5: byte(i >> 8)} }, 200},
	} {
		g, now, admitted := NewGate(), time.Unix(0, 0), 0
		for i := range 200 {
			a := engine.Attempt{Origin: events.Origin{Door: events.DoorWeb}, Source: netip.AddrFrom16(c.address(i))}
			p := PassFor(policy(), a, "")
			if g.Enter(&p, now) == 0 {
				g.Leave(p, true, now)
				admitted++
			}
		}
		if admitted != c.want {
			t.Errorf("%s: %d failures were admitted, want %d", name, admitted, c.want)
		}
	}
}

func TestKnownUserIsForgottenInTime(t *testing.T) {
	s, start := policy(), time.Unix(0, 0)
	s.Policy.SourceRemember = time.Hour
	attempt := func(user, from string) Pass {
		return PassFor(s, engine.Attempt{Origin: events.Origin{Door: events.DoorWeb}, Source: netip.MustParseAddr(from)}, user)
	}
	g := NewGate()
	g.Remember(attempt("ada", "198.51.100.66"), "ada", start)
	admits := func(user, from string, after time.Duration) bool {
		p := attempt(user, from)
		for range 2 {
			spent := attempt("nobody", from)
			if g.Enter(&spent, start.Add(after)) == 0 {
				g.Leave(spent, true, start.Add(after))
			}
		}
		if g.Enter(&p, start.Add(after)) > 0 {
			return false
		}
		g.Leave(p, false, start.Add(after))
		return true
	}
	for _, c := range []struct {
		user, from string
		after      time.Duration
		want       bool
	}{
		{"ada", "198.51.100.66", 0, true},
		{" ADA ", "198.51.100.66", time.Minute, true},
		{"bob", "198.51.100.66", time.Minute, false},
		{"ada", "198.51.100.67", time.Minute, false},
		{"ada", "198.51.100.66", time.Hour, false},
	} {
		if got := admits(c.user, c.from, c.after); got != c.want {
			t.Errorf("%q from %s after %v: admitted %v, want %v", c.user, c.from, c.after, got, c.want)
		}
	}
}

func TestMemoryOfKnownUsersIsBounded(t *testing.T) {
	g, now := NewGate(), time.Unix(0, 0)
	p := PassFor(policy(), engine.Attempt{Origin: events.Origin{Door: events.DoorWeb}, Source: stranger}, "ada")
	for i := range maxKnown + 100 {
		g.Remember(p, "user"+strconv.Itoa(i), now)
	}
	if n := g.known.len(); n != maxKnown {
		t.Errorf("%d pairs are remembered, want %d", n, maxKnown)
	}
}

// BenchmarkGate is what the gate costs each login: through a trusted client
// without an address, and with a source.
func BenchmarkGate(b *testing.B) {
	s := engine.NewState()
	g := NewGate()
	now := time.Now()
	for name, a := range map[string]engine.Attempt{
		"neither": {Origin: events.Origin{Door: events.DoorRADIUS}},
		"source":  {Origin: events.Origin{Door: events.DoorWeb}, Source: stranger},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p := PassFor(s, a, "")
				if wait := g.Enter(&p, now); wait > 0 {
					b.Fatal(wait)
				}
				g.Leave(p, false, now)
			}
		})
	}
}
