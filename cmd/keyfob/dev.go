package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api"
)

// Ports of a dev cluster. Node i, from 1, has the ten from base+10*(i-1) on, in
// the order of devPorts.
const (
	defaultBasePort = 18400
	portsOfNode     = 10
	maxDevNodes     = 9
)

// devClient is the RADIUS client of a dev cluster, on 127.0.0.0/8, and over
// TLS with radsec.crt and radsec.key.
const devClient = "loopback"

// devCluster is several nodes on this machine, for trying keyfob out and for
// tests. Everything about it lies in one directory.
type devCluster struct {
	env    *environment
	dir    string
	base   int
	detach bool
	nodes  []*devNode
	secret string // of the RADIUS client
	token  string // of the first administrator
	people []sample
}

func (e *environment) devCommand() *cobra.Command {
	d := &devCluster{env: e}
	var count int
	c := command("dev", "Run a cluster on this machine, with everything embedded, sample users and software tokens", func(c *cobra.Command, _ []string) error {
		if count < 1 || count > maxDevNodes {
			return usagef("--nodes %d: want 1 to %d", count, maxDevNodes)
		}
		if d.base < 1024 || d.base+portsOfNode*maxDevNodes > 65535 {
			return usagef("--base-port %d: want 1024 to %d", d.base, 65535-portsOfNode*maxDevNodes)
		}
		dir, err := filepath.Abs(d.dir)
		if err != nil {
			return fmt.Errorf("finding --dir: %w", err)
		}
		d.dir = dir
		return d.run(c.Context(), count, c.Flags().Changed("base-port"))
	})
	c.Flags().StringVar(&d.dir, "dir", "keyfob-dev", "`DIR` of everything; a second start goes on from what is there")
	c.Flags().IntVar(&count, "nodes", 3, "how many")
	c.Flags().IntVar(&d.base, "base-port", defaultBasePort, "first port; node i has the ten from it + 10*(i-1): web, admin, cluster, RADIUS, accounting, RadSec, NATS, metrics")
	c.Flags().BoolVar(&d.detach, "detach", false, "leave the nodes running and say how to end them")
	return c
}

func (d *devCluster) run(ctx context.Context, count int, basePinned bool) error {
	// The thread that starts the nodes must live as long as this process: the
	// kernel ends them with it (devnode.go).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	if err := d.look(count, basePinned); err != nil {
		return err
	}
	if err := d.prepare(); err != nil {
		return err
	}
	ended := false
	defer func() {
		if !ended {
			d.end()
		}
	}()
	if err := d.start(ctx); err != nil {
		return err
	}
	if err := d.fill(ctx); err != nil {
		return err
	}
	if err := d.credentials(ctx); err != nil {
		return err
	}
	if err := d.writeFile(); err != nil {
		return err
	}
	if d.detach {
		ended = true // that is, left running
		d.env.say("%d nodes run; %s says where. End them with: kill %s", len(d.nodes), d.file(devFile), strings.Join(d.pids(), " "))
		return nil
	}
	return d.show(ctx)
}

func (d *devCluster) file(name string) string { return filepath.Join(d.dir, name) }

func (d *devCluster) pids() []string {
	var pids []string
	for _, n := range d.nodes {
		pids = append(pids, strconv.Itoa(n.pid()))
	}
	return pids
}

// look finds out what is there already, and refuses what would end in a mess.
func (d *devCluster) look(count int, basePinned bool) error {
	old, err := readDevFile(d.file(devFile))
	if err != nil {
		return err
	}
	if made := old.basePort(); made != 0 {
		if basePinned && made != d.base {
			return fmt.Errorf("%s was made with --base-port %d: use that, or another --dir", d.dir, made)
		}
		d.base = made
		count = max(count, len(old.Nodes)) // fewer would be no majority
	}
	for i := 1; i <= count; i++ {
		d.nodes = append(d.nodes, newDevNode(d, i))
	}
	if err := d.lookForRunning(old); err != nil {
		return err
	}
	for _, n := range d.nodes {
		if n.running() {
			continue
		}
		if err := n.portsFree(); err != nil {
			return fmt.Errorf("%w; is another keyfob dev running? End it, or use --base-port", err)
		}
	}
	return nil
}

// lookForRunning finds out which nodes an earlier start has left running. With
// --detach those that are missing are started beside them.
func (d *devCluster) lookForRunning(old devInfo) error {
	var running []*devNode
	for i, n := range d.nodes {
		conn, err := net.DialTimeout("unix", filepath.Join(n.dir, socketName), time.Second)
		if err != nil {
			continue
		}
		_ = conn.Close()
		if i < len(old.Nodes) {
			n.left = old.Nodes[i].PID
		}
		running = append(running, n)
	}
	if n := len(running); n == 0 || d.detach && n < len(d.nodes) {
		return nil
	}
	first := running[0]
	return fmt.Errorf("node %s of %s runs already: end it with kill %d, or use another --dir and --base-port", first.name, d.dir, first.left)
}

// prepare makes what the nodes are made from: directory, CA, certificates,
// configurations, the shared secret.
func (d *devCluster) prepare() error {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return fmt.Errorf("making --dir: %w", err)
	}
	authority, err := d.authority()
	if err != nil {
		return err
	}
	for _, n := range d.nodes {
		if n.running() {
			continue
		}
		if err := n.prepare(authority); err != nil {
			return err
		}
	}
	if err := d.certify(authority, d.file("radsec.crt"), d.file("radsec.key"), devClient); err != nil {
		return err
	}
	d.secret, err = d.keep("radius-secret", rand.Text)
	return err
}

// keep reads a text that was made at the first start, or makes it.
func (d *devCluster) keep(name string, make func() string) (string, error) {
	b, err := os.ReadFile(d.file(name))
	if err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	text := make()
	return text, writeFile(d.file(name), []byte(text+"\n"), 0o600)
}

// start starts the nodes: those that exist at once, the others one after the
// other, invited by the first.
func (d *devCluster) start(ctx context.Context) error {
	first := d.nodes[0]
	if !first.exists() {
		var f founded
		if err := first.command(ctx, &f, "cluster", "init", "--config", first.config, "-o", "json"); err != nil {
			return err
		}
		if err := writeFile(d.file("api-token"), []byte(f.Token+"\n"), 0o600); err != nil {
			return err
		}
	}
	var err error
	if d.token, err = d.env.readSecret(d.file("api-token")); err != nil {
		return err
	}
	for _, n := range d.nodes {
		if n.exists() && !n.running() {
			if err := n.start(); err != nil {
				return err
			}
		}
	}
	for _, n := range d.nodes {
		if !n.running() && n.process == nil {
			if err := d.join(ctx, n); err != nil {
				return err
			}
		}
	}
	for _, n := range d.nodes {
		if err := n.ready(ctx); err != nil {
			return err
		}
	}
	return d.settled(ctx)
}

// settled waits until every node votes: before that, the loss of one could
// stop the others.
func (d *devCluster) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	r := d.remote()
	for {
		var s api.Status
		if err := r.call(ctx, http.MethodGet, "/cluster", nil, &s); err != nil {
			return fmt.Errorf("waiting for every node's vote: %w", err)
		}
		votes := 0
		for _, n := range s.Nodes {
			if n.Voter {
				votes++
			}
		}
		if votes >= len(d.nodes) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d nodes vote: see %s", votes, len(d.nodes), filepath.Join(d.nodes[0].dir, "log"))
		}
	}
}

func (d *devCluster) join(ctx context.Context, n *devNode) error {
	if err := d.nodes[0].ready(ctx); err != nil {
		return err
	}
	var invitation api.Invitation
	in := map[string]string{"reason": "keyfob dev"}
	if err := d.remote().call(ctx, http.MethodPost, "/cluster/invitations", in, &invitation); err != nil {
		return fmt.Errorf("inviting node %s: %w", n.name, err)
	}
	if err := n.command(ctx, nil, "cluster", "join", invitation.Invitation, "--config", n.config); err != nil {
		return err
	}
	return n.start()
}

// remote is the API of the first node that runs, by its socket.
func (d *devCluster) remote() *remote {
	r := d.env.remote()
	r.data = d.nodes[0].dir
	for _, n := range d.nodes {
		if n.running() {
			r.data = n.dir
			break
		}
	}
	return r
}

// end ends the nodes, and waits until they have ended.
func (d *devCluster) end() {
	for _, n := range d.nodes {
		n.terminate()
	}
	for _, n := range d.nodes {
		n.wait()
	}
}

// credentials keeps the credentials of a reader of the audit stream in a file.
func (d *devCluster) credentials(ctx context.Context) error {
	if _, err := os.Stat(d.file(credsFile)); err == nil {
		return nil
	}
	var reader api.Reader
	in := map[string]string{"name": "dev", "reason": "keyfob dev"}
	if err := d.remote().call(ctx, http.MethodPost, "/audit/readers", in, &reader); err != nil {
		return fmt.Errorf("making NATS credentials: %w", err)
	}
	return writeFile(d.file(credsFile), []byte(reader.Credentials), 0o600)
}
