package main

import (
	"crypto/rand"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"keyfob/cmd/keyfob/demo"
	"keyfob/engine"
	"keyfob/radius"
)

// deaf returns a node whose answers do not arrive: it passes requests on, from the
// address of their gateway, and drops what comes back.
func deaf(t *testing.T, g *gateway, n demo.NodeInfo) demo.NodeInfo {
	t.Helper()
	in, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	from := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(g.Source()), 0))
	out, err := net.DialUDP("udp", from, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(n.RADIUS)))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		packet := make([]byte, 4096)
		for {
			size, _, err := in.ReadFrom(packet)
			if err != nil {
				return
			}
			_, _ = out.Write(packet[:size])
		}
	}()
	t.Cleanup(func() {
		_ = in.Close()
		<-ended
		_ = out.Close()
	})
	n.RADIUS = in.LocalAddr().String()
	return n
}

// TestLoginWhoseAnswerWasLostSucceedsAtTheNextNode with ocserv and openconnect:
// ocserv names no session, and asks the next node after its timeout.
func TestLoginWhoseAnswerWasLostSucceedsAtTheNextNode(t *testing.T) {
	needMachine(t, vpnPrograms...)
	l := startLab(t)
	cable(t, gatewayAddr, outside, usersAddr)
	g, bob := l.newGateway(t, 1, "rsa"), l.fob(t, "bob")
	g.asks(t, deaf(t, g, l.Nodes[0]), l.Nodes[1])
	g.letsIn(t, "bob", bob.passcode(t))
	trail := string(l.admin(t, "audit", "tail", "--user", "bob", "--format", "json"))
	for event, want := range map[string]int{"keyfob.auth.accepted.v1": 1, "keyfob.client.answer_repeated.v1": 1} {
		if got := strings.Count(trail, event); got != want {
			t.Errorf("%d of %s, want %d:\n%s", got, event, want, trail)
		}
	}
}

// TestThiefOfAPasscodeIsRefused: the passcode was accepted a moment ago. A thief who
// uses it elsewhere, under the same client even, is refused everywhere; the gateway
// itself may ask the next node, once.
func TestThiefOfAPasscodeIsRefused(t *testing.T) {
	needMachine(t)
	l := startLab(t)
	passcode := l.fob(t, "bob").passcode(t)
	honest := radius.Login{
		User: "bob", Passcode: engine.Secret(passcode), NASIdentifier: "gw1", CallingStationID: "198.51.100.7", SessionID: "4711",
	}
	ask := func(n demo.NodeInfo, from string, login radius.Login) radius.Code {
		t.Helper()
		c, err := radius.Dial(t.Context(), radius.ClientConfig{
			Server: n.RADIUS, Secret: engine.Secret(l.Secret), Timeout: 5 * time.Second, Tries: 3, Random: rand.Reader, Local: netip.MustParseAddr(from),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		reply, err := c.Authenticate(t.Context(), login)
		if err != nil {
			t.Fatal(err)
		}
		return reply.Code
	}
	if got := ask(l.Nodes[0], "127.0.0.2", honest); got != radius.AccessAccept {
		t.Fatalf("the login: %v", got)
	}
	if got := ask(l.Nodes[1], "127.0.0.2", honest); got != radius.AccessAccept {
		t.Errorf("the gateway at the next node: %v", got)
	}
	accepted := 0
	for i := range 50 {
		login, from := honest, "127.0.0.2"
		switch i % 5 {
		case 0:
			from = "127.0.0.3"
		case 1:
			login.NASIdentifier = "gw2"
		case 2:
			login.CallingStationID = "198.51.100.8"
		case 3:
			login.NASIdentifier, login.CallingStationID, from = "", "", "127.0.0.3"
		case 4: // the same in everything, at a node that was asked
			if ask(l.Nodes[i/5%2], from, login) == radius.AccessAccept {
				accepted++
			}
			continue
		}
		if ask(l.Nodes[i%3], from, login) == radius.AccessAccept {
			accepted++
		}
	}
	if accepted != 0 {
		t.Errorf("%d of 50 replays were accepted", accepted)
	}
}
