package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	readyWait = 60 * time.Second // for a node to answer logins
	endWait   = 20 * time.Second // for a node to drain
)

// devNode is a node of a dev cluster: a process of this same binary.
type devNode struct {
	cluster *devCluster
	name    string
	dir     string // its data directory, with the configuration in it
	config  string
	ports   devPorts

	left    int // process that an earlier start has left running, 0 if none
	process *exec.Cmd
	gone    chan struct{} // closed when the process has ended
}

// devPorts are the ports of a node.
type devPorts struct{ web, admin, cluster, radius, acct, radsec, nats, metrics int }

func newDevNode(d *devCluster, i int) *devNode {
	at := d.base + portsOfNode*(i-1)
	n := &devNode{
		cluster: d, name: fmt.Sprintf("n%d", i),
		ports: devPorts{web: at, admin: at + 1, cluster: at + 2, radius: at + 3, acct: at + 4, radsec: at + 5, nats: at + 6, metrics: at + 7},
	}
	n.dir = filepath.Join(d.dir, n.name)
	n.config = filepath.Join(n.dir, "keyfob.yaml")
	return n
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// portsFree says which port is taken, if one is.
func (n *devNode) portsFree() error {
	for _, port := range []int{n.ports.web, n.ports.admin, n.ports.cluster, n.ports.radsec, n.ports.nats, n.ports.metrics} {
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			return fmt.Errorf("port %d, for node %s, is in use", port, n.name)
		}
		_ = l.Close()
	}
	for _, port := range []int{n.ports.radius, n.ports.acct} {
		c, err := net.ListenPacket("udp", loopback(port))
		if err != nil {
			return fmt.Errorf("port %d (UDP), for node %s, is in use", port, n.name)
		}
		_ = c.Close()
	}
	return nil
}

// prepare writes the node's certificate and configuration.
func (n *devNode) prepare(authority issuer) error {
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return fmt.Errorf("making directory of node %s: %w", n.name, err)
	}
	cert, key := filepath.Join(n.dir, "tls.crt"), filepath.Join(n.dir, "tls.key")
	if err := n.cluster.certify(authority, cert, key, "127.0.0.1", "localhost", n.name); err != nil {
		return err
	}
	c := defaultConfig()
	c.Node, c.Data, c.Site = n.name, n.dir, "dev"
	c.Cluster.Listen = loopback(n.ports.cluster)
	c.Web = WebConfig{Listen: loopback(n.ports.web), TLS: TLSConfig{Cert: cert, Key: key}, PublicURL: "https://" + loopback(n.ports.web)}
	c.Admin.Listen = loopback(n.ports.admin)
	c.RADIUS = RADIUSConfig{Listen: loopback(n.ports.radius), Acct: loopback(n.ports.acct), RadSec: loopback(n.ports.radsec), ClientCA: n.cluster.file("ca.pem")}
	c.NATS.Embedded.Listen = loopback(n.ports.nats)
	c.Metrics.Listen = loopback(n.ports.metrics)
	c.complete()
	return writeFile(n.config, []byte(writeConfig(&c)), 0o600)
}

func (n *devNode) exists() bool {
	_, err := os.Stat(filepath.Join(n.dir, "node.json"))
	return err == nil
}

// environ is the environment without what would change the configuration.
func (n *devNode) environ() []string {
	var kept []string
	for _, pair := range n.cluster.env.Environ() {
		if !strings.HasPrefix(pair, "KEYFOB_") {
			kept = append(kept, pair)
		}
	}
	return kept
}

// command runs another command of this binary to its end.
func (n *devNode) command(ctx context.Context, out any, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	var stdout, stderr bytes.Buffer
	c := exec.CommandContext(ctx, self, args...)
	c.Env, c.Stdout, c.Stderr = n.environ(), &stdout, &stderr
	if err := c.Run(); err != nil {
		text := strings.TrimPrefix(strings.TrimSpace(stderr.String()), "keyfob: ")
		if text == "" {
			text = err.Error()
		}
		return fmt.Errorf("node %s: %s", n.name, text)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(stdout.Bytes(), out); err != nil {
		return fmt.Errorf("node %s: reading the answer of keyfob %s: %w", n.name, args[0], err)
	}
	return nil
}

// start starts the node; its log goes to a file in its directory.
func (n *devNode) start() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(n.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening log of node %s: %w", n.name, err)
	}
	defer log.Close()
	c := exec.Command(self, "server", "--config", n.config)
	c.Env, c.Stdout, c.Stderr, c.Dir = n.environ(), log, log, n.dir
	// A session of its own, so that the terminal's interrupt reaches us alone
	// and the nodes are ended in order.
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if !n.cluster.detach {
		c.SysProcAttr.Pdeathsig = syscall.SIGTERM // however this process ends
	}
	if err := c.Start(); err != nil {
		return fmt.Errorf("starting node %s: %w", n.name, err)
	}
	n.process, n.gone = c, make(chan struct{})
	go func() { defer close(n.gone); _ = c.Wait() }() // ends with the process
	return nil
}

func (n *devNode) pid() int {
	if n.process == nil {
		return n.left
	}
	return n.process.Process.Pid
}

func (n *devNode) running() bool {
	if n.process == nil {
		return n.left != 0
	}
	select {
	case <-n.gone:
		return false
	default:
		return true
	}
}

// ready waits until the node answers logins.
func (n *devNode) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	why := "nothing"
	for {
		if why = n.unready(ctx); why == "" {
			return nil
		}
		select {
		case <-tick.C:
		case <-n.gone:
			return fmt.Errorf("node %s has ended: %s", n.name, n.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("node %s is not ready: %s; see %s", n.name, why, filepath.Join(n.dir, "log"))
		}
	}
}

// unready is what keeps the node from answering logins.
func (n *devNode) unready(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+loopback(n.ports.metrics)+"/readyz", nil)
	if err != nil {
		return err.Error()
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "it does not answer"
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return ""
	}
	var body bytes.Buffer
	_, _ = body.ReadFrom(http.MaxBytesReader(nil, resp.Body, 1<<10))
	return strings.TrimSpace(body.String())
}

// lastWords is the last line of the node's log.
func (n *devNode) lastWords() string {
	b, err := os.ReadFile(filepath.Join(n.dir, "log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.TrimPrefix(lines[len(lines)-1], "keyfob: ")
}

func (n *devNode) terminate() {
	if n.process != nil && n.running() { // what was left running still is
		_ = n.process.Process.Signal(syscall.SIGTERM)
	}
}

func (n *devNode) wait() {
	if n.process == nil {
		return
	}
	select {
	case <-n.gone:
	case <-time.After(endWait):
		_ = n.process.Process.Kill()
		<-n.gone
	}
}
