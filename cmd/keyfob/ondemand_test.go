package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"keyfob/api"
	"keyfob/cluster/delivery/mailtest"
	"keyfob/cmd/keyfob/demo"
	"keyfob/cmd/keyfob/node"
)

// TestTokencodeOnDemandReachesItsUser covers the whole path: an administrator adds
// a token for olga, a VPN sends the PIN to the node, a mail server receives the
// tokencode, and the user enters it.
func TestTokencodeOnDemandReachesItsUser(t *testing.T) {
	needPrograms(t, "radclient")
	server := mailtest.Start(t, mailtest.StartTLS)
	n := startMailingNode(t, server)
	n.admin("user", "add", "olga")
	n.admin("policy", "set", "ondemand.per_hour=2")
	var made api.TemporaryPIN
	n.decode(&made, "token", "add", "--kind", "ondemand", "--user", "olga", "--mail", "olga@example.com", "--pin-temporary", "-o", "json")
	if shown := n.admin("token", "show", made.Serial, "-o", "json"); strings.Contains(string(shown), "example.com") {
		t.Errorf("the address is shown again: %s", shown)
	}

	const sent = "Enter the tokencode that was sent to you:"
	a := n.login("olga", made.PIN, "")
	a.challenges(t, sent)
	first := n.letter(server, 1)
	a = n.login("olga", first, a.state)
	a.challenges(t, "Enter a new PIN")
	a = n.login("olga", "806317", a.state)
	a.challenges(t, "Please re-enter new PIN:")
	a = n.login("olga", "806317", a.state)
	a.challenges(t, "Enter your new PIN alone, and a tokencode will be sent to you:")
	a = n.login("olga", "806317", a.state)
	a.challenges(t, sent)
	second := n.letter(server, 2, first)
	if in := n.login("olga", second, a.state); in.code != "Access-Accept" {
		t.Fatalf("the tokencode that was sent: %s %q", in.code, in.message)
	}
	for name, again := range map[string]radiusAnswer{
		"the same tokencode again": n.login("olga", second, a.state),
		"a third in an hour":       n.login("olga", "806317", ""),
	} {
		if again.code != "Access-Reject" {
			t.Errorf("%s: %s %q", name, again.code, again.message)
		}
	}
	n.stop()
	if letters := server.Letters(t); len(letters) != 2 {
		t.Errorf("%d mails arrived, want 2", len(letters))
	}
	for _, secret := range []string{first, second, "olga@", mailtest.Password, made.PIN} {
		if strings.Contains(n.logged(), secret) {
			t.Errorf("the log tells %q:\n%s", secret, n.logged())
		}
	}
	if lines := strings.Count(n.logged(), "tokencode sent"); lines != 2 {
		t.Errorf("%d mails are logged:\n%s", lines, n.logged())
	}
}

// mailingNode is a single node that can send mail.
type mailingNode struct {
	lab
	process *exec.Cmd
	info    demo.NodeInfo
}

func startMailingNode(t *testing.T, server *mailtest.Server) *mailingNode {
	t.Helper()
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir, base := t.TempDir(), freeBase(t)
	n := &mailingNode{info: demo.NodeInfo{Name: "n1", Dir: filepath.Join(dir, "data"), RADIUS: demo.Loopback(base)}}
	n.lab = lab{t: t, program: program, Info: demo.Info{Secret: "a secret of the test"}}

	c := node.DefaultConfig()
	c.Node, c.Data, c.Cluster.Listen = "n1", n.info.Dir, demo.Loopback(base+1)
	c.Web.Listen, c.Admin.Listen = demo.Loopback(base+2), demo.Loopback(base+3)
	c.RADIUS = node.RADIUSConfig{Listen: n.info.RADIUS, Acct: "off", RadSec: node.Off}
	c.NATS.Embedded.Listen, c.Metrics.Listen = "off", node.Off
	mail := &c.OnDemand.SMTP
	mail.Host, mail.Port, mail.CA, mail.From = "localhost", strconv.Itoa(server.Port), server.CA, "noreply@example.com"
	mail.User, mail.PasswordFile = mailtest.User, filepath.Join(dir, "password")
	config, secret := filepath.Join(dir, "keyfob.yaml"), filepath.Join(dir, "secret")
	for name, text := range map[string]string{
		config: node.WriteConfig(&c), mail.PasswordFile: mailtest.Password + "\n", secret: n.Secret,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n.command("cluster", "init", "--config", config)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	n.process = exec.Command(program, "server", "--config", config) //nolint:noctx // stop ends it
	n.process.Stdout, n.process.Stderr = log, log
	if err := n.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.stop)
	eventually(t, "a node that leads", func() error {
		status, err := n.status(t.Context(), n.info)
		if err == nil && status.Leader == "" {
			err = errors.New("no leader")
		}
		return err
	})
	n.admin("client", "add", "vpn", "127.0.0.1", "--secret-file", secret)
	return n
}

// command runs keyfob and returns its standard output.
func (n *mailingNode) command(args ...string) []byte {
	n.t.Helper()
	out, err := exec.CommandContext(n.t.Context(), n.program, args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		n.t.Fatalf("keyfob %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// admin runs a command through the socket of the node.
func (n *mailingNode) admin(args ...string) []byte {
	n.t.Helper()
	return n.command(append(args, "--data", n.info.Dir)...)
}

func (n *mailingNode) decode(v any, args ...string) {
	n.t.Helper()
	if err := json.Unmarshal(n.admin(args...), v); err != nil {
		n.t.Fatal(err)
	}
}

func (n *mailingNode) login(user, typed, state string) radiusAnswer {
	n.t.Helper()
	return n.radclient(n.t, n.info, user, typed, state)
}

var mailedCode = regexp.MustCompile(`Your tokencode is ([0-9]{8})\n`)

// letter waits for a number of mails, and returns the tokencode of the new one.
func (n *mailingNode) letter(server *mailtest.Server, count int, known ...string) string {
	n.t.Helper()
	code := ""
	eventually(n.t, "a mail", func() error {
		letters := server.Letters(n.t)
		if len(letters) != count {
			return fmt.Errorf("%d mails, want %d", len(letters), count)
		}
		for _, letter := range letters {
			m := mailedCode.FindStringSubmatch(letter.Text)
			if m == nil || letter.Get("X-Rcptto") != "olga@example.com" {
				return fmt.Errorf("a strange mail to %q:\n%s", letter.Get("X-Rcptto"), letter.Text)
			}
			if !strings.Contains(strings.Join(known, " "), m[1]) {
				code = m[1]
			}
		}
		return nil
	})
	return code
}

// stop ends the node with SIGTERM.
func (n *mailingNode) stop() {
	if n.process.ProcessState != nil {
		return
	}
	_ = n.process.Process.Signal(syscall.SIGTERM)
	if err := n.process.Wait(); err != nil || n.t.Failed() {
		n.t.Errorf("node ended with %v\n%s", err, n.logged())
	}
}

func (n *mailingNode) logged() string {
	b, err := os.ReadFile(filepath.Join(filepath.Dir(n.info.Dir), "log"))
	if err != nil {
		n.t.Error(err)
	}
	return string(b)
}
