// Package bench is the load generator. It measures logins per second on temporary
// clusters, and compares them with Raft alone.
package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"keyfob/cmd/keyfob/cli"
)

// bench measures logins per second on temporary clusters: over RADIUS, with each
// node a process of this binary; at the node itself, without a front end; and Raft
// alone, which is the limit of the disk and the network.
type bench struct {
	env         *cli.Environment
	nodes       []int
	users       int
	concurrency int
	duration    time.Duration
	profiles    string // directory; empty: none are taken

	dir string // of everything
}

// Bounds of the flags. A node accepts 512 requests of one client at once.
const (
	maxBenchNodes       = 5
	maxBenchUsers       = 20_000
	maxBenchConcurrency = 512
	maxBenchDuration    = 10 * time.Minute
)

func Command(e *cli.Environment) *cobra.Command {
	b := &bench{env: e}
	out := &cli.Output{}
	c := cli.Command("bench", "Measure logins per second on temporary clusters on this machine", func(c *cobra.Command, _ []string) error {
		if err := b.validate(); err != nil {
			return err
		}
		report, err := b.run(c.Context())
		if err != nil {
			return err
		}
		if err := out.Show(e.Out, report, report.table); err != nil {
			return err
		}
		if failure := report.failure(); failure != "" {
			return fmt.Errorf("not every login was accepted, so the figures are invalid: %s", failure)
		}
		return nil
	})
	f := c.Flags()
	f.IntSliceVar(&b.nodes, "nodes", []int{1, 3}, "cluster sizes to measure")
	f.IntVar(&b.users, "users", 256, "users, each with a token and a PIN; each PIN costs 20 ms of a core once per node (Argon2id)")
	f.IntVar(&b.concurrency, "concurrency", 256, "concurrent logins; each user waits for the answer before the next login")
	cli.DurationVar(f, &b.duration, "duration", 10*time.Second, "duration of each load; half of it for Raft alone")
	f.StringVar(&b.profiles, "profile", "", "`DIR` for CPU profiles of the nodes and of this process, for go tool pprof")
	return out.Flag(c)
}

func (b *bench) validate() error {
	for _, n := range b.nodes {
		if n < 1 || n > maxBenchNodes {
			return cli.Usagef("--nodes %d: want 1 to %d", n, maxBenchNodes)
		}
	}
	switch {
	case len(b.nodes) == 0:
		return cli.Usagef("--nodes is empty")
	case b.concurrency < 1 || b.concurrency > maxBenchConcurrency:
		return cli.Usagef("--concurrency %d: want 1 to %d", b.concurrency, maxBenchConcurrency)
	case b.users < b.concurrency || b.users > maxBenchUsers:
		return cli.Usagef("--users %d: want %d to %d, at least one for each of --concurrency", b.users, b.concurrency, maxBenchUsers)
	case b.duration < 100*time.Millisecond || b.duration > maxBenchDuration:
		return cli.Usagef("--duration %v: want 100ms to %v", b.duration, maxBenchDuration)
	}
	return nil
}

func (b *bench) run(ctx context.Context) (benchReport, error) {
	// The thread that starts the nodes must live as long as this process, because
	// the kernel ends the nodes with the thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	var err error
	if b.dir, err = os.MkdirTemp("", "keyfob-bench-"); err != nil {
		return benchReport{}, fmt.Errorf("making a directory: %w", err)
	}
	defer os.RemoveAll(b.dir)
	if b.profiles != "" {
		if err := os.MkdirAll(b.profiles, 0o700); err != nil {
			return benchReport{}, fmt.Errorf("making --profile: %w", err)
		}
	}
	report := benchReport{
		Build: cli.ThisBuild(), Cores: runtime.GOMAXPROCS(0),
		Users: b.users, Concurrency: b.concurrency, Seconds: b.duration.Seconds(),
	}
	for _, n := range b.nodes {
		one, err := b.measure(ctx, n)
		if err != nil {
			return report, fmt.Errorf("with %s: %w", nodesOf(n), err)
		}
		report.Clusters = append(report.Clusters, one)
	}
	return report, nil
}

// measure measures one cluster size, one load after the other.
func (b *bench) measure(ctx context.Context, nodes int) (clusterFigures, error) {
	out := clusterFigures{Nodes: nodes}
	var err error
	if out.RADIUS, err = b.overRADIUS(ctx, nodes); err != nil {
		return out, fmt.Errorf("logins over RADIUS: %w", err)
	}
	if out.Direct, err = b.onLeader(ctx, nodes); err != nil {
		return out, fmt.Errorf("logins at the node itself: %w", err)
	}
	if out.RawDirect, err = b.raftAlone(ctx, nodes, out.Direct); err != nil {
		return out, err
	}
	out.RADIUS.EntryBytes = out.Direct.EntryBytes // the same events
	if out.RawRADIUS, err = b.raftAlone(ctx, nodes, out.RADIUS); err != nil {
		return out, err
	}
	out.DirectOfRaw = share(out.Direct.PerSecond, out.RawDirect.PerSecond)
	out.RADIUSOfRaw = share(out.RADIUS.PerSecond, out.RawRADIUS.PerSecond)
	return out, nil
}

// within creates a directory for a load, and returns the function that removes it.
func (b *bench) within(name string, nodes int) (dir string, remove func(), err error) {
	dir = filepath.Join(b.dir, fmt.Sprintf("%s%d", name, nodes))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", nil, fmt.Errorf("making a directory: %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}

func nodesOf(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}

func share(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return part / whole
}

// progress prints how far a step is, every now and then.
type progress struct {
	env  *cli.Environment
	what string
	all  int
	said time.Time
}

func (p *progress) reached(done int) {
	if now := time.Now(); done == p.all || now.Sub(p.said) >= cli.SayEvery {
		p.said = now
		p.env.Say("%s: %d of %d", p.what, done, p.all)
	}
}

// errStopped is returned if the bench is interrupted.
var errStopped = errors.New("stopped")
