package radius

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
	"keyfob/events"
)

const (
	oldSecret = testSecret
	newSecret = engine.Secret("a new shared secret")
	overlap   = time.Hour
)

// rotating returns a server whose client vpn has just got a new secret.
func rotating(t *testing.T, policy string) *harness {
	t.Helper()
	node := newFakeNode(vpn("vpn", "192.0.2.0/24", "rsa", policy))
	b := newHarness(t, node, nil)
	b.ask(vpnAddress, newPackets(true).make(StatusServer, func(*Request) {})) // the table of clients is as before
	b.rotate(overlap)
	return b
}

// rotate gives the client vpn a new secret now.
func (b *harness) rotate(overlap time.Duration) {
	e := events.ClientSecretRotated{Client: "vpn", Sealed: []byte(newSecret.Reveal()), Revision: b.node.State().Client("vpn").Revision + 1}
	if overlap > 0 {
		e.OldUntil = events.At(time.Now().Add(overlap))
	}
	b.node.applyAt(events.At(time.Now()), e)
	pass(freshFor)
}

// answersUnder reports whether a packet gets an answer that is signed with the
// secret.
func (b *harness) answersUnder(secret engine.Secret, packet Packet) bool {
	b.t.Helper()
	at := b.auth
	if packet.Code() == AccountingRequest {
		at = b.acct
	}
	b.again()
	b.hand(at, vpnAddress, packet)
	b.decide()
	response := b.answer()
	if response == nil {
		return false
	}
	if err := soundUnder(secret, packet, response); err != nil {
		b.t.Fatalf("the answer to a %v is not one for that secret: %v", packet.Code(), err)
	}
	return true
}

// kinds are the packets in which a secret is used.
var kinds = []struct {
	name   string
	make   func(secret engine.Secret) Packet
	proves bool // the secret
}{
	{"signed login", func(s engine.Secret) Packet { return packetsUnder(s, true).login("alice", "1234123456") }, true},
	{"signed login, wrong", func(s engine.Secret) Packet { return packetsUnder(s, true).login("alice", "0") }, true},
	{"unsigned login", func(s engine.Secret) Packet { return packetsUnder(s, false).login("alice", "1234123456") }, true},
	{"unsigned login, wrong", func(s engine.Secret) Packet { return packetsUnder(s, false).login("alice", "0") }, false},
	{"unsigned login, long", func(s engine.Secret) Packet { return packetsUnder(s, false).login("alice", strings1234(100)) }, false},
	{"unsigned login, no ASCII", func(s engine.Secret) Packet { return packetsUnder(s, false).login("alice", "žluťoučký") }, false},
	{"unsigned login, empty", func(s engine.Secret) Packet { return packetsUnder(s, false).login("alice", "") }, false},
	{"unsigned login, no user", func(s engine.Secret) Packet {
		return packetsUnder(s, false).make(AccessRequest, func(r *Request) { r.AddPassword("1234123456") })
	}, false},
	{"status", func(s engine.Secret) Packet { return packetsUnder(s, true).make(StatusServer, func(*Request) {}) }, true},
	{"accounting", func(s engine.Secret) Packet { return packetsUnder(s, false).make(AccountingRequest, start1) }, true},
	{"signed accounting", func(s engine.Secret) Packet { return packetsUnder(s, true).make(AccountingRequest, start1) }, true},
}

func start1(r *Request) { r.AddUint32(AcctStatusType, 1) }

func TestBothSecretsAreValidDuringAnOverlap(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := rotating(t, "allow")
				for _, secret := range []engine.Secret{oldSecret, newSecret, oldSecret} {
					if !b.answersUnder(secret, kind.make(secret)) {
						t.Errorf("no answer under %q", secret.Reveal())
					}
				}
			})
		})
	}
}

func TestPasswordIsDecodedWithTheSecretThatTheClientUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := rotating(t, "allow")
		for _, signed := range []bool{true, false} {
			for _, secret := range []engine.Secret{oldSecret, newSecret} {
				b.answersUnder(secret, packetsUnder(secret, signed).login("alice", "1234123456"))
				asked := b.node.Attempts()
				if got := asked[len(asked)-1].Typed; got != "1234123456" {
					t.Errorf("under %q, signed %v: the node was asked about %q", secret.Reveal(), signed, got.Reveal())
				}
			}
		}
		if n := len(b.node.Attempts()); n != 4 {
			t.Errorf("4 packets were %d attempts", n)
		}
	})
}

// TestSignatureDecidesWhichSecretDecodesThePassword, not the password.
func TestSignatureDecidesWhichSecretDecodesThePassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := rotating(t, "allow")
		b.answersUnder(newSecret, packetsUnder(newSecret, true).make(AccessRequest, func(r *Request) {
			r.AddString(UserName, "alice")
			hidden, err := newSharedSecret(oldSecret).hide("1234123456", Authenticator(r.packet.b[4:headerLength]))
			if err != nil {
				t.Fatal(err)
			}
			r.Add(UserPassword, hidden)
		}))
		for _, a := range b.node.Attempts() {
			if a.Typed == "1234123456" {
				t.Error("the password was decoded with the secret that did not sign")
			}
		}
	})
}

func TestPacketUnderNeitherSecretIsNotDecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := rotating(t, "allow")
		const neither = "another shared secret"
		if b.answersUnder(neither, packetsUnder(neither, true).login("alice", "1234123456")) || b.counts.of(DropSignature) != 1 {
			t.Errorf("a signed login was answered; drops are %v", b.counts.dropped)
		}
		unsigned := packetsUnder(neither, false).login("alice", strings1234(100))
		if b.answersUnder(newSecret, unsigned) || b.counts.of(DropPassword) != 1 {
			t.Errorf("an unsigned login was answered; drops are %v", b.counts.dropped)
		}
		if len(b.node.Attempts()) != 0 || len(b.findings) != 0 {
			t.Error("the node was asked")
		}
	})
}

// TestFirstUseOfTheNewSecretEndsTheOldOne: any packet that proves the secret
// counts, and no other.
func TestFirstUseOfTheNewSecretEndsTheOldOne(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := rotating(t, "allow")
				b.answersUnder(oldSecret, kind.make(oldSecret))
				b.recordAll()
				pass(freshFor)
				if !b.answersUnder(oldSecret, kind.make(oldSecret)) {
					t.Fatal("use of the old secret ended it")
				}
				b.answersUnder(newSecret, kind.make(newSecret))
				b.recordAll()
				pass(freshFor)
				signed := packetsUnder(oldSecret, true).login("alice", "1234123456")
				if got := b.answersUnder(oldSecret, signed); got == kind.proves {
					t.Errorf("the old secret is valid: %v", got)
				}
				client := b.node.State().Client("vpn")
				if (client.OldSecret == nil) != kind.proves {
					t.Errorf("the old secret is kept: %v", client.OldSecret != nil)
				}
			})
		})
	}
}

func TestOnePacketCanShowTwoThings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := rotating(t, "auto")
		b.answersUnder(newSecret, packetsUnder(newSecret, true).login("alice", "1234123456"))
		b.recordAll()
		client := b.node.State().Client("vpn")
		if len(client.Signed) != 1 || client.Seen.IsZero() {
			t.Errorf("recorded: signed %v, seen %v", client.Signed, client.Seen)
		}
	})
}

func TestFirstUseIsReportedOnceAndAgainUntilItIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := rotating(t, "allow")
		b.node.Execute = func(engine.Command) error { return engine.ErrUndecided }
		login := func() {
			b.answersUnder(newSecret, packetsUnder(newSecret, true).login("alice", "1234123456"))
		}
		for range 5 {
			login()
		}
		if len(b.findings) != 1 {
			t.Fatalf("%d reports of one use", len(b.findings))
		}
		b.recordAll()
		pass(reportAgain)
		login()
		b.recordAll()
		want := engine.RecordSecretSeen{Client: "vpn", Revision: 1, Address: "192.0.2.1"}
		if diff := cmp.Diff([]engine.Command{want, want}, b.node.Commands()); diff != "" {
			t.Errorf("commands (-want +got):\n%s", diff)
		}
		if !b.answersUnder(oldSecret, packetsUnder(oldSecret, true).login("alice", "1234123456")) {
			t.Error("the old secret ended although nothing was recorded")
		}
	})
}

func TestOldSecretEndsInTime(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := rotating(t, "allow")
				pass(overlap - freshFor - time.Millisecond)
				if !b.answersUnder(oldSecret, kind.make(oldSecret)) {
					t.Fatal("the old secret ended too soon")
				}
				pass(time.Millisecond)
				if b.answersUnder(oldSecret, kind.make(oldSecret)) {
					t.Error("the old secret is valid beyond its time")
				}
				if b.counts.of(DropOldSecret) != 1 || !strings.Contains(b.log.String(), messages[DropOldSecret]) {
					t.Errorf("drops are %v; log:\n%s", b.counts.dropped, b.log)
				}
				if !b.answersUnder(newSecret, kind.make(newSecret)) {
					t.Error("the new secret is not valid")
				}
			})
		})
	}
}

func TestWithoutOverlapTheOldSecretEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := rotating(t, "allow")
		b.rotate(0)
		if b.answersUnder(oldSecret, packetsUnder(oldSecret, true).login("alice", "1234123456")) {
			t.Error("the old secret is valid")
		}
		if b.counts.of(DropSignature) != 1 {
			t.Errorf("drops are %v", b.counts.dropped)
		}
		if !b.answersUnder(newSecret, packetsUnder(newSecret, true).login("alice", "1234123456")) {
			t.Error("the new secret is not valid")
		}
	})
}

// TestNodeThatIsNotReadyRefusesTheOldSecret: the secret may have ended without
// the node knowing.
func TestNodeThatIsNotReadyRefusesTheOldSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := rotating(t, "allow")
		b.node.notReady = errors.New("no leader")
		for _, signed := range []bool{true, false} {
			if b.answersUnder(oldSecret, packetsUnder(oldSecret, signed).login("alice", "1234123456")) {
				t.Errorf("signed %v: the old secret is valid", signed)
			}
		}
		if b.counts.of(DropNotReady) != 2 || len(b.node.Attempts()) != 0 {
			t.Errorf("drops are %v, attempts %d", b.counts.dropped, len(b.node.Attempts()))
		}
		if !b.answersUnder(newSecret, packetsUnder(newSecret, true).login("alice", "1234123456")) {
			t.Error("the new secret is not valid")
		}
		if b.rooms.waiting() != 0 {
			t.Error("a request was not released")
		}
	})
}

// TestRandomPasswordsAreNotText: findSecretByPassword relies on it. About one in
// 370,000 is text.
func TestRandomPasswordsAreNotText(t *testing.T) {
	r := &request{packet: newPackets(false).login("alice", "1")}
	secret := newSharedSecret(newSecret)
	hidden := make([]byte, authenticatorLength)
	r.fields.password = hidden
	texts := 0
	for range 100_000 {
		if _, err := rand.Read(hidden); err != nil {
			t.Fatal(err)
		}
		if opens(r, secret) {
			texts++
		}
	}
	if texts > 5 {
		t.Errorf("%d of 100,000 are text", texts)
	}
}

func TestAddressThatSignedMustSignAfterARotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := rotating(t, "auto")
		b.answersUnder(oldSecret, packetsUnder(oldSecret, true).login("alice", "1234123456"))
		b.rotate(overlap)
		for _, secret := range []engine.Secret{oldSecret, newSecret} {
			if b.answersUnder(secret, packetsUnder(secret, false).login("alice", "1234123456")) {
				t.Errorf("unsigned under %q: answered", secret.Reveal())
			}
		}
		if b.counts.of(DropStripped) != 2 {
			t.Errorf("drops are %v", b.counts.dropped)
		}
	})
}

func TestRetransmissionIsAnsweredAfterTheOldSecretEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := rotating(t, "allow")
		unsigned := packetsUnder(oldSecret, false).login("alice", "1234123456")
		if !b.answersUnder(oldSecret, unsigned) {
			t.Fatal("no answer")
		}
		other := packetsUnder(newSecret, true)
		other.id = 100
		b.answersUnder(newSecret, other.login("bob", "1234123456"))
		b.recordAll()
		pass(freshFor)
		if !b.answersUnder(oldSecret, unsigned) || len(b.node.Attempts()) != 2 {
			t.Error("the retransmission was not answered as before")
		}
	})
}
