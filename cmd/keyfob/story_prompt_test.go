package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// issue makes a user with a software token, as an administrator does.
func (l *lab) issue(t *testing.T, user string, args ...string) *fob {
	t.Helper()
	l.admin(t, "user", "add", user)
	var s sample
	out := l.admin(t, append([]string{"token", "issue", user, "-o", "json"}, args...)...)
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatalf("reading what token issue says: %v\n%s", err, out)
	}
	return &fob{lab: l, sample: s}
}

// isAskedAtThePrompt: where the VPN can ask, openconnect shows keyfob's words
// at its prompt, and New PIN and Next Tokencode mode are done there.
func (l *lab) isAskedAtThePrompt(t *testing.T, g *gateway) {
	heidi := l.issue(t, "heidi")
	t.Run("new PIN", func(t *testing.T) {
		d := g.converse(t, "heidi", heidi.tokencode(t))
		d.asks("Enter a new PIN having from 4 to 8 digits:")
		d.say("739164")
		d.asks("Please re-enter new PIN:")
		d.say("739164")
		d.asks("PIN Accepted. Wait for the token code to change, then enter the new passcode:")
		heidi.PIN = "739164"
		d.say(heidi.passcode(t))
		d.isIn()
	})
	t.Run("next tokencode", func(t *testing.T) {
		l.admin(t, "token", "next-tokencode", heidi.Serial)
		d := g.converse(t, "heidi", heidi.passcode(t))
		d.asks("Wait for token to change, then enter the new tokencode:")
		d.say(heidi.tokencode(t))
		d.isIn()
	})
}

// dialogue is openconnect with a user at its prompt.
type dialogue struct {
	*process
	t     *testing.T
	g     *gateway
	stdin io.WriteCloser
}

// converse connects, and types the first answer.
func (g *gateway) converse(t *testing.T, user, first string) *dialogue {
	t.Helper()
	if err := g.ping(t.Context()); err == nil {
		t.Fatalf("%s can be reached without a tunnel", g.Inside())
	}
	r, w := io.Pipe()
	d := &dialogue{t: t, g: g, stdin: w}
	t.Cleanup(func() { _ = w.Close() })
	d.process = g.openconnect(t, user, r)
	d.say(first)
	return d
}

// say types an answer.
func (d *dialogue) say(answer string) {
	d.t.Helper()
	if _, err := fmt.Fprintln(d.stdin, answer); err != nil {
		d.t.Fatalf("typing: %v\n%s", err, d.output())
	}
}

// asks waits until openconnect has shown a question.
func (d *dialogue) asks(question string) {
	d.t.Helper()
	eventually(d.t, "the question "+question, func() error {
		if d.ended() {
			d.t.Fatalf("openconnect ended:\n%s", d.output())
		}
		if !strings.Contains(d.output(), question) {
			return fmt.Errorf("openconnect said:\n%s", d.output())
		}
		return nil
	})
}

// isIn waits until a packet crosses the tunnel, and hangs up.
func (d *dialogue) isIn() {
	d.t.Helper()
	defer d.stop()
	d.g.carries(d.t, d.process)
}

// isAskedByRadclient: the same with nothing but RADIUS; the test carries the
// State from answer to answer. carol's PIN is made for her.
func (l *lab) isAskedByRadclient(t *testing.T, f *fob) {
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

// radiusAnswer is what radclient shows of an answer.
type radiusAnswer struct{ code, message, state string }

// challenges holds an answer to being a challenge in certain words.
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

// radclient asks a node with FreeRADIUS's client, from an address whose dialect
// is rsa.
func (l *lab) radclient(t *testing.T, n devNodeInfo, user, typed, state string) radiusAnswer {
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

// authenticate asks a node's API about a login, as an application does.
func (l *lab) authenticate(t *testing.T, n devNodeInfo, user, passcode string) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"user": user, "passcode": passcode, "no_challenge": true})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.API+"/api/v1/authenticate", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+l.APIToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := l.client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Result string `json:"result"`
		Title  string `json:"title"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v %s", resp.Status, err, answer.Title)
	}
	return answer.Result
}
