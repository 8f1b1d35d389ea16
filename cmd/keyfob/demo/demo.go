// Package demo runs a cluster on one machine, with sample users and software
// tokens. Each node is a process of this same binary.
package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/api/client"
	"keyfob/cmd/keyfob/cli"
	"keyfob/cmd/keyfob/node"
)

// Ports of a dev cluster. Node i, from 1, has ten, from base+10*(i-1), in the order
// of Ports.
const (
	defaultBasePort = 18400
	portsOfNode     = 10
	maxDevNodes     = 9
)

// RADIUSClient is the RADIUS client of a dev cluster, on 127.0.0.0/8, and over TLS
// with radsec.crt and radsec.key.
const RADIUSClient = "loopback"

// devReader is the audit reader of a dev cluster.
const devReader = "dev"

// Cluster is a cluster on this machine, for trials and for tests. All its files are
// in one directory.
type Cluster struct {
	Env    *cli.Environment
	Dir    string
	Base   int
	detach bool
	Nodes  []*Node
	Secret string // of the RADIUS client
	token  string // of the first administrator
	people []Sample
}

func Command(e *cli.Environment) *cobra.Command {
	d := &Cluster{Env: e}
	var count int
	c := cli.Command("dev", "Run a cluster on this machine, with sample users and software tokens", func(c *cobra.Command, _ []string) error {
		if count < 1 || count > maxDevNodes {
			return cli.Usagef("--nodes %d: want 1 to %d", count, maxDevNodes)
		}
		if d.Base < 1024 || d.Base+portsOfNode*maxDevNodes > 65535 {
			return cli.Usagef("--base-port %d: want 1024 to %d", d.Base, 65535-portsOfNode*maxDevNodes)
		}
		dir, err := filepath.Abs(d.Dir)
		if err != nil {
			return fmt.Errorf("finding --dir: %w", err)
		}
		d.Dir = dir
		return d.run(c.Context(), count, c.Flags().Changed("base-port"))
	})
	c.Flags().StringVar(&d.Dir, "dir", "keyfob-dev", "`DIR` of all files; a second start continues with it")
	c.Flags().IntVar(&count, "nodes", 3, "number of nodes")
	c.Flags().IntVar(&d.Base, "base-port", defaultBasePort, "first port; node i has ten, from BASE + 10*(i-1): web, admin, cluster, RADIUS, accounting, RadSec, NATS, metrics")
	c.Flags().BoolVar(&d.detach, "detach", false, "leave the nodes running and print how to stop them")
	return c
}

func (d *Cluster) run(ctx context.Context, count int, basePinned bool) error {
	// The thread that starts the nodes must live as long as this process, because
	// the kernel ends the nodes with the thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	if err := d.Inspect(count, basePinned); err != nil {
		return err
	}
	if err := d.Prepare(); err != nil {
		return err
	}
	ended := false
	defer func() {
		if !ended {
			d.End()
		}
	}()
	if err := d.Start(ctx); err != nil {
		return err
	}
	if err := d.populate(ctx); err != nil {
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
		d.Env.Say("%d nodes are running; see %s. Stop them with: kill %s", len(d.Nodes), d.file(File), strings.Join(d.pids(), " "))
		return nil
	}
	return d.show(ctx)
}

func (d *Cluster) file(name string) string { return filepath.Join(d.Dir, name) }

func (d *Cluster) pids() []string {
	var pids []string
	for _, n := range d.Nodes {
		pids = append(pids, strconv.Itoa(n.pid()))
	}
	return pids
}

// Inspect finds the nodes of an earlier start, and refuses a start that would
// conflict with them.
func (d *Cluster) Inspect(count int, basePinned bool) error {
	old, err := ReadFile(d.file(File))
	if err != nil {
		return err
	}
	if made := old.basePort(); made != 0 {
		if basePinned && made != d.Base {
			return fmt.Errorf("%s was created with --base-port %d: use that, or another --dir", d.Dir, made)
		}
		d.Base = made
		count = max(count, len(old.Nodes)) // fewer would have no majority
	}
	for i := 1; i <= count; i++ {
		d.Nodes = append(d.Nodes, newDevNode(d, i))
	}
	if err := d.lookForRunning(old); err != nil {
		return err
	}
	for _, n := range d.Nodes {
		if n.running() {
			continue
		}
		waitForEnd(n.left, endLimit)
		if err := n.portsFree(); err != nil {
			return fmt.Errorf("%w; stop the other keyfob dev, or use --base-port", err)
		}
	}
	return nil
}

// lookForRunning finds the nodes that an earlier start left running. With --detach
// the other nodes are started. A node that was killed a moment ago still holds its
// lock and its ports; the start waits for it.
func (d *Cluster) lookForRunning(old Info) error {
	for deadline := time.Now().Add(time.Second); ; {
		var running []*Node
		for i, n := range d.Nodes {
			n.left = 0
			if pid, ok := node.RunningIn(n.Dir); ok {
				n.left = pid
				running = append(running, n)
			} else if i < len(old.Nodes) {
				waitForEnd(old.Nodes[i].PID, endLimit)
			}
		}
		if n := len(running); n == 0 || d.detach && n < len(d.Nodes) {
			return nil
		}
		first := running[0]
		if time.Now().After(deadline) {
			return fmt.Errorf("node %s of %s is already running: stop it with kill %d, or use another --dir and --base-port", first.Name, d.Dir, first.left)
		}
		waitForEnd(first.left, time.Until(deadline))
	}
}

// Prepare creates the directory, the CA, the certificates, the configurations and
// the shared secret.
func (d *Cluster) Prepare() error {
	if err := os.MkdirAll(d.Dir, 0o700); err != nil {
		return fmt.Errorf("making --dir: %w", err)
	}
	authority, err := d.authority()
	if err != nil {
		return err
	}
	for _, n := range d.Nodes {
		if n.running() {
			continue
		}
		if err := n.prepare(authority); err != nil {
			return err
		}
	}
	if err := d.certify(authority, d.file("radsec.crt"), d.file("radsec.key"), RADIUSClient); err != nil {
		return err
	}
	d.Secret, err = d.readOrMake("radius-secret", rand.Text)
	return err
}

// readOrMake reads a text that the first start wrote, or makes it.
func (d *Cluster) readOrMake(name string, make func() string) (string, error) {
	b, err := os.ReadFile(d.file(name))
	if err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	text := make()
	return text, cli.WriteFile(d.file(name), []byte(text+"\n"), 0o600)
}

// Start starts the nodes that exist, and then creates the others one by one; the
// first node invites them.
func (d *Cluster) Start(ctx context.Context) error {
	first := d.Nodes[0]
	if !first.exists() {
		var f node.Founded
		if err := first.command(ctx, &f, "cluster", "init", "--config", first.config, "-o", "json"); err != nil {
			return err
		}
		if err := cli.WriteFile(d.file("api-token"), []byte(f.Token+"\n"), 0o600); err != nil {
			return err
		}
	}
	var err error
	if d.token, err = d.Env.ReadSecret(d.file("api-token")); err != nil {
		return err
	}
	if err := d.startStopped(); err != nil {
		return err
	}
	for _, n := range d.Nodes {
		if !n.exists() {
			if err := d.join(ctx, n); err != nil {
				return err
			}
		}
	}
	for _, n := range d.Nodes {
		if err := n.ready(ctx); err != nil {
			return err
		}
	}
	return d.settled(ctx)
}

// startStopped starts the nodes that exist and do not run. A node that an earlier
// start left running may stop at any time before this one is complete.
func (d *Cluster) startStopped() error {
	for _, n := range d.Nodes {
		if n.exists() && n.process == nil && !n.running() {
			if err := n.start(); err != nil {
				return err
			}
		}
	}
	return nil
}

// settled waits until every node has a vote. Before that, the loss of one node
// could stop the cluster.
func (d *Cluster) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ReadyWait)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	r := d.API()
	for {
		s, err := r.ClusterStatus(ctx)
		if err != nil {
			return fmt.Errorf("waiting until every node has a vote: %w", err)
		}
		votes := 0
		for _, n := range s.Nodes {
			if n.Voter {
				votes++
			}
		}
		if votes >= len(d.Nodes) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d nodes have a vote: see %s", votes, len(d.Nodes), filepath.Join(d.Nodes[0].Dir, "log"))
		}
	}
}

func (d *Cluster) join(ctx context.Context, n *Node) error {
	if err := d.Nodes[0].ready(ctx); err != nil {
		return err
	}
	invitation, err := d.API().InviteNode(ctx, api.InviteNodeRequest{CommandRequest: byDemo(), Node: n.Name, Approved: true})
	if err != nil {
		return fmt.Errorf("inviting node %s: %w", n.Name, err)
	}
	if err := n.commandWith(ctx, strings.NewReader(invitation.Invitation), nil, "cluster", "join", "--config", n.config); err != nil {
		return err
	}
	return n.start()
}

// byDemo is the reason of the changes, for the audit trail.
func byDemo() api.CommandRequest { return api.CommandRequest{Reason: "keyfob dev"} }

// API returns the API of the first running node, through its socket.
func (d *Cluster) API() *client.Client {
	for _, n := range d.Nodes {
		if n.running() {
			return n.API()
		}
	}
	return d.Nodes[0].API()
}

// End stops the nodes and waits until they have ended.
func (d *Cluster) End() {
	for _, n := range d.Nodes {
		n.terminate()
	}
	for _, n := range d.Nodes {
		n.wait()
	}
}

// credentials writes the credentials of an audit reader to a file, and waits
// until every node accepts them.
func (d *Cluster) credentials(ctx context.Context) error {
	key, err := d.auditReader(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, ReadyWait)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for _, n := range d.Nodes {
		for {
			readers, err := n.API().ListAuditReaders(ctx)
			if err != nil {
				return fmt.Errorf("listing audit readers at node %s: %w", n.Name, err)
			}
			if slices.ContainsFunc(readers, func(r api.AuditReader) bool { return r.Key == key }) {
				break
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("node %s does not know audit reader %s; see %s", n.Name, devReader, filepath.Join(n.Dir, "log"))
			}
		}
	}
	return nil
}

// auditReader returns the key of the audit reader. Credentials of an earlier
// start are kept while they are valid.
func (d *Cluster) auditReader(ctx context.Context) (key string, err error) {
	r := d.API()
	readers, err := r.ListAuditReaders(ctx)
	if err != nil {
		return "", fmt.Errorf("listing audit readers: %w", err)
	}
	i := slices.IndexFunc(readers, func(r api.AuditReader) bool { return r.Name == devReader })
	if i >= 0 {
		if _, err := os.Stat(d.file(credsFile)); err == nil && readers[i].Expires.After(d.Env.Now()) {
			return readers[i].Key, nil
		}
		if err := r.RevokeAuditReader(ctx, devReader, byDemo().Reason); err != nil {
			return "", fmt.Errorf("revoking audit reader %s: %w", devReader, err)
		}
	}
	issued, err := r.IssueAuditReader(ctx, api.IssueAuditReaderRequest{CommandRequest: byDemo(), Name: devReader})
	if err != nil {
		return "", fmt.Errorf("issuing NATS credentials: %w", err)
	}
	return issued.Key, cli.WriteFile(d.file(credsFile), []byte(issued.Credentials), 0o600)
}
