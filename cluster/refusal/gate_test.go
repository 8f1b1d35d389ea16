package refusal

import (
	"net/netip"
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

func TestGateBoundsFailuresOfASource(t *testing.T) {
	g, now := NewGate(), time.Unix(0, 0)
	attempt := engine.Attempt{Origin: events.Origin{Door: events.DoorWeb}, Source: stranger}
	p := PassFor(policy(), attempt)
	for range 10 { // successes do not count
		if wait := g.Enter(p, now); wait != 0 {
			t.Fatalf("waits %v after successes", wait)
		}
		g.Leave(p, false, now)
	}
	for range 2 {
		if wait := g.Enter(p, now); wait != 0 {
			t.Fatalf("waits %v within the limit", wait)
		}
	}
	if wait := g.Enter(p, now); wait == 0 {
		t.Error("a third attempt was admitted while two are in progress")
	}
	g.Leave(p, true, now)
	g.Leave(p, true, now)
	if wait := g.Enter(p, now); wait < time.Second {
		t.Errorf("waits %v after two failures", wait)
	}
	attempt.Origin.Door = events.DoorAPI
	if wait := g.Enter(PassFor(policy(), attempt), now); wait != 0 {
		t.Errorf("waits %v at another door", wait)
	}
	if wait := g.Enter(p, now.Add(time.Hour)); wait != 0 {
		t.Errorf("waits %v an hour later", wait)
	}
}

func TestGateBoundsFailuresOfAnUntrustedClient(t *testing.T) {
	s := policy()
	s.Apply(0, events.Draft{Event: events.ClientAdded{Client: "vpn", Prefix: "192.0.2.0/24", Trusted: true}})
	for client, want := range map[string]int{"vpn": 20, "other": 3} {
		g, now, admitted := NewGate(), time.Unix(0, 0), 0
		p := PassFor(s, engine.Attempt{Origin: events.Origin{Door: events.DoorRADIUS, Client: client}, Client: client})
		for range 20 {
			if g.Enter(p, now) == 0 {
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
	both := PassFor(policy(), engine.Attempt{Origin: events.Origin{Door: events.DoorWeb}, Source: stranger, Client: "app"})
	source := both
	source.perClient = PassFor(policy(), engine.Attempt{}).perClient
	alone := both
	alone.perSource = source.perClient
	for range 3 {
		g.Enter(alone, now)
	}
	for range 5 {
		if g.Enter(both, now) == 0 {
			t.Fatal("the client's limit does not apply")
		}
	}
	if wait := g.Enter(source, now); wait != 0 {
		t.Errorf("the source waits %v", wait)
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
				p := PassFor(s, a)
				if wait := g.Enter(p, now); wait > 0 {
					b.Fatal(wait)
				}
				g.Leave(p, false, now)
			}
		})
	}
}
