package radius

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"keyfob/engine"
	"keyfob/events"
)

const vpnAddress = "192.0.2.1:40000"

func TestPolicySaysWhichRequestsMustBeSigned(t *testing.T) {
	signed, unsigned := newPackets(true), newPackets(false)
	wrong := signed.login("alice", "1234123456")
	wrong[messageAuthenticatorAt] ^= 1
	twice := signed.login("alice", "1234123456", with(MessageAuthenticator, strings.Repeat("\x00", 16)))
	short := unsigned.login("alice", "1234123456", with(MessageAuthenticator, "short"))
	proxied := with(ProxyState, "p")
	for _, tc := range []struct {
		name   string
		packet Packet
		drops  map[string]Cause // by policy; absent means answered
	}{
		{"signed", signed.login("alice", "1234123456"), nil},
		{"unsigned", unsigned.login("alice", "1234123456"), map[string]Cause{"require": DropUnsigned}},
		{"wrongly signed", wrong, map[string]Cause{"require": DropSignature, "auto": DropSignature, "allow": DropSignature}},
		{"signed twice", twice, map[string]Cause{"require": DropSignedTwice, "auto": DropSignedTwice, "allow": DropSignedTwice}},
		{"signed with too short a signature", short, map[string]Cause{"require": DropMalformed, "auto": DropMalformed, "allow": DropMalformed}},
		{"proxied, signed", signed.login("alice", "1234123456", proxied), nil},
		{"proxied, unsigned", unsigned.login("alice", "1234123456", proxied), map[string]Cause{"require": DropProxied, "auto": DropProxied, "allow": DropProxied}},
		{"EAP, unsigned", unsigned.make(AccessRequest, with(EAPMessage, "\x02\x01\x00\x0a\x01alice")), map[string]Cause{"require": DropUnsigned, "auto": DropUnsigned, "allow": DropUnsigned}},
		{"status, signed", signed.make(StatusServer, func(*Request) {}), nil},
		{"accounting at the wrong port", signed.make(AccountingRequest, func(*Request) {}), map[string]Cause{"require": DropCode, "auto": DropCode, "allow": DropCode}},
		{"an answer", signed.make(AccessAccept, func(*Request) {}), map[string]Cause{"require": DropCode, "auto": DropCode, "allow": DropCode}},
	} {
		for _, policy := range []string{"require", "auto", "allow"} {
			t.Run(tc.name+"/"+policy, func(t *testing.T) {
				b := newHarness(t, newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", policy)), nil)
				answer := b.ask(vpnAddress, tc.packet)
				cause, dropped := tc.drops[policy]
				if !dropped {
					mustAnswer(t, tc.packet, answer, AccessAccept)
					return
				}
				if answer != nil {
					t.Fatalf("answer is %v, want none", answer.Code())
				}
				if b.counts.of(cause) != 1 {
					t.Errorf("drops are %v, want one of %s", b.counts.dropped, cause)
				}
			})
		}
	}
}

func TestUnsignedStatusGetsNoAnswer(t *testing.T) {
	b := newHarness(t, newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "allow")), nil)
	status := newPackets(true).make(StatusServer, func(*Request) {})
	bare := append(Packet(nil), status[:headerLength]...)
	bare[2], bare[3] = 0, headerLength
	if answer := b.ask(vpnAddress, bare); answer != nil || b.counts.of(DropUnsigned) != 1 {
		t.Errorf("answer %v, drops %v", answer, b.counts.dropped)
	}
}

func TestAddressThatSignedOnceMustSignForEver(t *testing.T) {
	signed, unsigned := newPackets(true), newPackets(false)
	node := newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto"))
	b := newHarness(t, node, nil)

	if b.ask(vpnAddress, unsigned.login("alice", "1234123456")) == nil {
		t.Fatal("the first unsigned request got no answer")
	}
	forged := signed.login("alice", "1234123456")
	forged[messageAuthenticatorAt] ^= 1
	b.ask(vpnAddress, forged)
	if b.ask(vpnAddress, unsigned.login("alice", "1234123456")) == nil {
		t.Fatal("a wrong signature counts as signing")
	}
	if b.ask(vpnAddress, signed.login("alice", "1234123456")) == nil {
		t.Fatal("the signed request got no answer")
	}
	if b.ask(vpnAddress, unsigned.login("alice", "1234123456")) != nil {
		t.Error("an unsigned request was answered right after a signed one")
	}
	if b.ask("192.0.2.2:40000", unsigned.login("alice", "1234123456")) == nil {
		t.Error("another address of the client must sign too")
	}
	// Other nodes learn of it from the state.
	b.record(t.Context(), <-b.findings)
	want := []engine.Command{engine.RecordSigned{Client: "vpn", Address: "192.0.2.1"}}
	if diff := cmp.Diff(want, node.Commands()); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	other := newHarness(t, node, nil)
	if other.ask(vpnAddress, unsigned.login("alice", "1234123456")) != nil {
		t.Error("another node answered an unsigned request")
	}
	if got := node.state.Client("vpn").Signed; !slices.Equal(got, []netip.Addr{netip.MustParseAddr("192.0.2.1")}) {
		t.Errorf("recorded: %v", got)
	}
}

// TestLogExplainsTheLatch: it names the client, the address, and the command that
// helps.
func TestLogExplainsTheLatch(t *testing.T) {
	b := newHarness(t, newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto")), nil)
	b.ask(vpnAddress, newPackets(true).login("alice", "1234123456"))
	for range 100 {
		b.ask(vpnAddress, newPackets(false).login("alice", "1234123456"))
	}
	log := b.log.String()
	if b.counts.of(DropStripped) != 100 || strings.Count(log, "\n") != 1 {
		t.Errorf("drops are %v, the log is\n%s", b.counts.dropped, log)
	}
	for _, want := range []string{"client=vpn", "source=192.0.2.1", "has sent one before", "keyfob client clear-signed"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %q:\n%s", want, log)
		}
	}
}

// TestTestByHandObligesNobody: the documented radclient line signs, perhaps from
// the machine of a gateway that cannot.
func TestTestByHandObligesNobody(t *testing.T) {
	b := newHarness(t, newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto")), nil)
	test := newPackets(true).login("bob", "1234123456", with(NASIdentifier, "keyfob-test"))
	mustAnswer(t, test, b.ask(vpnAddress, test), AccessAccept)
	gateway := newPackets(false).login("alice", "1234123456", with(NASIdentifier, "keyfob-test"))
	mustAnswer(t, gateway, b.ask(vpnAddress, gateway), AccessAccept)
	if len(b.findings) != 0 {
		t.Error("the cluster is told")
	}
	b.ask(vpnAddress, newPackets(true).login("alice", "1234123456", with(NASIdentifier, "gw1")))
	if b.ask(vpnAddress, newPackets(false).login("alice", "1234123456", with(NASIdentifier, "keyfob-test"))) != nil {
		t.Error("an unsigned request is believed to be a test")
	}
}

func TestClearedAddressNeedNotSign(t *testing.T) {
	for _, address := range []string{"192.0.2.1", ""} {
		synctest.Test(t, func(t *testing.T) {
			node := newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto"))
			b := newHarness(t, node, nil)
			for _, from := range []string{vpnAddress, "192.0.2.2:40000"} {
				b.ask(from, newPackets(true).login("alice", "1234123456"))
			}
			b.recordAll()
			pass(freshFor)
			if err := node.Do(t.Context(), events.Origin{}, engine.ClearSigned{Client: "vpn", Address: address}); err != nil {
				t.Fatal(err)
			}
			pass(freshFor)
			if b.ask(vpnAddress, newPackets(false).login("alice", "1234123456")) == nil {
				t.Errorf("clearing %q: the address must still sign", address)
			}
			if other := b.ask("192.0.2.2:40000", newPackets(false).login("alice", "1234123456")); (other != nil) != (address == "") {
				t.Errorf("clearing %q: another address answered: %v", address, other != nil)
			}
			b.ask(vpnAddress, newPackets(true).login("alice", "1234123456"))
			if b.ask(vpnAddress, newPackets(false).login("alice", "1234123456")) != nil {
				t.Errorf("clearing %q: an address that signs again need not sign", address)
			}
		})
	}
}

// TestBeyondTheAddressesThatAreKeptAllMustSign.
func TestBeyondTheAddressesThatAreKeptAllMustSign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode(vpn("vpn", "10.0.0.0/8", "rsa", "auto"))
		b, m := newHarness(t, node, nil), newPackets(true)
		for i := range 300 {
			b.ask(fmt.Sprintf("10.0.%d.%d:1", i/200, i%200), m.login("alice", "1234123456"))
			b.recordAll()
		}
		pass(freshFor)
		if c := node.State().Client("vpn"); !c.SignedAll || len(c.Signed) != 256 {
			t.Fatalf("%d addresses are kept, all: %v", len(c.Signed), c.SignedAll)
		}
		other := newHarness(t, node, nil)
		for _, from := range []string{"10.0.0.1:1", "10.0.1.99:1", "10.99.0.1:1"} {
			if b.ask(from, newPackets(false).login("alice", "1234123456")) != nil || other.ask(from, newPackets(false).login("alice", "1234123456")) != nil {
				t.Errorf("an unsigned request from %s was answered", from)
			}
		}
	})
}

func TestFindingThatWasNotRecordedIsReportedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto"))
		node.Execute = func(engine.Command) error { return engine.ErrUndecided }
		b, signed := newHarness(t, node, nil), newPackets(true)
		b.ask(vpnAddress, signed.login("alice", "1234123456"))
		b.record(t.Context(), <-b.findings)
		b.ask(vpnAddress, signed.login("alice", "1234123456"))
		if len(b.findings) != 0 {
			t.Error("tried again at once")
		}
		pass(reportAgain)
		b.ask(vpnAddress, signed.login("alice", "1234123456"))
		if len(b.findings) != 1 {
			t.Error("not tried again")
		}
	})
}

func TestClientAddedAgainNeedNotSign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto"))
		b := newHarness(t, node, nil)
		b.ask(vpnAddress, newPackets(true).login("alice", "1234123456"))
		b.record(t.Context(), <-b.findings)
		pass(freshFor)
		if b.ask(vpnAddress, newPackets(false).login("alice", "1234123456")) != nil {
			t.Fatal("the unsigned request was answered")
		}
		node.apply(events.ClientRemoved{Client: "vpn"})
		node.apply(vpn("vpn", "192.0.2.0/24", "rsa", "auto"))
		pass(freshFor)
		if b.ask(vpnAddress, newPackets(false).login("alice", "1234123456")) == nil {
			t.Error("the new client must sign because the old one did")
		}
	})
}

func TestLongestPrefixNamesTheClient(t *testing.T) {
	node := newFakeNode(
		vpn("all", "0.0.0.0/0", "rsa", "allow"),
		vpn("site", "192.0.2.0/24", "rsa", "allow"),
		vpn("gateway", "192.0.2.1/32", "rsa", "allow"),
		vpn("six", "2001:db8::/32", "rsa", "allow"),
		vpn("gateway6", "2001:db8::1/128", "rsa", "allow"),
		vpn("mapped", "::ffff:198.51.100.0/120", "rsa", "allow"),
	)
	b := newHarness(t, node, nil)
	for from, want := range map[string]string{
		"192.0.2.1:1":               "gateway",
		"[::ffff:192.0.2.1]:1":      "gateway", // as a socket for both families says
		"192.0.2.2:1":               "site",
		"203.0.113.9:1":             "all",
		"198.51.100.7:1":            "mapped",
		"[2001:db8::1]:1":           "gateway6",
		"[2001:db8:ffff::1%eth0]:1": "six",
		"[2001:db9::1]:1":           "",
	} {
		found, ok := b.clients.lookup(plain(netip.MustParseAddrPort(from).Addr()), b.now())
		if ok != (want != "") || ok && found.name != want {
			t.Errorf("%s belongs to %v, want %q", from, found, want)
		}
	}
}

func TestUnknownClientGetsNoAnswerAndOneLogLine(t *testing.T) {
	b := newHarness(t, newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto")), nil)
	p := newPackets(true)
	for range 100 {
		if b.ask("203.0.113.1:5000", p.login("alice", "1234123456")) != nil {
			t.Fatal("an unknown client was answered")
		}
	}
	if got := b.counts.of(DropUnknownClient); got != 100 {
		t.Errorf("%d were counted", got)
	}
	if got := strings.Count(b.log.String(), "\n"); got != 1 {
		t.Errorf("%d lines were logged:\n%s", got, b.log)
	}
}

func TestClientIsNotCalledUnknownBeforeTheNodeCaughtUp(t *testing.T) {
	node := newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto"))
	node.behind = errors.New("catching up: at record 5 of 9")
	b, p := newHarness(t, node, nil), newPackets(true)
	if b.ask("203.0.113.1:5000", p.login("alice", "1234123456")) != nil {
		t.Fatal("an unknown client was answered")
	}
	if b.counts.of(DropUnknownClient) != 0 || b.counts.of(DropNotCaughtUp) != 1 {
		t.Errorf("counted as %v", b.counts.dropped)
	}
	if log := b.log.String(); !strings.Contains(log, "at record 5 of 9") || strings.Contains(log, messages[DropUnknownClient]) {
		t.Errorf("logged: %s", log)
	}
}

func TestClientsFollowTheState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode()
		b, p := newHarness(t, node, nil), newPackets(true)
		if b.ask(vpnAddress, p.login("alice", "1234123456")) != nil {
			t.Fatal("an unknown client was answered")
		}
		node.apply(vpn("vpn", "192.0.2.0/24", "rsa", "auto"))
		pass(freshFor)
		if b.ask(vpnAddress, p.login("alice", "1234123456")) == nil {
			t.Error("a new client got no answer")
		}
		changed := vpn("vpn", "192.0.2.0/24", "rsa", "auto")
		changed.Sealed = []byte("another secret")
		node.apply(changed)
		pass(freshFor)
		if b.ask(vpnAddress, p.login("alice", "1234123456")) != nil || b.counts.of(DropSignature) != 1 {
			t.Error("the old secret is still valid")
		}
		node.apply(events.ClientRemoved{Client: "vpn"})
		pass(freshFor)
		if b.ask(vpnAddress, p.login("alice", "1234123456")) != nil || b.counts.of(DropUnknownClient) != 2 {
			t.Error("a removed client is still known")
		}
	})
}

func TestClientWhoseSecretCannotBeOpenedIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto"))
		node.noSecret = errors.New("key is away")
		b, p := newHarness(t, node, nil), newPackets(true)
		if b.ask(vpnAddress, p.login("alice", "1234123456")) != nil {
			t.Fatal("answered without a secret")
		}
		node.noSecret = nil
		pass(freshFor)
		if b.ask(vpnAddress, p.login("alice", "1234123456")) == nil {
			t.Error("the client stays unusable")
		}
		if !strings.Contains(b.log.String(), messages[DropUnusableClient]) {
			t.Errorf("the log does not say so:\n%s", b.log)
		}
	})
}

func TestAttemptHasWhatTheNodeNeeds(t *testing.T) {
	signed := newPackets(true)
	for _, tc := range []struct {
		name   string
		packet Packet
		want   engine.Attempt
	}{
		{
			"first step",
			signed.login("alice", "1234123456", with(CallingStationID, "198.51.100.7[4500]")),
			engine.Attempt{User: "alice", Typed: "1234123456", Origin: events.Origin{SourceIP: "198.51.100.7"}, Source: netip.MustParseAddr("198.51.100.7")},
		},
		{
			"answer to a challenge",
			signed.login("alice", "y", with(State, "c2VhbGVk"), with(CallingStationID, "2001:db8::7")),
			engine.Attempt{User: "alice", Typed: "y", Conversation: "c2VhbGVk", Origin: events.Origin{SourceIP: "2001:db8::7"}, Source: netip.MustParseAddr("2001:db8::7")},
		},
		{
			"calling station is no address",
			signed.login("CORP\\älice", "1", with(CallingStationID, "02-00-5E-00-53-01")),
			engine.Attempt{User: "CORP\\älice", Typed: "1", Origin: events.Origin{SourceIP: "192.0.2.1"}},
		},
		{
			"no calling station",
			signed.login("alice", "1"),
			engine.Attempt{User: "alice", Typed: "1", Origin: events.Origin{SourceIP: "192.0.2.1"}},
		},
		{
			"calling station is the gateway",
			signed.login("alice", "1", with(CallingStationID, "192.0.2.1")),
			engine.Attempt{User: "alice", Typed: "1", Origin: events.Origin{SourceIP: "192.0.2.1"}},
		},
		{
			"calling station is within the gateway",
			signed.login("alice", "1", with(CallingStationID, "127.0.0.1")),
			engine.Attempt{User: "alice", Typed: "1", Origin: events.Origin{SourceIP: "127.0.0.1"}},
		},
		{
			"calling station with port",
			signed.login("alice", "1", with(CallingStationID, "[2001:db8::7]:443")),
			engine.Attempt{User: "alice", Typed: "1", Origin: events.Origin{SourceIP: "2001:db8::7"}, Source: netip.MustParseAddr("2001:db8::7")},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			node := newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto"))
			b := newHarness(t, node, nil)
			b.ask(vpnAddress, tc.packet)
			tc.want.Origin.Node, tc.want.Origin.Site = "n1", "hq"
			tc.want.Origin.Door, tc.want.Origin.Client, tc.want.Client = events.DoorRADIUS, "vpn", "vpn"
			got := node.Attempts()
			if len(got) != 1 {
				t.Fatalf("%d attempts", len(got))
			}
			if got[0].Origin.Request.IsZero() || got[0].Arrived.IsZero() {
				t.Error("request or time is missing")
			}
			tc.want.Origin.Reference = got[0].Origin.Request.Reference() // the same for a packet sent again
			ignore := []cmp.Option{
				cmpopts.EquateComparable(netip.Addr{}), cmpopts.IgnoreFields(engine.Attempt{}, "Arrived", "Session"), cmpopts.IgnoreFields(events.Origin{}, "Request"),
			}
			if diff := cmp.Diff(tc.want, got[0], ignore...); diff != "" || got[0].Typed != tc.want.Typed {
				t.Errorf("attempt (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSiteOfTheClientTakesPrecedence(t *testing.T) {
	branch := vpn("vpn", "192.0.2.0/24", "rsa", "auto")
	branch.Site = "branch"
	node := newFakeNode(branch)
	newHarness(t, node, nil).ask(vpnAddress, newPackets(true).login("alice", "1"))
	if got := node.Attempts()[0].Origin.Site; got != "branch" {
		t.Errorf("site is %q", got)
	}
}
