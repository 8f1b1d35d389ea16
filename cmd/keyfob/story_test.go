package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyfob/cmd/keyfob/demo"
	"keyfob/webui/browsertest"
)

// TestTheStory covers the use of keyfob with real programs: a cluster of three
// processes, VPN gateways (ocserv) that are RADIUS clients, users with openconnect,
// Chromium and tokens, and an auditor at the audit stream. Users wait until real
// tokencodes change; independent users wait in parallel.
func TestTheStory(t *testing.T) {
	needMachine(t, append(vpnPrograms, "chromium", "radclient")...)
	l := startLab(t)
	n1, n2, n3 := l.node("n1"), l.node("n2"), l.node("n3")
	l.transfer(t, n1)
	cable(t, gatewayAddr, outside, usersAddr)
	browser := startBrowser(t)
	auditor := l.audit(t)

	headquarters := l.newGateway(t, 1, "nochallenge")
	branch := l.newGateway(t, 2, "nochallenge")
	warehouse := l.newGateway(t, 3, "nochallenge")
	modern := l.newGateway(t, 4, "rsa")
	alice := l.fob(t, "alice")

	t.Run("users", func(t *testing.T) {
		t.Run("alice", func(t *testing.T) {
			t.Parallel()
			allDay := t
			stop := headquarters.asks(allDay, n1, n2)
			t.Run("1 a new token is refused, and the refusal names the page", func(t *testing.T) {
				said := headquarters.refuses(t, "alice", alice.tokencode(t))
				if !strings.Contains(said, "Access denied.") || !strings.Contains(said, n1.Web) {
					t.Errorf("openconnect showed no refusal with the page's address %s:\n%s", n1.Web, said)
				}
			})
			t.Run("2 the page on node 2 sets the PIN", func(t *testing.T) { l.setsPIN(t, browser, alice, n2) })
			t.Run("3 the gateway asks node 3 and accepts the user", func(t *testing.T) {
				stop()
				headquarters.asks(allDay, n3, n2)
				headquarters.letsIn(t, "alice", alice.passcode(t))
			})
			t.Run("4 guesses are refused, and the user ends Next Tokencode mode", func(t *testing.T) {
				l.isGuessedAt(t, browser, headquarters, alice, n1)
			})
		})
		t.Run("5 frank's slow clock", func(t *testing.T) {
			t.Parallel()
			branch.asks(t, n2, n3)
			l.isSlow(t, browser, branch, l.fob(t, "frank"), n3)
		})
		t.Run("a VPN that can ask", func(t *testing.T) {
			t.Parallel()
			modern.asks(t, n1, n2, n3)
			l.isAskedAtThePrompt(t, modern)
		})
		t.Run("radclient", func(t *testing.T) {
			t.Parallel()
			l.isAskedByRadclient(t, l.fob(t, "carol"))
		})
	})
	if t.Failed() {
		return
	}
	t.Run("6 the leader is killed between two steps", func(t *testing.T) {
		warehouse.asks(t, n1, n2, n3)
		l.losesTheLeader(t, browser, warehouse, l.fob(t, "grace"), alice)
	})
	t.Run("7 the auditor has read everything", func(t *testing.T) { l.isAudited(t, auditor) })
}

// setsPIN checks that a user in New PIN mode chooses a PIN on the page and logs in
// with it.
func (l *lab) setsPIN(t *testing.T, browser *browsertest.Browser, f *device, n demo.NodeInfo) {
	v := visit(t, browser, f.User, n)
	v.signIn(f.User, f.tokencode(t))
	v.at("/pin", "Choose your PIN")
	v.choosePIN("584213")
	v.at("/login", "Sign in with your new PIN")
	f.PIN = "584213"
	v.answer("#passcode", f.passcode(t))
	v.at("/done", configured)
}

// isGuessedAt checks that a passcode is valid once, that three guesses put the token
// into Next Tokencode mode, and that the page ends the mode.
func (l *lab) isGuessedAt(t *testing.T, browser *browsertest.Browser, g *gateway, f *device, n demo.NodeInfo) {
	spent := f.PIN + f.used
	g.refuses(t, f.User, spent)
	v := visit(t, browser, f.User+"-spent", n)
	v.signIn(f.User, spent)
	v.at("/", "Set up your token")
	for _, guess := range []string{"000000000000", "111111111111", "222222222222"} {
		g.refuses(t, f.User, guess)
	}
	said := g.refuses(t, f.User, f.passcode(t))
	if !strings.Contains(said, l.Nodes[0].Web) && !strings.Contains(said, l.Nodes[2].Web) {
		t.Errorf("the refusal names no page:\n%s", said)
	}

	v = visit(t, browser, f.User+"-guessed", n)
	v.signIn(f.User, f.passcode(t))
	v.at("/next", "One more tokencode")
	v.answer("#tokencode", f.tokencode(t))
	v.at("/done", configured)
	g.letsIn(t, f.User, f.passcode(t))
}

// isSlow checks that a token whose drift exceeds the small window is refused by the
// VPN, resynchronized on the page, and then accepted.
func (l *lab) isSlow(t *testing.T, browser *browsertest.Browser, g *gateway, f *device, n demo.NodeInfo) {
	g.refuses(t, f.User, f.passcode(t))
	v := visit(t, browser, f.User, n)
	v.signIn(f.User, f.passcode(t))
	v.at("/next", "One more tokencode")
	v.answer("#tokencode", f.tokencode(t))
	v.at("/done", configured)
	g.letsIn(t, f.User, f.passcode(t))
}

// losesTheLeader checks that a user completes the pages although the leader dies in
// between, that used passcodes are refused, and that the VPN, which asks the dead
// node first, accepts the user.
func (l *lab) losesTheLeader(t *testing.T, browser *browsertest.Browser, g *gateway, f, other *device) {
	l.transfer(t, l.Nodes[0])
	spent := map[string]string{other.User: other.PIN + other.used}
	v := visit(t, browser, f.User, l.Nodes...)
	spent[f.User] = f.passcode(t)
	v.signIn(f.User, spent[f.User])
	v.at("/next", "One more tokencode")
	l.kill(l.Nodes[0])
	v.answer("#tokencode", f.tokencode(t))
	v.at("/done", configured)

	for _, n := range l.Nodes[1:] {
		for user, passcode := range spent {
			if result := l.authenticate(t, n, user, passcode); result != "reject" {
				t.Errorf("%s's spent passcode at node %s after the leader was lost: %s", user, n.Name, result)
			}
		}
	}
	g.letsIn(t, f.User, f.passcode(t))
}

// isAudited checks that the stream has all events, in order and without a gap (which
// the auditor checks), and no secret.
func (l *lab) isAudited(t *testing.T, a *auditor) {
	for _, about := range []string{
		"auth.challenged alice", "token.pin_set alice", "auth.accepted alice",
		"auth.rejected alice", "user.failure_counted alice", "token.next_tokencode_required alice", "user.failures_reset alice",
		"token.drift_adjusted frank", "auth.accepted frank",
		"token.pin_set carol", "auth.accepted grace",
		"cluster.node_lost", "cluster.leader_changed",
	} {
		a.expect(t, about)
	}
	l.hides(t, "the audit stream", a.text())
	for _, n := range l.Nodes {
		b, err := os.ReadFile(filepath.Join(n.Dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		l.hides(t, "the log of node "+n.Name, b)
	}
	t.Logf("%d records, whole", len(a.read(t)))
}
