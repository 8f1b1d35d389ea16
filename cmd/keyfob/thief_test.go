package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"

	"keyfob/api"
	"keyfob/cluster/vault"
	"keyfob/cmd/keyfob/demo"
	"keyfob/engine"
	"keyfob/radius"
)

// loot is what a thief has taken from a cluster while it was valid.
type loot struct {
	disk     string // copy of the data directory of node n3
	backup   string
	token    string // an API token of role admin
	reader   string // credentials file of an audit reader
	secret   string // of the RADIUS client
	packet   []byte // an Access-Request that was accepted, as captured
	passcode string // in it
}

// raid is one thing that a thief tries. It returns what they gained, or an empty
// text.
type raid struct {
	with, what string
	try        func(t *testing.T) string
}

// TestThiefGainsNothing has a thief who once had a part of a cluster of three
// nodes: a node's disk, a backup, credentials, a captured packet. The owner has
// noticed and taken back what can be taken back. It prints a table of what the
// thief then tries; nothing of it may succeed. make thief runs it alone.
func TestThiefGainsNothing(t *testing.T) {
	l := startLab(t)
	stolen := l.steal(t)
	l.takeBack(t)
	var table strings.Builder
	raids := append(l.raidsWithLoot(stolen), l.raidsOfStrangers()...)
	for _, r := range raids {
		gained := r.try(t)
		result := "refused"
		if gained != "" {
			result = "GAINED: " + gained
			t.Errorf("with %s: %s: %s", r.with, r.what, gained)
		}
		fmt.Fprintf(&table, "%-28s %-62s %s\n", r.with, r.what, result)
	}
	t.Logf("\n%-28s %-62s %s\n%s", "A THIEF WITH", "TRIES TO", "RESULT", table.String())
	l.stillWorks(t)
}

// steal takes a copy of everything while it is valid.
func (l *lab) steal(t *testing.T) loot {
	t.Helper()
	dir := t.TempDir()
	s := loot{disk: filepath.Join(dir, "n3"), backup: filepath.Join(dir, "cluster.kfb"), secret: l.Secret}
	if out, err := exec.CommandContext(t.Context(), "cp", "-r", l.node("n3").Dir, s.disk).CombinedOutput(); err != nil {
		t.Fatalf("copying the disk of n3: %v\n%s", err, out)
	}
	l.run(t, "cluster", "backup", s.backup, "--data", l.node("n1").Dir)
	var issued api.IssuedAPIToken
	if err := json.Unmarshal(l.admin(t, "api-token", "issue", "stolen", "--role", "admin", "-o", "json"), &issued); err != nil {
		t.Fatal(err)
	}
	s.token = issued.Token
	s.reader = l.issueReader(t, "stolen")
	s.passcode = l.fob(t, "bob").passcode(t)
	s.packet = l.capture(t, "bob", s.passcode)
	return s
}

// capture logs in and returns the request as it was on the wire.
func (l *lab) capture(t *testing.T, user, passcode string) []byte {
	t.Helper()
	p := layeh.New(layeh.CodeAccessRequest, []byte(l.Secret))
	if err := errors.Join(rfc2865.UserName_SetString(p, user), rfc2865.UserPassword_SetString(p, passcode)); err != nil {
		t.Fatal(err)
	}
	packet, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if code := sendFrom(t, "127.0.0.1", l.node("n1").RADIUS, packet); code != radius.AccessAccept {
		t.Fatalf("the login that is captured: %v", code)
	}
	return packet
}

// sendFrom sends a packet from an address and returns the code of the response, 0
// for none.
func sendFrom(t *testing.T, from, to string, packet []byte) radius.Code {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.DialContext(t.Context(), "udp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
	if _, err := conn.Write(packet); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4096)
	if n, err := conn.Read(answer); err == nil && n > 0 {
		return radius.Code(answer[0])
	}
	return 0
}

// takeBack is what the owner does.
func (l *lab) takeBack(t *testing.T) {
	t.Helper()
	const reason = "stolen"
	if l.leader(t).Name == "n3" {
		l.transfer(t, l.node("n1"))
	}
	l.admin(t, "cluster", "remove", "n3", "--yes", "--reason", reason)
	l.kill(l.node("n3"))
	l.admin(t, "api-token", "revoke", "stolen", "--yes", "--reason", reason)
	l.admin(t, "audit", "reader", "revoke", "stolen", "--yes", "--reason", reason)
}

// raidsWithLoot are what a thief tries with what they have.
func (l *lab) raidsWithLoot(s loot) []raid {
	n1 := l.node("n1")
	return []raid{
		{"a removed node's disk", "run the node and add an administrator", func(t *testing.T) string { return l.runCopy(t, s.disk) }},
		{"a backup", "restore it with another recovery key", func(t *testing.T) string { return l.restore(t, s.backup) }},
		{"a backup", "find seeds and shared secrets in it", func(t *testing.T) string { return l.readable(t, s.backup) }},
		{"a revoked API token", "list users", func(t *testing.T) string {
			c := exec.CommandContext(t.Context(), l.program, "user", "list", "--server", n1.API, "--ca", l.CA)
			c.Env = append(os.Environ(), "KEYFOB_TOKEN="+s.token)
			return succeeded(c)
		}},
		{"a removed node's disk", "find something that logs in at NATS", func(t *testing.T) string { return natsIdentities(t, s.disk) }},
		{"a reader's credentials", "purge, delete and forge the audit stream", func(t *testing.T) string { return l.forge(t, l.NATSCreds) }},
		{"a revoked reader", "read the audit stream", func(*testing.T) string { return connects(n1.NATS, s.reader) }},
		{"a captured packet", "log in again at the same node, from another address", func(t *testing.T) string {
			return accepted(sendFrom(t, "127.0.0.77", n1.RADIUS, s.packet))
		}},
		{"a captured packet", "log in at another node, from another address", func(t *testing.T) string {
			return accepted(sendFrom(t, "127.0.0.77", l.node("n2").RADIUS, s.packet))
		}},
		{"a passcode seen in use", "log in with it at each front end", func(t *testing.T) string {
			for _, n := range []demo.NodeInfo{n1, l.node("n2")} {
				for _, door := range []tryDoor{l.radiusDoor(t, n), l.webDoor(n)} {
					if ok, _ := door(t, "bob", s.passcode); ok {
						return "accepted at " + n.Name
					}
				}
			}
			return ""
		}},
		{"a rotated shared secret", "log in over RADIUS as the gateway", func(t *testing.T) string { return l.loginWithOldSecret(t, s.secret) }},
	}
}

// loginWithOldSecret rotates the shared secret without an overlap and uses the old
// one.
func (l *lab) loginWithOldSecret(t *testing.T, old string) string {
	var rotated struct {
		Secret string `json:"secret"`
	}
	if err := json.Unmarshal(l.admin(t, "client", "rotate-secret", "loopback", "--overlap", "0s", "--reason", "stolen", "-o", "json"), &rotated); err != nil {
		t.Fatal(err)
	}
	l.Secret = rotated.Secret
	return l.answers(t, l.node("n1"), old)
}

// answers tries a shared secret.
func (l *lab) answers(t *testing.T, n demo.NodeInfo, secret string) string {
	c, err := radius.Dial(t.Context(), radius.ClientConfig{
		Server: n.RADIUS, Secret: engine.Secret(secret), Timeout: time.Second, Tries: 1, Random: rand.Reader,
	})
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	if _, err := c.Authenticate(t.Context(), radius.Login{User: "bob", Passcode: "2468000000"}); err == nil {
		return "an answer"
	}
	return ""
}

// raidsOfStrangers are what somebody tries who has nothing.
func (l *lab) raidsOfStrangers() []raid {
	n1 := l.node("n1")
	return []raid{
		{"nothing", "log in over RADIUS with a guessed shared secret", func(t *testing.T) string {
			return l.answers(t, n1, "0123456789abcdef0123456789abcdef")
		}},
		{"nothing", "connect to RadSec without a certificate", func(t *testing.T) string { return handshakes(t, n1.RadSec, "radius/1.0") }},
		{"nothing", "connect to the cluster port as a node", func(t *testing.T) string {
			status, err := l.status(t.Context(), n1)
			if err != nil {
				return err.Error()
			}
			for _, n := range status.Nodes {
				if n.Name == "n1" {
					return handshakes(t, n.Address, "keyfob-raft/1")
				}
			}
			return "no address of n1"
		}},
		{"nothing", "use the API", func(t *testing.T) string {
			resp, err := l.client(t).Get(n1.API + "/api/v1/users")
			if err != nil {
				return err.Error()
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusUnauthorized {
				return resp.Status
			}
			return ""
		}},
		{"nothing", "read the audit stream", func(*testing.T) string { return connects(n1.NATS, "") }},
	}
}

// runCopy runs the copied disk of a removed node, and asks it to add a user.
func (l *lab) runCopy(t *testing.T, disk string) string {
	config := filepath.Join(disk, "keyfob.yaml")
	b, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, bytes.ReplaceAll(b, []byte(l.node("n3").Dir), []byte(disk)), 0o600); err != nil {
		t.Fatal(err)
	}
	p := launch(t, l.program, "server", "--config", config)
	defer p.stop()
	eventually(t, "the copy to start or to end", func() error {
		if _, err := os.Stat(filepath.Join(disk, "admin.sock")); err == nil || p.ended() {
			return nil
		}
		return errors.New("neither")
	})
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if gained := succeeded(exec.CommandContext(ctx, l.program, "user", "add", "mallory", "--data", disk, "--reason", "theft")); gained != "" {
		return gained
	}
	if out := l.admin(t, "user", "list"); bytes.Contains(out, []byte("mallory")) {
		return "a user"
	}
	return ""
}

// restore tries a recovery key of the thief's own.
func (l *lab) restore(t *testing.T, backup string) string {
	dir := t.TempDir()
	config, key := filepath.Join(dir, "keyfob.yaml"), filepath.Join(dir, "key")
	text := fmt.Sprintf("node: n9\ndata: %s\ncluster:\n  listen: 127.0.0.1:0\n  advertise: 127.0.0.1:1\n", filepath.Join(dir, "data"))
	own, err := vault.NewRecoveryKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := own.Reveal()
	if err := errors.Join(err, os.WriteFile(config, []byte(text), 0o600), os.WriteFile(key, []byte(other), 0o600)); err != nil {
		t.Fatal(err)
	}
	return succeeded(exec.CommandContext(t.Context(), l.program, "cluster", "restore", backup, "--config", config, "--yes", "--recovery-key-file", key))
}

// readable looks for what users know and own in a file.
func (l *lab) readable(t *testing.T, file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range l.Users {
		for _, secret := range []string{u.URI, u.User, u.Serial} {
			if bytes.Contains(b, []byte(secret)) {
				return "it contains data of " + u.User
			}
		}
	}
	if bytes.Contains(b, []byte(l.Secret)) {
		return "it contains the shared secret"
	}
	return ""
}

// stillWorks checks that the refusals above were not those of a dead cluster.
func (l *lab) stillWorks(t *testing.T) {
	t.Helper()
	if ok, err := l.radiusDoor(t, l.node("n2"))(t, "erin", l.fob(t, "erin").press(t).Passcode); !ok {
		t.Errorf("afterwards the owner of the token is refused: %v", err)
	}
}

// succeeded returns what a command printed, if it succeeded.
func succeeded(c *exec.Cmd) string {
	out, err := c.CombinedOutput()
	if err != nil {
		return ""
	}
	return fmt.Sprintf("it succeeded: %.100s", out)
}

func accepted(c radius.Code) string {
	if c == radius.AccessAccept {
		return "an accept"
	}
	return ""
}

// connects tries to connect to NATS.
func connects(url, creds string) string {
	options := []nats.Option{nats.NoReconnect(), nats.Timeout(5 * time.Second)}
	if creds != "" {
		options = append(options, nats.UserCredentials(creds))
	}
	nc, err := nats.Connect(url, options...)
	if err != nil {
		return ""
	}
	nc.Close()
	return "a connection"
}

// natsIdentities looks for tokens and private keys of NATS.
func natsIdentities(t *testing.T, dir string) (found string) {
	form := regexp.MustCompile(`eyJ0eXAiOiJKV1Qi|BEGIN NATS|S[AOUN][A-Z2-7]{56}`)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if form.Match(b) {
			found = "an identity in " + path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// forge tries to change the audit stream as a reader.
func (l *lab) forge(t *testing.T, creds string) string {
	n := l.node("n1")
	nc, err := nats.Connect(n.NATS, nats.UserCredentials(creds), nats.NoReconnect(), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, subject := range []string{
		"keyfob.audit.hq.auth.accepted", "$JS.API.STREAM.PURGE.KEYFOB_AUDIT", "$JS.API.STREAM.DELETE.KEYFOB_AUDIT",
		"$JS.API.STREAM.MSG.DELETE.KEYFOB_AUDIT", "$JS.API.ACCOUNT.PURGE.KEYFOB_AUDIT", "$SYS.REQ.SERVER.PING",
	} {
		if m, err := nc.Request(subject, []byte(`{"seq":1}`), time.Second); err == nil {
			return subject + " answers " + string(m.Data)
		}
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	st, err := js.Stream(t.Context(), "KEYFOB_AUDIT")
	if err != nil {
		return "no stream: " + err.Error()
	}
	if state := st.CachedInfo().State; state.FirstSeq != 1 || state.Msgs != state.LastSeq {
		return fmt.Sprintf("the stream is %+v", state)
	}
	if about, err := l.auditOf(t, n, n); err != nil || about.AuditState != "publishing" {
		return fmt.Sprintf("the publisher is %s, %v", about.AuditState, err)
	}
	return ""
}

// handshakes tries to connect with TLS and no certificate. TLS 1.3 reports a
// missing certificate at the first read.
func handshakes(t *testing.T, address, protocol string) string {
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}}}
	conn, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		return "data"
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		return "an open connection"
	}
	return ""
}
