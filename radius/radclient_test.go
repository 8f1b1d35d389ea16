package radius

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// radclient runs FreeRADIUS's client, which checks the response, and returns its
// output.
func radclient(t *testing.T, server netip.AddrPort, command string, attributes ...string) string {
	t.Helper()
	return radclientWith(t, testSecret, server, command, attributes...)
}

func radclientWith(t *testing.T, secret engine.Secret, server netip.AddrPort, command string, attributes ...string) string {
	t.Helper()
	path, err := exec.LookPath("radclient")
	if err != nil {
		t.Skip("radclient is missing (Debian: freeradius-utils)")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-x", "-r", "2", "-t", "0.7", server.String(), command, secret.Reveal()) //nolint:gosec // a test
	cmd.Stdin = strings.NewReader(strings.Join(attributes, "\n") + "\n")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out)
}

const signed = "Message-Authenticator = 0x00"

func TestRadclientUnderstandsTheServer(t *testing.T) {
	t.Parallel()
	node := newFakeNode(loopback("rsa", "allow"))
	node.Decide = func(a engine.Attempt) (engine.Outcome, error) {
		switch {
		case a.User == "alice" && a.Typed == "1234123456":
			return engine.Outcome{Verdict: engine.Accept}, nil
		case a.User == "nick" && a.Conversation == "":
			return engine.Outcome{
				Verdict: engine.Challenge, Conversation: "c2VhbGVk",
				Prompt: engine.Prompt{Step: events.StepNextTokencode, Expires: time.Now().Add(time.Minute)},
			}, nil
		case a.User == "nick" && a.Conversation == "c2VhbGVk" && a.Typed == "654321":
			return engine.Outcome{Verdict: engine.Accept}, nil
		case a.User == "nick" && a.Conversation == "c2VhbGVk" && a.Typed == "123456":
			return engine.Outcome{
				Conversation: "bmV4dA",
				Prompt:       engine.Prompt{Step: events.StepNextTokencode, Problem: engine.ProblemReused, Expires: time.Now().Add(time.Minute)},
			}, nil
		case a.User == "nobody":
			return engine.Outcome{}, engine.ErrUndecided
		default:
			return engine.Outcome{}, nil
		}
	}
	s := start(t, node, nil)
	for _, tc := range []struct {
		name       string
		command    string
		attributes []string
		want       []string
	}{
		{"accept", "auth", []string{"User-Name = alice", "User-Password = 1234123456"}, []string{"Received Access-Accept"}},
		{"accept, signed", "auth", []string{"User-Name = alice", "User-Password = 1234123456", signed}, []string{"Received Access-Accept"}},
		{"accept, proxied", "auth", []string{"User-Name = alice", "User-Password = 1234123456", signed, "Proxy-State = 0x3137"}, []string{"Received Access-Accept", "Proxy-State = 0x3137"}},
		{"reject", "auth", []string{"User-Name = alice", "User-Password = 0", signed}, []string{"Received Access-Reject", `Reply-Message = "Access denied"`}},
		{"reject CHAP", "auth", []string{"User-Name = alice", "CHAP-Password = 1234123456", signed}, []string{"Received Access-Reject", `Reply-Message = "Access denied"`}},
		{"challenge", "auth", []string{"User-Name = nick", "User-Password = 1234123456"}, []string{
			"Received Access-Challenge", "State = 0x633256686247566b", "Prompt = No-Echo", "Session-Timeout = ",
			`Reply-Message = "Wait for token to change, then enter the new tokencode:"`,
		}},
		{"answer to a challenge", "auth", []string{"User-Name = nick", "User-Password = 654321", "State = 0x633256686247566b"}, []string{"Received Access-Accept"}},
		{"answer typed too early", "auth", []string{"User-Name = nick", "User-Password = 123456", "State = 0x633256686247566b"}, []string{
			"Received Access-Challenge", "State = 0x626d56346441", "Prompt = No-Echo",
			`Reply-Message = "That tokencode was used already. Wait for token to change, then enter the new tokencode:"`,
		}},
		{"wrong answer that ends the conversation", "auth", []string{"User-Name = nick", "User-Password = 000000", "State = 0x633256686247566b"}, []string{
			"Received Access-Reject", `Reply-Message = "Access denied"`,
		}},
		{"undecided", "auth", []string{"User-Name = nobody", "User-Password = 1", signed}, []string{"No reply from server"}},
		{"status", "status", []string{signed}, []string{"Received Access-Accept"}},
		{"accounting", "acct", []string{"Acct-Status-Type = Start", "Acct-Session-Id = 1"}, []string{"Received Accounting-Response"}},
		{"accounting, signed", "acct", []string{"Acct-Status-Type = Start", "Acct-Session-Id = 1", signed}, []string{"Received Accounting-Response"}},
		{"status of accounting", "status", []string{signed}, []string{"Received Accounting-Response"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			address := s.Addr()
			if strings.Contains(tc.name, "accounting") {
				address = s.AccountingAddr()
			}
			out := radclient(t, address, tc.command, tc.attributes...)
			for _, want := range tc.want {
				if !strings.Contains(out, want) {
					t.Errorf("radclient does not say %q:\n%s", want, out)
				}
			}
			_, received, answered := strings.Cut(out, "Received ")
			want := 1
			if tc.name == "accounting" {
				want = 0
			}
			if answered && strings.Count(received, "Message-Authenticator = ") != want {
				t.Errorf("radclient does not see %d Message-Authenticators:\n%s", want, out)
			}
		})
	}
}

func TestRadclientMustFollowThePolicy(t *testing.T) {
	t.Parallel()
	login := []string{"User-Name = alice", "User-Password = 1234123456"}
	with := func(more ...string) []string { return append(login[:2:2], more...) }
	const accepted, dropped = "Received Access-Accept", "No reply from server"
	for policy, steps := range map[string][]struct {
		attributes []string
		want       string
	}{
		"require": {{login, dropped}, {with(signed), accepted}},
		"allow":   {{login, accepted}, {with(signed), accepted}, {login, accepted}, {with("Proxy-State = 0x31"), dropped}},
		"auto":    {{login, accepted}, {with("Proxy-State = 0x31"), dropped}, {with(signed), accepted}, {login, dropped}},
	} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			s := start(t, newFakeNode(loopback("rsa", policy)), nil)
			for i, step := range steps {
				if out := radclient(t, s.Addr(), "auth", step.attributes...); !strings.Contains(out, step.want) {
					t.Errorf("step %d: radclient does not say %q:\n%s", i, step.want, out)
				}
			}
		})
	}
}

func TestRadclientRetransmitsUntilTheClusterDecides(t *testing.T) {
	t.Parallel()
	node := newFakeNode(loopback("rsa", "auto"))
	accept := node.Decide
	tries := 0
	node.Decide = func(a engine.Attempt) (engine.Outcome, error) {
		if tries++; tries == 1 {
			return engine.Outcome{}, fmt.Errorf("electing: %w", engine.ErrUndecided)
		}
		return accept(a)
	}
	s := start(t, node, func(c *Config) { c.Workers = 1 })
	out := radclient(t, s.Addr(), "auth", "User-Name = alice", "User-Password = 1234123456", signed)
	if !strings.Contains(out, "Received Access-Accept") {
		t.Errorf("no accept:\n%s", out)
	}
	if a := node.Attempts(); len(a) != 2 || a[0].Origin.Request != a[1].Origin.Request {
		t.Errorf("%d attempts, not one request", len(a))
	}
}

// TestRadclientRotatesItsSecret: radclient accepts only a response that is signed
// with the secret that it used.
func TestRadclientRotatesItsSecret(t *testing.T) {
	t.Parallel()
	node := newFakeNode(loopback("rsa", "allow"))
	s := start(t, node, nil)
	login := []string{"User-Name = alice", "User-Password = 1234123456"}
	packets := []struct {
		name       string
		command    string
		attributes []string
		want       string
	}{
		{"unsigned", "auth", login, "Received Access-Accept"},
		{"signed", "auth", append(login[:2:2], signed), "Received Access-Accept"},
		{"refused", "auth", []string{"User-Name = alice", "User-Password = 0"}, "Received Access-Reject"},
		{"status", "status", []string{signed}, "Received Access-Accept"},
	}
	try := func(when string, secret engine.Secret, valid bool) {
		t.Helper()
		for _, p := range packets {
			out := radclientWith(t, secret, s.Addr(), p.command, p.attributes...)
			if strings.Contains(out, p.want) != valid || strings.Contains(out, "Received") && strings.Contains(out, "verification failed") {
				t.Errorf("%s, %s under %q: want an answer: %v\n%s", when, p.name, secret.Reveal(), valid, out)
			}
		}
		accounting := radclientWith(t, secret, s.AccountingAddr(), "acct", "Acct-Status-Type = Start", "Acct-Session-Id = 1")
		if strings.Contains(accounting, "Received Accounting-Response") != valid {
			t.Errorf("%s, accounting under %q: want an answer: %v\n%s", when, secret.Reveal(), valid, accounting)
		}
	}
	try("before", oldSecret, true)
	node.applyAt(events.At(time.Now()), events.ClientSecretRotated{
		Client: "loopback", Sealed: []byte(newSecret.Reveal()), Revision: 1, OldUntil: events.At(time.Now().Add(overlap)),
	})
	until(t, func() bool {
		c, ok := s.clients.lookup(netip.MustParseAddr("127.0.0.1"), time.Now())
		return ok && c.awaited
	})
	try("during the overlap", oldSecret, true)
	if node.State().Client("loopback").Seen != 0 {
		t.Fatal("the new secret counts as seen")
	}
	try("during the overlap", newSecret, true)
	until(t, func() bool {
		c, ok := s.clients.lookup(netip.MustParseAddr("127.0.0.1"), time.Now())
		return ok && !c.awaited
	})
	try("after the first use of the new one", newSecret, true)
	packets = packets[1:2]
	try("after the first use of the new one", oldSecret, false)
}
