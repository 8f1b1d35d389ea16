package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"keyfob/api/client"
	"keyfob/cmd/keyfob/cli"
	"keyfob/cmd/keyfob/node"
)

const (
	ReadyWait = 60 * time.Second // until a node answers logins
	endWait   = 20 * time.Second // for a node to drain
	endLimit  = 5 * time.Second  // for a killed process to end
)

// Node is a node of a dev cluster, a process of this binary.
type Node struct {
	Cluster *Cluster
	Name    string
	Dir     string // data directory, which contains the configuration
	config  string
	Ports   devPorts

	left    int // process of an earlier start, 0 if none
	process *exec.Cmd
	gone    chan struct{} // closed when the process ends
}

// Ports are the ports of a node.
type devPorts struct{ web, admin, cluster, Radius, acct, radsec, nats, Metrics int }

func newDevNode(d *Cluster, i int) *Node {
	at := d.Base + portsOfNode*(i-1)
	n := &Node{
		Cluster: d, Name: fmt.Sprintf("n%d", i),
		Ports: devPorts{web: at, admin: at + 1, cluster: at + 2, Radius: at + 3, acct: at + 4, radsec: at + 5, nats: at + 6, Metrics: at + 7},
	}
	n.Dir = filepath.Join(d.Dir, n.Name)
	n.config = filepath.Join(n.Dir, "keyfob.yaml")
	return n
}

func Loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// portsFree returns an error if a port is in use.
func (n *Node) portsFree() error {
	for _, port := range []int{n.Ports.web, n.Ports.admin, n.Ports.cluster, n.Ports.radsec, n.Ports.nats, n.Ports.Metrics} {
		l, err := net.Listen("tcp", Loopback(port))
		if err != nil {
			return fmt.Errorf("port %d, for node %s, is in use", port, n.Name)
		}
		_ = l.Close()
	}
	for _, port := range []int{n.Ports.Radius, n.Ports.acct} {
		c, err := net.ListenPacket("udp", Loopback(port))
		if err != nil {
			return fmt.Errorf("port %d (UDP), for node %s, is in use", port, n.Name)
		}
		_ = c.Close()
	}
	return nil
}

// prepare writes the node's certificate and configuration.
func (n *Node) prepare(authority node.Issuer) error {
	if err := os.MkdirAll(n.Dir, 0o700); err != nil {
		return fmt.Errorf("making directory of node %s: %w", n.Name, err)
	}
	cert, key := filepath.Join(n.Dir, "tls.crt"), filepath.Join(n.Dir, "tls.key")
	if err := n.Cluster.certify(authority, cert, key, "127.0.0.1", "localhost", n.Name); err != nil {
		return err
	}
	c := node.DefaultConfig()
	c.Node, c.Data, c.Site = n.Name, n.Dir, "dev"
	c.Cluster.Listen = Loopback(n.Ports.cluster)
	c.Web = node.WebConfig{Listen: Loopback(n.Ports.web), TLS: node.TLSConfig{Cert: cert, Key: key}, PublicURL: "https://" + Loopback(n.Ports.web)}
	c.Admin.Listen = Loopback(n.Ports.admin)
	c.RADIUS = node.RADIUSConfig{Listen: Loopback(n.Ports.Radius), Acct: Loopback(n.Ports.acct), RadSec: Loopback(n.Ports.radsec), ClientCA: n.Cluster.file("ca.pem")}
	c.NATS.Embedded.Listen = Loopback(n.Ports.nats)
	c.Metrics.Listen = Loopback(n.Ports.Metrics)
	c.Branding.Help = "This is a demo without a help desk."
	c.Complete()
	return cli.WriteFile(n.config, []byte(node.WriteConfig(&c)), 0o600)
}

// API returns the API of the node, through its socket.
func (n *Node) API() *client.Client {
	return client.New(client.Socket(filepath.Join(n.Dir, cli.SocketName)))
}

func (n *Node) exists() bool {
	_, err := os.Stat(filepath.Join(n.Dir, "node.json"))
	return err == nil
}

// environ returns the environment without the variables of the configuration.
func (n *Node) environ() []string {
	var kept []string
	for _, pair := range n.Cluster.Env.Environ() {
		if !strings.HasPrefix(pair, "KEYFOB_") {
			kept = append(kept, pair)
		}
	}
	return kept
}

// command runs a command of this binary.
func (n *Node) command(ctx context.Context, out any, args ...string) error {
	return n.commandWith(ctx, nil, out, args...)
}

// commandWith is command with an input.
func (n *Node) commandWith(ctx context.Context, in io.Reader, out any, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	var stdout, stderr bytes.Buffer
	c := exec.CommandContext(ctx, self, args...)
	c.Env, c.Stdin, c.Stdout, c.Stderr = n.environ(), in, &stdout, &stderr
	if err := c.Run(); err != nil {
		text := strings.TrimPrefix(strings.TrimSpace(stderr.String()), "keyfob: ")
		if text == "" {
			text = err.Error()
		}
		return fmt.Errorf("node %s: %s", n.Name, text)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(stdout.Bytes(), out); err != nil {
		return fmt.Errorf("node %s: reading the answer of keyfob %s: %w", n.Name, args[0], err)
	}
	return nil
}

// start starts the node. Its log goes to a file in its directory.
func (n *Node) start() error {
	waitForEnd(n.left, endLimit)
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(n.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening log of node %s: %w", n.Name, err)
	}
	defer log.Close()
	c := exec.Command(self, "server", "--config", n.config)
	c.Env, c.Stdout, c.Stderr, c.Dir = n.environ(), log, log, n.Dir
	// A session of its own, so that an interrupt at the terminal reaches only this
	// process, which stops the nodes in order.
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if !n.Cluster.detach {
		c.SysProcAttr.Pdeathsig = syscall.SIGTERM // also if this process is killed
	}
	if err := c.Start(); err != nil {
		return fmt.Errorf("starting node %s: %w", n.Name, err)
	}
	n.process, n.gone = c, make(chan struct{})
	go func() { defer close(n.gone); _ = c.Wait() }() // ends with the process
	return nil
}

func (n *Node) pid() int {
	if n.process == nil {
		return n.left
	}
	return n.process.Process.Pid
}

func (n *Node) running() bool {
	if n.process == nil {
		_, running := node.RunningIn(n.Dir)
		return running
	}
	select {
	case <-n.gone:
		return false
	default:
		return true
	}
}

// waitForEnd waits until a process has ended. A process that was killed may keep
// its ports for a moment. The wait is bounded because another process may have
// the number by now.
func waitForEnd(pid int, limit time.Duration) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for pid > 0 && !node.Ended(pid) {
		select {
		case <-tick.C:
		case <-timeout.C:
			return
		}
	}
}

// ready waits until the node answers logins. A node of an earlier start that ends
// meanwhile is started again.
func (n *Node) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ReadyWait)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := n.Cluster.startStopped(); err != nil {
			return err
		}
		why := n.unready(ctx)
		if why == "" {
			return nil
		}
		select {
		case <-tick.C:
		case <-n.gone:
			return fmt.Errorf("node %s has ended: %s", n.Name, n.lastLogLine())
		case <-ctx.Done():
			return fmt.Errorf("node %s is not ready: %s; see %s", n.Name, why, filepath.Join(n.Dir, "log"))
		}
	}
}

// unready returns why the node does not answer logins.
func (n *Node) unready(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+Loopback(n.Ports.Metrics)+"/readyz", nil)
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

// lastLogLine returns the last line of the log.
func (n *Node) lastLogLine() string {
	b, err := os.ReadFile(filepath.Join(n.Dir, "log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.TrimPrefix(lines[len(lines)-1], "keyfob: ")
}

func (n *Node) terminate() {
	if n.process != nil && n.running() { // nodes of an earlier start keep running
		_ = n.process.Process.Signal(syscall.SIGTERM)
	}
}

func (n *Node) wait() {
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
