package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keyfob/api"
	"keyfob/api/client"
	"keyfob/cmd/keyfob/demo"
	"keyfob/cmd/keyfob/node"
)

// soon limits every wait, with allowance for a busy machine.
const soon = 60 * time.Second

// glance is the interval of polling a condition outside this process.
const glance = 50 * time.Millisecond

// binary returns the path of keyfob, built once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "keyfob-test-")
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "keyfob")
	c := exec.Command("go", "build", "-o", name, ".")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building keyfob: %w\n%s", err, out)
	}
	return name, nil
})

// lab is a cluster started with `keyfob dev --detach`. Tests use it from outside:
// through dev.json and programs.
type lab struct {
	t       *testing.T
	program string
	dir     string
	base    int
	files   int // that each process may open; 0: as many as this one
	demo.Info
	button *device // the token with a button

	mu      sync.Mutex // guards secrets
	secrets []string   // that users have typed
}

// startLab starts a cluster of three nodes. They end with the test.
func startLab(t *testing.T) *lab {
	t.Helper()
	return startLabWith(t, 0)
}

// startLabWith starts nodes that may open a number of files.
func startLabWith(t *testing.T, files int) *lab {
	t.Helper()
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, program: program, dir: t.TempDir(), base: freeBase(t), files: files}
	t.Cleanup(func() {
		l.killAll()
		if t.Failed() {
			l.showLogs()
		}
	})
	l.start()
	return l
}

// start starts all nodes and reads dev.json.
func (l *lab) start() {
	l.t.Helper()
	l.run(l.t, "dev", "--dir", l.dir, "--base-port", strconv.Itoa(l.base), "--detach")
	info, err := demo.ReadFile(filepath.Join(l.dir, demo.File))
	if err != nil {
		l.t.Fatal(err)
	}
	if len(info.Nodes) != 3 {
		l.t.Fatalf("%d nodes in dev.json", len(info.Nodes))
	}
	l.Info = info
}

// run runs a command and returns its standard output.
func (l *lab) run(t *testing.T, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*soon)
	defer cancel()
	c := exec.CommandContext(ctx, l.program, args...)
	if l.files > 0 {
		limited := []string{"-c", `ulimit -n "$0" && exec "$@"`, strconv.Itoa(l.files), l.program}
		c = exec.CommandContext(ctx, "sh", append(limited, args...)...)
	}
	c.Env = append(os.Environ(), "KEYFOB_TOKEN="+l.APIToken)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("keyfob %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.Bytes()
}

// admin runs a command against the API of the first running node, over HTTPS.
func (l *lab) admin(t *testing.T, args ...string) []byte {
	t.Helper()
	for _, n := range l.Nodes {
		if l.alive(n) {
			return l.run(t, append(args, "--server", n.API, "--ca", l.CA)...)
		}
	}
	t.Fatal("no node is running")
	return nil
}

// user returns a sample user.
func (l *lab) user(t *testing.T, name string) demo.Sample {
	t.Helper()
	i := slices.IndexFunc(l.Users, func(s demo.Sample) bool { return s.User == name })
	if i < 0 {
		t.Fatalf("dev.json has no user %s", name)
	}
	return l.Users[i]
}

func (l *lab) node(name string) demo.NodeInfo {
	l.t.Helper()
	i := slices.IndexFunc(l.Nodes, func(n demo.NodeInfo) bool { return n.Name == name })
	if i < 0 {
		l.t.Fatalf("dev.json has no node %s", name)
	}
	return l.Nodes[i]
}

func (l *lab) alive(n demo.NodeInfo) bool { return !node.Ended(n.PID) }

// kill ends a node as a power failure does, and waits until it has ended.
func (l *lab) kill(n demo.NodeInfo) {
	if n.PID == 0 {
		return
	}
	_ = syscall.Kill(n.PID, syscall.SIGKILL)
	deadline := time.Now().Add(soon)
	for l.alive(n) {
		if time.Now().After(deadline) {
			l.t.Errorf("node %s survives SIGKILL", n.Name)
			return
		}
		pause(glance)
	}
}

func (l *lab) killAll() {
	for _, n := range l.Nodes {
		_ = syscall.Kill(n.PID, syscall.SIGKILL)
	}
	for _, n := range l.Nodes {
		l.kill(n)
	}
}

// showLogs logs the last lines of the logs of the nodes.
func (l *lab) showLogs() {
	for _, n := range l.Nodes {
		b, err := os.ReadFile(filepath.Join(n.Dir, "log"))
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		l.t.Logf("log of node %s:\n%s", n.Name, strings.Join(lines[max(0, len(lines)-20):], "\n"))
	}
}

// status returns the cluster as a node sees it.
func (l *lab) status(ctx context.Context, n demo.NodeInfo) (api.Status, error) {
	c := exec.CommandContext(ctx, l.program, "cluster", "status", "-o", "json", "--data", n.Dir)
	var status api.Status
	out, err := c.Output()
	if err != nil {
		return status, err
	}
	return status, json.Unmarshal(out, &status)
}

// leader waits for a leader and returns it.
func (l *lab) leader(t *testing.T) demo.NodeInfo {
	t.Helper()
	var leader demo.NodeInfo
	eventually(t, "a leader", func() error {
		for _, n := range l.Nodes {
			if !l.alive(n) {
				continue
			}
			status, err := l.status(t.Context(), n)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(l.Nodes, func(n demo.NodeInfo) bool { return n.Name == status.Leader })
			if i < 0 || !l.alive(l.Nodes[i]) {
				return fmt.Errorf("node %s says the leader is %q", n.Name, status.Leader)
			}
			leader = l.Nodes[i]
			return nil
		}
		return fmt.Errorf("no node is running")
	})
	return leader
}

// transfer transfers leadership to a node.
func (l *lab) transfer(t *testing.T, to demo.NodeInfo) {
	t.Helper()
	eventually(t, "the lead of "+to.Name, func() error {
		if leader := l.leader(t); leader.Name != to.Name {
			out, err := exec.CommandContext(t.Context(), l.program, "cluster", "transfer", to.Name, "--data", leader.Dir).CombinedOutput()
			return fmt.Errorf("node %s leads: %w: %s", leader.Name, err, out)
		}
		return nil
	})
}

// client returns an HTTPS client that trusts the CA of the cluster.
func (l *lab) client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: l.roots(t), MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Timeout:       soon,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// roots returns the CA of the cluster.
func (l *lab) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(l.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return pool
}

// api returns the API of a node, over HTTPS.
func (l *lab) api(t *testing.T, n demo.NodeInfo) *client.Client {
	t.Helper()
	transport, err := client.HTTPS(n.API, l.APIToken, l.roots(t))
	if err != nil {
		t.Fatal(err)
	}
	return client.New(transport)
}

// typed adds a secret that must not appear in logs or events.
func (l *lab) typed(secret string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.secrets = append(l.secrets, secret)
}

// hides fails the test if a text contains a secret that was typed. Tokencodes alone
// are too short: they appear in hashes by chance.
func (l *lab) hides(t *testing.T, where string, text []byte) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, secret := range l.secrets {
		if len(secret) >= 10 && bytes.Contains(text, []byte(secret)) {
			t.Errorf("%s holds the passcode %s", where, secret)
		}
	}
}

// eventually waits for a condition, and fails the test with its last error after a
// time limit.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(soon)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) || t.Context().Err() != nil {
			t.Fatalf("timeout waiting for %s: %v", what, err)
		}
		pause(glance)
	}
}
