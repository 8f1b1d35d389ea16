package radius

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"keyfob/cluster/nodetest"
	"keyfob/engine"
	"keyfob/events"
)

// FuzzHandler gives the server arbitrary packets, unchanged or correctly signed.
// It must not panic or take long, must answer correctly or not at all, and must
// release every request.
func FuzzHandler(f *testing.F) {
	m := newPackets(true)
	seeds := []Packet{
		m.login("alice", "1234123456"),
		m.login("alice", "123456", with(State, "abc"), with(ProxyState, "p"), with(CallingStationID, "192.0.2.9[4500]")),
		m.login("alice", "1", with(State, "a"), with(State, "b")),
		m.make(AccessRequest, with(EAPMessage, "\x02\x07\x00\x0a\x01alice")),
		m.make(AccessRequest, func(r *Request) { r.Add(CHAPPassword, make([]byte, 17)) }),
		m.make(AccessRequest, with(VendorSpecific, "\x00\x00\x01\x37\x19\x00")),
		m.make(StatusServer, func(*Request) {}),
		m.make(AccountingRequest, func(r *Request) { r.AddUint32(AcctStatusType, 1) }),
		Packet(manyAttributes(200)),
	}
	for i, p := range seeds {
		f.Add([]byte(p), true, byte(i))
		f.Add([]byte(p), false, byte(i)|0x40)
	}
	outcomes := []engine.Outcome{
		{},
		{Verdict: engine.Accept},
		{Verdict: engine.Challenge, Conversation: "abc", Prompt: engine.Prompt{Step: events.StepNewPIN, Rules: digits}},
		{Verdict: engine.Challenge},
	}
	dialects := []string{"rsa", "cisco-sdi", "plain", "nochallenge"}
	f.Fuzz(func(t *testing.T, raw []byte, sign bool, variant byte) {
		if len(raw) > maxPacket {
			raw = raw[:maxPacket] // as the socket does
		}
		node := newFakeNode(vpn("vpn", "192.0.2.0/24", dialects[variant%4], "allow"))
		out := outcomes[variant/4%4]
		node.Decide, node.Impossible = script(out, nil), nodetest.Possible(out, nil) != nil
		if variant&0x40 != 0 { // the secret of the tests is the old one
			node.applyAt(events.At(time.Now()), events.ClientSecretRotated{
				Client: "vpn", Sealed: []byte(newSecret.Reveal()), Revision: 1, OldUntil: events.At(time.Now().Add(overlap)),
			})
		}
		b := newHarness(t, node, func(c *Config) { c.PageURL = "https://token.example.com/" })
		port := b.auth
		if variant&0x80 != 0 {
			port = b.acct
		}
		if sign {
			raw = resign(raw)
		}
		start := time.Now()
		b.hand(port, vpnAddress, raw)
		b.decide()
		if took := time.Since(start); took > time.Second {
			t.Errorf("took %v", took)
		}
		answer := b.answer()
		if answer != nil {
			request := mustParse(t, raw)
			err := sound(request, answer)
			if err != nil && variant&0x40 != 0 {
				err = soundUnder(newSecret, request, answer)
			}
			if err != nil {
				t.Error(err)
			}
			if len(answer) > len(request)+300 {
				t.Errorf("%d bytes in answer to %d", len(answer), len(request))
			}
		}
		if b.rooms.waiting() != 0 {
			t.Error("a request was not released")
		}
	})
}

// FuzzStranger gives the server arbitrary packets while a signed request from the
// same address and port is being decided. The request must get its answer, and
// nothing that a stranger sends may be accepted.
func FuzzStranger(f *testing.F) {
	m := newPackets(true)
	m.cfg.Random = strings.NewReader("sixteen random b") // the same in every process
	p := m.login("alice", "1234123456")
	f.Add([]byte(p), byte(0), byte(0))
	f.Add([]byte(copied(p, "bob")), byte(4), byte(0xff))
	f.Add([]byte(newPackets(false).login("alice", "1234123456")), byte(1), byte(1))
	f.Fuzz(func(t *testing.T, raw []byte, at, change byte) {
		if len(raw) > maxPacket {
			raw = raw[:maxPacket]
		}
		b := newHarness(t, newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto")), nil)
		stranger := packetsUnder("another shared secret", false).login("bob", "1234123456")
		b.hand(b.auth, vpnAddress, p)
		for _, packet := range [][]byte{raw, stranger, copied(p, "mallory")} {
			packet = append([]byte(nil), packet...)
			if int(at) < len(packet) {
				packet[at] ^= change
			}
			if parsed, err := Parse(packet); err == nil && bytes.Equal(parsed, p) || err == nil && parsed.Code() == StatusServer {
				continue // the request again, or one that needs no decision
			}
			b.hand(b.auth, vpnAddress, packet)
		}
		b.decide()
		accepted := 0
		for _, answer := range b.sent {
			if answer.Code() == AccessAccept && sound(p, answer) == nil {
				accepted++
			}
		}
		if accepted != 1 || b.rooms.waiting() != 0 {
			t.Errorf("the request was answered %d times, %d requests are left", accepted, b.rooms.waiting())
		}
	})
}

// resign corrects the signatures of a packet that has room for them.
func resign(raw []byte) []byte {
	p, err := Parse(raw)
	if err != nil {
		return raw
	}
	p = append(Packet(nil), p...)
	at, count := p.offset(MessageAuthenticator)
	vector := p.Authenticator()
	if p.Code() == AccountingRequest {
		vector = Authenticator{}
	}
	newSharedSecret(testSecret).with(func(m *md5State) {
		if count == 1 && int(p[at-1]) == authenticatorLength+2 {
			mac := m.messageAuthenticator(p, at, vector)
			copy(p[at:], mac[:])
		}
		if p.Code() == AccountingRequest {
			sum := m.authenticator(p, vector, []byte(testSecret.Reveal()))
			copy(p[4:], sum[:])
		}
	})
	return p
}
