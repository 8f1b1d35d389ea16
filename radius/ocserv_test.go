package radius

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// TestUserSetsPINThroughARealVPN logs in with openconnect at ocserv, which uses
// radcli: a New PIN conversation of three steps, with text that only the user
// sees. The first node stops answering after the first step, so that ocserv
// brings the State to the second.
func TestUserSetsPINThroughARealVPN(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"ocserv", "openconnect"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is missing (Debian: ocserv, openconnect)", program)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("ocserv needs root")
	}
	node := newFakeNode(loopback("rsa", "auto"))
	silent := newFakeNode(loopback("rsa", "auto"))
	const state = "c2VhbGVkLWFuZC1wcmludGFibGUtbGlrZS1hLXRpY2tldC10aGF0LXRyYXZlbHMtd2l0aC10aGUtY2xpZW50_-"
	silent.Decide = func(a engine.Attempt) (engine.Outcome, error) {
		if a.Conversation == "" && a.Typed == "123456" {
			return engine.Outcome{Verdict: engine.Challenge, Conversation: state, Prompt: engine.Prompt{Step: events.StepNewPIN, Rules: digits}}, nil
		}
		return engine.Outcome{}, engine.ErrUndecided
	}
	node.Decide = func(a engine.Attempt) (engine.Outcome, error) {
		switch {
		case a.Conversation == state && a.Typed == "4321":
			return engine.Outcome{Verdict: engine.Challenge, Conversation: "again", Prompt: engine.Prompt{Step: events.StepConfirmPIN}}, nil
		case a.Conversation == "again" && a.Typed == "4321":
			return engine.Outcome{Verdict: engine.Challenge, Conversation: "login", Prompt: engine.Prompt{Step: events.StepLogin}}, nil
		case a.Conversation == "login" && a.Typed == "4321654321":
			return engine.Outcome{Verdict: engine.Accept}, nil
		default:
			return engine.Outcome{}, nil
		}
	}
	first := start(t, silent, nil)
	second := start(t, node, func(c *Config) { c.Listen = []string{"127.0.0.2:0"} }) // radcli tells nodes apart by address
	gateway := startOcserv(t, first.Addr(), second.Addr())
	out, err := gateway.login(t, "nancy", "123456", "4321", "4321", "4321654321")
	if err != nil || !strings.Contains(out, "COOKIE=") {
		t.Fatalf("login failed, %v:\n%s", err, out)
	}
	for _, words := range []string{
		"Enter a new PIN having from 4 to 8 digits:", "Please re-enter new PIN:",
		"PIN Accepted. Wait for the token code to change, then enter the new passcode:",
	} {
		if !strings.Contains(out, words) {
			t.Errorf("openconnect does not show %q:\n%s", words, out)
		}
	}
	if got := node.Attempts()[0].Origin; got.SourceIP != "127.0.0.1" || got.Client != "loopback" {
		t.Errorf("origin is %+v", got)
	}
}

// ocserv runs a VPN gateway until the test ends.
type ocserv struct {
	address string
	ca      string
}

func startOcserv(t *testing.T, nodes ...netip.AddrPort) *ocserv {
	t.Helper()
	dir, a := t.TempDir(), newAuthority(t)
	certificate := a.issue(t, "gateway", "localhost")
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	var servers, secrets []string
	for _, n := range nodes {
		servers = append(servers, n.String())
		secrets = append(secrets, n.Addr().String()+" "+testSecret.Reveal())
	}
	for name, content := range map[string]string{
		"ca.crt":     string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})),
		"server.crt": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Leaf.Raw})),
		"server.key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		"servers":    strings.Join(secrets, "\n") + "\n",
		"radcli.conf": fmt.Sprintf("nas-identifier test\nauthserver %[1]s\nacctserver %[1]s\nservers %[2]s/servers\n"+
			"dictionary /etc/radcli/dictionary\ndefault_realm\nradius_timeout 1\nradius_retries 1\nbindaddr *\n",
			strings.Join(servers, ","), dir),
		"ocserv.conf": fmt.Sprintf(`auth = "radius[config=%[1]s/radcli.conf,groupconfig=true]"
listen-host = 127.0.0.1
tcp-port = %[2]d
run-as-user = root
run-as-group = root
socket-file = %[1]s/ocserv.sock
isolate-workers = false
server-cert = %[1]s/server.crt
server-key = %[1]s/server.key
auth-timeout = 60
max-ban-score = 0
device = keyfobtest
ipv4-network = 192.168.88.0/24
cisco-client-compat = true
`, dir, port),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log := &strings.Builder{}
	cmd := exec.CommandContext(t.Context(), "ocserv", "-f", "-d", "2", "-c", filepath.Join(dir, "ocserv.conf")) //nolint:gosec // a test
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("ocserv:\n%s", log)
		}
	})
	g := &ocserv{address: fmt.Sprintf("localhost:%d", port), ca: filepath.Join(dir, "ca.crt")}
	until(t, func() bool {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return g
}

// login answers the questions of openconnect line by line and returns its
// output.
func (g *ocserv) login(t *testing.T, user string, answers ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "openconnect", "--authenticate", "--protocol=anyconnect", "--passwd-on-stdin", //nolint:gosec // a test
		"--cafile="+g.ca, "--user="+user, "https://"+g.address+"/")
	cmd.Stdin = strings.NewReader(strings.Join(answers, "\n") + "\n")
	out, err := cmd.CombinedOutput()
	return string(out), err
}
