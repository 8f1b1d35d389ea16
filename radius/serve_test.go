package radius

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keyfob/cluster/nodetest"
	"keyfob/engine"
	"keyfob/events"
)

// pass lets time pass in a synctest bubble.
func pass(d time.Duration) { <-time.After(d) }

// script makes a node answer with an outcome or an error.
func script(out engine.Outcome, err error) func(engine.Attempt) (engine.Outcome, error) {
	return func(engine.Attempt) (engine.Outcome, error) { return out, err }
}

func TestEveryRefusalLooksTheSame(t *testing.T) {
	const page = "https://token.example.com/"
	signed := newPackets(true)
	refusals := []struct {
		name   string
		packet Packet
		out    engine.Outcome
		says   Cause // in the log
	}{
		{name: "wrong passcode", packet: signed.login("alice", "0000000000"), out: engine.Outcome{Reason: events.ReasonBadTokencode, Reference: "ABC"}},
		{name: "source that failed too often", packet: signed.login("alice", "1234123456"), out: engine.Outcome{Reason: events.ReasonThrottled, Wait: 20 * time.Second}},
		{name: "unknown user", packet: signed.login("mallory", "0"), out: engine.Outcome{Reason: events.ReasonUserUnknown}},
		{name: "wrong next tokencode", packet: signed.login("alice", "1", with(State, "abc")), out: engine.Outcome{Reason: events.ReasonNextTokencodeWrong}},
		{name: "refusal that asks again without state", packet: signed.login("alice", "1", with(State, "abc")), out: engine.Outcome{Prompt: engine.Prompt{Step: events.StepLogin}}, says: FailedChallenge},
		{name: "conversation that has ended", packet: signed.login("alice", "1", with(State, "abc")), out: engine.Outcome{Reason: events.ReasonConversationExpired}},
		{name: "unknown verdict", packet: signed.login("alice", "1"), out: engine.Outcome{Verdict: 77}},
		{name: "empty password", packet: signed.login("alice", ""), out: engine.Outcome{}},
		{name: "no password", packet: signed.make(AccessRequest, with(UserName, "alice")), says: RefusedNoPAP},
		{name: "CHAP", packet: signed.make(AccessRequest, func(r *Request) {
			r.AddString(UserName, "alice")
			r.Add(CHAPPassword, make([]byte, 17))
		}), says: RefusedNoPAP},
		{name: "MS-CHAPv2", packet: signed.make(AccessRequest, func(r *Request) {
			r.AddString(UserName, "alice")
			r.Add(VendorSpecific, append([]byte{0, 0, 1, 0x37, 25, 52}, make([]byte, 50)...))
		}), says: RefusedNoPAP},
		{name: "no user", packet: signed.make(AccessRequest, func(r *Request) { r.AddPassword("1") }), says: RefusedName},
		{name: "user with a line break", packet: signed.login("alice\nmallory", "1"), says: RefusedName},
		{name: "user that is not UTF-8", packet: signed.login("\xff", "1"), says: RefusedName},
		{name: "password of half a block", packet: signed.make(AccessRequest, func(r *Request) {
			r.AddString(UserName, "alice")
			r.Add(UserPassword, make([]byte, 8))
		}), says: RefusedPassword},
		{name: "password with a NUL in it", packet: signed.login("alice", "1\x002"), says: RefusedPassword},
		{name: "password under another secret", packet: signed.make(AccessRequest, func(r *Request) {
			r.AddString(UserName, "alice")
			r.Add(UserPassword, bytes.Repeat([]byte("x"), 128))
		}), says: RefusedPassword},
		{name: "challenge without text", packet: signed.login("alice", "1"), out: engine.Outcome{Verdict: engine.Challenge, Conversation: "a"}, says: FailedChallenge},
		{name: "challenge without state", packet: signed.login("alice", "1"), out: engine.Outcome{Verdict: engine.Challenge, Prompt: engine.Prompt{Step: events.StepLogin}}, says: FailedChallenge},
		{name: "challenge with too long a state", packet: signed.login("alice", "1"), out: engine.Outcome{Verdict: engine.Challenge, Conversation: strings1234(254).Reveal(), Prompt: engine.Prompt{Step: events.StepLogin}}, says: FailedChallenge},
	}
	for dialect, want := range map[string]string{
		"rsa": "Access denied", "cisco-sdi": "Access denied", "plain": "Access denied",
		"nochallenge": "Access denied. If your token needs a new PIN or its next tokencode, go to " + page,
	} {
		for _, tc := range refusals {
			t.Run(dialect+"/"+tc.name, func(t *testing.T) {
				node := newFakeNode(vpn("vpn", "192.0.2.0/24", dialect, "allow"))
				node.Decide, node.Impossible = script(tc.out, nil), nodetest.Possible(tc.out, nil) != nil
				b := newHarness(t, node, func(c *Config) { c.PageURL = page })
				answer := b.ask(vpnAddress, tc.packet)
				mustAnswer(t, tc.packet, answer, AccessReject)
				if got := messageOf(t, answer); got != want || len(answer) != headerLength+18+2+len(want) {
					t.Errorf("refusal says %q and has %d bytes", got, len(answer))
				}
				if tc.says != FailedChallenge || dialect != "nochallenge" {
					if said := tc.says != "" && strings.Contains(b.log.String(), messages[tc.says]); said != (tc.says != "") {
						t.Errorf("the log does not say why:\n%s", b.log)
					}
				}
			})
		}
	}
}

func strings1234(n int) engine.Secret {
	return engine.Secret(bytes.Repeat([]byte("1234"), n/4+1)[:n])
}

func TestClientThatCannotAskGetsNoChallenge(t *testing.T) {
	node := newFakeNode(vpn("vpn", "192.0.2.0/24", "nochallenge", "allow"))
	node.Decide = script(engine.Outcome{
		Verdict: engine.Challenge, Conversation: "abc", Prompt: engine.Prompt{Step: events.StepNextTokencode},
	}, nil)
	b := newHarness(t, node, nil)
	p := newPackets(true).login("alice", "1234123456")
	mustAnswer(t, p, b.ask(vpnAddress, p), AccessReject)
	if a := node.Attempts(); len(a) != 1 || !a[0].NoChallenge {
		t.Errorf("the node does not know that the client cannot ask: %v", a)
	}
}

// TestRefusalSaysWhichRuleTheLastPINBroke when that ends the conversation. Its user
// has proved the token; every other user reads the usual refusal.
func TestRefusalSaysWhichRuleTheLastPINBroke(t *testing.T) {
	rules := engine.PINRules{Min: 4, Max: 8, History: 5}
	for _, tc := range []struct {
		dialect string
		problem engine.Problem
		says    string
	}{
		{"rsa", engine.ProblemPersonal, "That PIN is part of your user name or serial number. Access denied"},
		{"cisco-sdi", engine.ProblemTrivial, "That PIN is a repeat or a run. Access denied"},
		{"plain", engine.ProblemLength, "A PIN has 4 to 8 characters. Access denied"},
		{"rsa", engine.ProblemNone, "Access denied"},
	} {
		t.Run(tc.dialect+"/"+string(tc.problem), func(t *testing.T) {
			node := newFakeNode(vpn("vpn", "192.0.2.0/24", tc.dialect, "auto"))
			node.Decide = script(engine.Outcome{Reason: events.ReasonNewPINRefused, Prompt: engine.Prompt{Problem: tc.problem, Rules: rules}}, nil)
			b := newHarness(t, node, nil)
			p := newPackets(true).login("alice", "1111", with(State, "YmVmb3Jl"))
			answer := b.ask(vpnAddress, p)
			mustAnswer(t, p, answer, AccessReject)
			if got, _ := answer.Lookup(ReplyMessage); string(got) != tc.says {
				t.Errorf("says %q, want %q", got, tc.says)
			}
		})
	}
}

// TestWrongAnswerIsAskedForAgain: a refusal that leaves the conversation open is a
// new challenge with the problem, or a plain refusal if the client cannot ask.
func TestWrongAnswerIsAskedForAgain(t *testing.T) {
	for _, tc := range []struct {
		dialect string
		prompt  engine.Prompt
		want    Code
		says    string
	}{
		{"rsa", engine.Prompt{Step: events.StepNextTokencode, Problem: engine.ProblemReused}, AccessChallenge, "That tokencode was used already. Wait for token to change, then enter the new tokencode:"},
		{"rsa", engine.Prompt{Step: events.StepLogin, Problem: engine.ProblemWrong}, AccessChallenge, "That was not right. PIN Accepted. Wait for the token code to change, then enter the new passcode:"},
		{"cisco-sdi", engine.Prompt{Step: events.StepNextTokencode, Problem: engine.ProblemReused}, AccessChallenge, "That tokencode was used already. Enter Next PASSCODE"},
		{"plain", engine.Prompt{Step: events.StepLogin, Problem: engine.ProblemReused}, AccessChallenge, "That tokencode was used already. Your new PIN is set. Wait until your token shows a new tokencode, then enter your new PIN followed by it:"},
		{"nochallenge", engine.Prompt{Step: events.StepLogin, Problem: engine.ProblemWrong}, AccessReject, "Access denied"},
	} {
		t.Run(tc.dialect+"/"+string(tc.prompt.Problem), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				node := newFakeNode(vpn("vpn", "192.0.2.0/24", tc.dialect, "auto"))
				tc.prompt.Expires = time.Now().Add(4 * time.Minute)
				node.Decide = script(engine.Outcome{Reason: events.ReasonTokencodeReused, Prompt: tc.prompt, Conversation: "bmV4dA"}, nil)
				b := newHarness(t, node, nil)
				p := newPackets(true).login("alice", "123456", with(State, "YmVmb3Jl"))
				b.hand(b.auth, vpnAddress, p)
				b.decide()
				mustAnswer(t, p, b.answer(), tc.want)
				if got := messageOf(t, b.answer()); got != tc.says {
					t.Errorf("it says %q, want %q", got, tc.says)
				}
				state, _ := b.answer().Lookup(State)
				if want := map[Code]string{AccessChallenge: "bmV4dA"}[tc.want]; string(state) != want {
					t.Errorf("state is %q, want %q", state, want)
				}
			})
		})
	}
}

func TestEAPIsRefusedWithFailure(t *testing.T) {
	b := newHarness(t, newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto")), nil)
	p := newPackets(true).make(AccessRequest, with(EAPMessage, "\x02\x07\x00\x0a\x01alice"))
	answer := b.ask(vpnAddress, p)
	mustAnswer(t, p, answer, AccessReject)
	if got, _ := answer.Lookup(EAPMessage); !bytes.Equal(got, []byte{4, 7, 0, 4}) {
		t.Errorf("EAP-Message is %x", got)
	}
	if _, ok := answer.Lookup(ReplyMessage); ok {
		t.Error("Reply-Message beside EAP-Message")
	}
}

func TestUndecidedRequestGetsNoAnswerAndIsTriedAgain(t *testing.T) {
	for cause, err := range map[Cause]error{
		DropUndecided: fmt.Errorf("asking the leader: %w", engine.ErrUndecided),
		DropBusy:      engine.ErrBusy,
		DropLate:      fmt.Errorf("%w: %w", engine.ErrUndecided, context.DeadlineExceeded),
	} {
		t.Run(string(cause), func(t *testing.T) {
			node := newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto"))
			accept := node.Decide
			// No node returns an outcome with an error; it must be ignored anyway.
			node.Decide, node.Impossible = script(engine.Outcome{Verdict: engine.Accept}, err), true
			b := newHarness(t, node, nil)
			p := newPackets(true).login("alice", "1234123456")
			if answer := b.ask(vpnAddress, p); answer != nil {
				t.Fatalf("answer is %v", answer.Code())
			}
			if b.counts.of(cause) != 1 {
				t.Errorf("drops are %v", b.counts.dropped)
			}
			node.Decide = accept
			mustAnswer(t, p, b.ask(vpnAddress, p), AccessAccept)
			a := node.Attempts()
			if len(a) != 2 || a[0].Origin.Request != a[1].Origin.Request {
				t.Error("the retransmission has another request ID")
			}
			if b.rooms.waiting() != 0 {
				t.Error("a request was not released")
			}
		})
	}
}

func TestRetransmissionGetsTheSameBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto"))
		b, m := newHarness(t, node, nil), newPackets(true)
		p := m.login("alice", "1234123456")

		b.again()
		b.hand(b.auth, vpnAddress, p)
		b.hand(b.auth, vpnAddress, p)
		if b.counts.of(DropInProgress) != 1 {
			t.Error("a retransmission of a request in progress was not dropped")
		}
		b.decide()
		first := b.answer()
		mustAnswer(t, p, first, AccessAccept)
		for range 10 {
			pass(2900 * time.Millisecond)
			if again := b.ask(vpnAddress, p); !bytes.Equal(again, first) {
				t.Fatalf("answer is %x, was %x", again, first)
			}
		}
		if n := len(node.Attempts()); n != 1 {
			t.Errorf("the node was asked %d times", n)
		}
		// A copy of the packet is neither answered nor decided.
		pass(node.State().Policy.RetryRequestFor)
		for _, from := range []string{"192.0.2.1:40001", "192.0.2.2:40000", vpnAddress} {
			if b.ask(from, p) != nil || len(node.Attempts()) != 1 {
				t.Errorf("a copy from %s counts", from)
			}
		}
		if b.counts.of(DropReplayed) != 3 {
			t.Errorf("drops are %v", b.counts.dropped)
		}
	})
}

func TestSameIdentifierWithAnotherAuthenticatorIsAnotherRequest(t *testing.T) {
	node := newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto"))
	b, m := newHarness(t, node, nil), newPackets(true)
	first := m.login("alice", "0000000000")
	m.id--
	second := m.login("alice", "1234123456")
	if first.ID() != second.ID() {
		t.Fatal("identifiers differ")
	}
	mustAnswer(t, first, b.ask(vpnAddress, first), AccessReject)
	mustAnswer(t, second, b.ask(vpnAddress, second), AccessAccept)

	// The client has given up on the first request and must not get its response.
	third := m.login("alice", "0000000000")
	m.id--
	fourth := m.login("alice", "1234123456")
	b.again()
	b.hand(b.auth, vpnAddress, third)
	b.hand(b.auth, vpnAddress, fourth)
	b.decide()
	mustAnswer(t, fourth, b.answer(), AccessAccept)
	if b.rooms.waiting() != 0 {
		t.Error("a request was not released")
	}
}

// TestRetransmissionIsRecognized: the node gets what it needs to give the same
// answer to the same packet.
func TestRetransmissionIsRecognized(t *testing.T) {
	asked := func(p Packet, from string) engine.Attempt {
		node := newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto"))
		newHarness(t, node, nil).ask(from, p)
		return node.Attempts()[0]
	}
	m := newPackets(true)
	p := m.login("alice", "1234123456")
	if again := asked(p, vpnAddress).Origin.Request; asked(p, vpnAddress).Origin.Request != again {
		t.Error("the same packet has two request IDs")
	}
	if asked(p, vpnAddress).Origin.Request == asked(p, "192.0.2.1:40001").Origin.Request {
		t.Error("the same packet from another port has the same request ID")
	}
	if asked(p, vpnAddress).Origin.Request == asked(m.login("alice", "1234123456"), vpnAddress).Origin.Request {
		t.Error("two packets have the same request ID")
	}
}

// TestOnlyTheSameGatewayRepeatsALogin: what the node gets to recognize a login by
// is the same for the next packet of the same gateway about the same person, and
// for no other.
func TestOnlyTheSameGatewayRepeatsALogin(t *testing.T) {
	m := newPackets(true)
	session := func(from string, more ...func(*Request)) string {
		node := newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto"))
		newHarness(t, node, nil).ask(from, m.login("alice", "1234123456", more...))
		return node.Attempts()[0].Session
	}
	port := func(n uint32) func(*Request) { return func(r *Request) { r.AddUint32(NASPort, n) } }
	// As ocserv sends it: no session, no port.
	name, station := with(NASIdentifier, "gw1"), with(CallingStationID, "198.51.100.7")
	known := session(vpnAddress, name, station)
	for what, s := range map[string]string{
		"another packet":            session(vpnAddress, name, station),
		"another source port":       session("192.0.2.1:40001", name, station),
		"a port that is always 0":   session(vpnAddress, name, station, port(0)),
		"another order":             session(vpnAddress, station, name),
		"an attribute that is more": session(vpnAddress, name, station, with(ProxyState, "p")),
	} {
		if s != known {
			t.Errorf("%s: %q, want %q", what, s, known)
		}
	}
	for what, s := range map[string]string{
		"another address":         session("192.0.2.2:40000", name, station),
		"another NAS-Identifier":  session(vpnAddress, with(NASIdentifier, "gw2"), station),
		"no NAS-Identifier":       session(vpnAddress, station),
		"an empty NAS-Identifier": session(vpnAddress, with(NASIdentifier, ""), station),
		"another station":         session(vpnAddress, name, with(CallingStationID, "198.51.100.8")),
		"a session":               session(vpnAddress, name, station, with(AcctSessionID, "00000017")),
		"another session":         session(vpnAddress, name, station, with(AcctSessionID, "00000018")),
		"a port":                  session(vpnAddress, name, station, port(7)),
		"another port":            session(vpnAddress, name, station, port(8)),
	} {
		if s == known || s == "" {
			t.Errorf("%s: %q", what, s)
		}
	}
	if session(vpnAddress, with(NASIdentifier, ""), station) == session(vpnAddress, station) {
		t.Error("an attribute that is empty counts as absent")
	}
	if session(vpnAddress, name, with(AcctSessionID, "17")) == "" || session(vpnAddress, with(State, "abc")) == "" {
		t.Error("a session or a State does not tell one login from another")
	}
	for what, s := range map[string]string{
		"nothing":              session(vpnAddress),
		"a name":               session(vpnAddress, name),
		"a port":               session(vpnAddress, name, port(7)),
		"the gateway's own":    session(vpnAddress, name, with(CallingStationID, "192.0.2.1")),
		"the gateway's within": session(vpnAddress, name, with(CallingStationID, "127.0.0.1")),
	} {
		if s != "" {
			t.Errorf("%s tells one person from another: %q", what, s)
		}
	}
}

func TestRefusalLeavesWhenTheNodeAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto"))
		var took time.Duration
		node.Decide = func(engine.Attempt) (engine.Outcome, error) {
			pass(took)
			return engine.Outcome{}, nil
		}
		b, m := newHarness(t, node, nil), newPackets(true)
		for _, took = range []time.Duration{time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond} {
			p := m.login("alice", "1")
			b.again()
			start := time.Now()
			b.hand(b.auth, vpnAddress, p)
			b.decide()
			b.ask(vpnAddress, p) // a retransmission does not hurry it
			mustAnswer(t, p, b.answer(), AccessReject)
			if d := time.Since(start); d != took {
				t.Errorf("the node answered after %v, the server after %v", took, d)
			}
		}
	})
}

func TestOneClientCannotStarveAnother(t *testing.T) {
	node := newFakeNode(vpn("flood", "192.0.2.1/32", "rsa", "auto"), vpn("vpn", "192.0.2.2/32", "rsa", "auto"))
	b, m := newHarness(t, node, func(c *Config) { c.Outstanding, c.PerClient = 20, 12 }), newPackets(true)
	for range 50 {
		b.hand(b.auth, "192.0.2.1:1", m.login("alice", "1234123456"))
	}
	if got := b.counts.of(DropClientBusy); got != 38 || len(b.signed) != 12 {
		t.Errorf("%d dropped, %d waiting", got, len(b.signed))
	}
	for range 10 {
		b.hand(b.auth, "192.0.2.2:1", m.login("alice", "1234123456"))
	}
	if got := b.counts.of(DropBusy); got != 2 || len(b.signed) != 20 {
		t.Errorf("%d dropped, %d waiting", got, len(b.signed))
	}
	b.decide()
	if len(b.sent) != 20 || b.rooms.waiting() != 0 {
		t.Errorf("%d answered, %d outstanding", len(b.sent), b.rooms.waiting())
	}
}

func TestRequestThatWaitedTooLongIsNotDecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto"))
		b := newHarness(t, node, nil)
		b.hand(b.auth, vpnAddress, newPackets(true).login("alice", "1234123456"))
		pass(b.cfg.Timeout)
		b.decide()
		if b.answer() != nil || b.counts.of(DropLate) != 1 || len(node.Attempts()) != 0 {
			t.Errorf("answer %v, drops %v", b.answer(), b.counts.dropped)
		}
	})
}

func TestRememberedAnswersAreBounded(t *testing.T) {
	node := newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto"))
	b, m := newHarness(t, node, func(c *Config) { c.Remembered = 10 }), newPackets(true)
	for i := range 1000 {
		b.ask(fmt.Sprintf("192.0.2.1:%d", 1000+i), m.login("alice", "1234123456"))
	}
	if n := len(b.exchanges.known); n != 10 {
		t.Errorf("%d answers are kept", n)
	}
}

func TestStatusTellsWhetherTheNodeDecides(t *testing.T) {
	node := newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "auto"))
	b := newHarness(t, node, nil)
	for _, tc := range []struct {
		at   transport
		want Code
	}{{b.auth, AccessAccept}, {b.acct, AccountingResponse}} {
		node.notReady = nil
		p := newPackets(true).make(StatusServer, with(ProxyState, "via"))
		b.again()
		b.hand(tc.at, vpnAddress, p)
		mustAnswer(t, p, b.answer(), tc.want)
		node.notReady = errors.New("no leader")
		b.again()
		b.hand(tc.at, vpnAddress, newPackets(true).make(StatusServer, func(*Request) {}))
		if b.answer() != nil {
			t.Error("a node that is not ready answered")
		}
	}
	if b.counts.of(DropNotReady) != 2 {
		t.Errorf("drops are %v", b.counts.dropped)
	}
}

func TestAccountingIsAnsweredWhenItIsAuthentic(t *testing.T) {
	b := newHarness(t, newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", "require")), nil)
	p := newPackets(true).make(AccountingRequest, func(r *Request) {
		r.AddUint32(AcctStatusType, 1)
		r.AddString(AcctSessionID, "1")
		r.AddString(ProxyState, "a")
		r.AddString(ProxyState, "b")
	})
	b.hand(b.acct, vpnAddress, p)
	mustAnswer(t, p, b.answer(), AccountingResponse)
	bare := newPackets(false).make(AccountingRequest, func(r *Request) { r.AddUint32(AcctStatusType, 1) })
	b.again()
	b.hand(b.acct, vpnAddress, bare)
	mustAnswer(t, bare, b.answer(), AccountingResponse)
	if _, count := b.answer().offset(MessageAuthenticator); count != 0 {
		t.Error("the response has a Message-Authenticator, which peers compute differently")
	}
	for at := range p {
		if at == 2 || at == 3 {
			continue // the length
		}
		forged := append(Packet(nil), p...)
		forged[at] ^= 1
		b.again()
		b.hand(b.acct, vpnAddress, forged)
		if b.answer() != nil {
			t.Errorf("answered although byte %d was changed", at)
		}
	}
	login := newPackets(true).login("alice", "1234123456")
	b.hand(b.acct, vpnAddress, login)
	if b.answer() != nil || b.counts.of(DropCode) == 0 {
		t.Error("a login was answered on the accounting port")
	}
}

func TestResponseThatDoesNotFitIsNotSent(t *testing.T) {
	node := newFakeNode(vpn("vpn", "192.0.2.0/24", "nochallenge", "auto"))
	b := newHarness(t, node, func(c *Config) { c.PageURL = "https://token.example.com/" })
	m := newPackets(true)
	fill := func(r *Request) {
		for len(r.packet.b)+2+maxValue <= maxPacket {
			r.Add(ProxyState, make([]byte, maxValue))
		}
		r.Add(ProxyState, make([]byte, maxPacket-2-len(r.packet.b)))
	}
	full := m.login("alice", "0", fill)
	// All of the Proxy-State must come back, which leaves no room for the text.
	if answer := b.ask(vpnAddress, full); answer != nil || b.counts.of(DropUnanswerable) != 1 {
		t.Errorf("answer has %d bytes, drops are %v", len(answer), b.counts.dropped)
	}
	if b.rooms.waiting() != 0 {
		t.Error("a request was not released")
	}
	node.Decide = script(engine.Outcome{Verdict: engine.Accept}, nil)
	full = m.login("alice", "0", fill)
	mustAnswer(t, full, b.ask(vpnAddress, full), AccessAccept)
}

func TestWarningsAreRateLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, m := newHarness(t, newFakeNode(), nil), newPackets(true)
		for range 25 {
			b.ask("203.0.113.1:5000", m.login("alice", "1"))
			pass(time.Second)
		}
		if got := strings.Count(b.log.String(), messages[DropUnknownClient]); got != 3 {
			t.Errorf("%d lines in 25 seconds:\n%s", got, b.log)
		}
		if !strings.Contains(b.log.String(), "suppressed=9") {
			t.Errorf("the log does not say how many there were:\n%s", b.log)
		}
	})
}
