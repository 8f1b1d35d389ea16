package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"keyfob/cmd/keyfob/demo"
)

// issue adds a user and issues a software token, as an administrator does.
func (l *lab) issue(t *testing.T, user string, args ...string) *device {
	t.Helper()
	l.admin(t, "user", "add", user)
	var s demo.Sample
	out := l.admin(t, append([]string{"token", "issue", user, "-o", "json"}, args...)...)
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatalf("reading what token issue says: %v\n%s", err, out)
	}
	return &device{lab: l, Sample: s}
}

// isAskedAtThePrompt checks that openconnect shows the prompts of keyfob, and that
// New PIN and Next Tokencode mode are completed there.
func (l *lab) isAskedAtThePrompt(t *testing.T, g *gateway) {
	heidi := l.issue(t, "heidi")
	t.Run("new PIN", func(t *testing.T) {
		p := g.openconnect(t, "heidi", heidi.tokencode(t))
		p.asks(t, "Enter a new PIN having from 4 to 8 digits:")
		p.say(t, "739164")
		p.asks(t, "Please re-enter new PIN:")
		p.say(t, "739164")
		p.asks(t, "PIN Accepted. Wait for the token code to change, then enter the new passcode:")
		heidi.PIN = "739164"
		p.say(t, heidi.passcode(t))
		g.carries(t, p)
	})
	t.Run("next tokencode", func(t *testing.T) {
		l.admin(t, "token", "next-tokencode", heidi.Serial)
		p := g.openconnect(t, "heidi", heidi.passcode(t))
		p.asks(t, "Wait for token to change, then enter the new tokencode:")
		p.say(t, heidi.tokencode(t))
		g.carries(t, p)
	})
}

// isAskedByRadclient checks the same with RADIUS alone; the test passes the State
// from answer to answer. The PIN of carol is generated.
func (l *lab) isAskedByRadclient(t *testing.T, f *device) {
	n := l.Nodes[1]
	a := l.radclient(t, n, f.User, f.tokencode(t), "")
	a.challenges(t, "Are you prepared to accept a system-generated PIN (y/n)?")
	a = l.radclient(t, l.Nodes[2], f.User, "y", a.state) // another node takes the next step
	a.challenges(t, "Your new PIN is ")
	pin := regexp.MustCompile(`Your new PIN is (\d+)\. `).FindStringSubmatch(a.message)
	if pin == nil {
		t.Fatalf("no PIN in %q", a.message)
	}
	f.PIN = pin[1]
	// A tokencode that is entered too early is asked for again, in the same
	// conversation.
	a = l.radclient(t, n, f.User, f.PIN+f.used, a.state)
	a.challenges(t, "That tokencode was used already. ")
	used := a.state
	passcode := f.passcode(t)
	if a = l.radclient(t, n, f.User, passcode, used); a.code != "Access-Accept" {
		t.Fatalf("the new passcode: %s %q", a.code, a.message)
	}
	if a = l.radclient(t, l.Nodes[2], f.User, passcode, ""); a.code != "Access-Reject" {
		t.Errorf("the same passcode again: %s", a.code)
	}
	if a = l.radclient(t, l.Nodes[2], f.User, f.passcode(t), used); a.code != "Access-Reject" {
		t.Errorf("a conversation that is over: %s", a.code)
	}
}

// radiusAnswer is an answer as radclient shows it.
type radiusAnswer struct{ code, message, state string }

// challenges checks that an answer is a challenge with this message.
func (a radiusAnswer) challenges(t *testing.T, words string) {
	t.Helper()
	if a.code != "Access-Challenge" || !strings.Contains(a.message, words) || a.state == "" {
		t.Fatalf("%s %q with State %q: want a challenge, %q", a.code, a.message, a.state, words)
	}
}

var (
	receivedCode    = regexp.MustCompile(`Received (\S+) Id`)
	receivedMessage = regexp.MustCompile(`Reply-Message = "(.*)"`)
	receivedState   = regexp.MustCompile(`State = (0x[0-9a-f]+)`)
)

// radclient sends a request with the client of FreeRADIUS, from an address with the
// dialect rsa.
func (l *lab) radclient(t *testing.T, n demo.NodeInfo, user, typed, state string) radiusAnswer {
	t.Helper()
	request := fmt.Sprintf("User-Name = %q\nUser-Password = %q\nMessage-Authenticator = 0x00\n", user, typed)
	if state != "" {
		request += "State = " + state + "\n"
	}
	c := exec.CommandContext(t.Context(), "radclient", "-x", "-t", "5", "-r", "3", n.RADIUS, "auth", l.Secret)
	c.Stdin = strings.NewReader(request)
	out, err := c.CombinedOutput()
	_, answer, found := bytes.Cut(out, []byte("Received "))
	if !found {
		t.Fatalf("radclient: %v\n%s", err, out) // its status is 1 for a refusal too
	}
	answer = append([]byte("Received "), answer...)
	first := func(r *regexp.Regexp) string {
		if m := r.FindSubmatch(answer); m != nil {
			return string(m[1])
		}
		return ""
	}
	return radiusAnswer{code: first(receivedCode), message: first(receivedMessage), state: first(receivedState)}
}

// authenticate returns the result of a login at the API of a node.
func (l *lab) authenticate(t *testing.T, n demo.NodeInfo, user, passcode string) string {
	t.Helper()
	result, err := tryAuthenticate(t.Context(), l.api(t, n), user, passcode)
	if err != nil {
		t.Fatal(err)
	}
	return result
}
