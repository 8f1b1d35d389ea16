package bench

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"time"

	"keyfob/api"
	"keyfob/api/client"
	"keyfob/cmd/keyfob/demo"
	"keyfob/engine"
	"keyfob/engine/tokencode"
	"keyfob/radius"
)

const (
	// Concurrent Argon2id computations while tokens are added and PINs are first
	// verified: enough for the cores, and less than a node would shed.
	hashesAtOnce = 16

	socketsEach = 4 // of the VPN, per node
)

// overRADIUS sends logins over UDP, as VPNs do. Each node is a process of this
// binary, started as keyfob dev does.
func (b *bench) overRADIUS(ctx context.Context, nodes int) (figures, error) {
	dir, remove, err := b.within("radius", nodes)
	if err != nil {
		return figures{}, err
	}
	defer remove()
	d, err := b.processes(ctx, dir, nodes)
	if d != nil {
		defer d.End()
	}
	if err != nil {
		return figures{}, err
	}
	people, err := newPeople(b.users)
	if err != nil {
		return figures{}, err
	}
	if err := b.introduce(ctx, d.API(), people, d.Secret); err != nil {
		return figures{}, err
	}
	vpn, err := dialAll(ctx, d)
	defer vpn.close()
	if err != nil {
		return figures{}, err
	}
	if err := b.warm(ctx, people, vpn); err != nil {
		return figures{}, err
	}

	before, err := clusterCost(ctx, d)
	if err != nil {
		return figures{}, err
	}
	took, err := b.profiled(fmt.Sprintf("radius%d-asking", nodes), func() (*tally, error) {
		profiles := b.nodeProfiles(ctx, d)
		defer profiles.Wait()
		return b.load(ctx, people, vpn.login)
	})
	if err != nil {
		return figures{}, err
	}
	after, err := clusterCost(ctx, d)
	if err != nil {
		return figures{}, err
	}
	f := took.figures()
	f.spent(after.since(before))
	return f, nil
}

// processes starts a cluster on free ports. The caller ends the cluster, also if
// there is an error.
func (b *bench) processes(ctx context.Context, dir string, nodes int) (*demo.Cluster, error) {
	const tries, lowest, highest = 20, 20_000, 32_000 // below the ephemeral ports
	var d *demo.Cluster
	var err error
	for range tries {
		d = &demo.Cluster{Env: b.env, Dir: dir, Base: lowest + mathrand.IntN(highest-lowest)}
		if err = d.Inspect(nodes, false); err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	b.env.Say("starting %s", nodesOf(nodes))
	if err := d.Prepare(); err != nil {
		return nil, err
	}
	if err := d.Start(ctx); err != nil {
		return d, err
	}
	return d, wait(ctx, "every node to have a vote", func(ctx context.Context) error {
		s, err := d.API().ClusterStatus(ctx)
		if err != nil {
			return err
		}
		voters := 0
		for _, n := range s.Nodes {
			if n.Voter {
				voters++
			}
		}
		return allVote(voters, nodes)
	})
}

func allVote(voters, nodes int) error {
	if voters != nodes {
		return fmt.Errorf("%d of %d nodes have a vote", voters, nodes)
	}
	return nil
}

// wait calls try until it succeeds.
func wait(ctx context.Context, what string, try func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, demo.ReadyWait)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
	}
}

// introduce adds the VPN, the users and their tokens.
func (b *bench) introduce(ctx context.Context, r *client.Client, people []*person, secret string) error {
	reason := api.CommandRequest{Reason: "keyfob bench"}
	vpn := api.AddClientRequest{CommandRequest: reason, Name: "bench", Prefix: "127.0.0.0/8", Secret: api.Secret(secret), Trusted: true}
	if _, err := r.AddClient(ctx, vpn); err != nil {
		return fmt.Errorf("adding RADIUS client: %w", err)
	}
	return b.each(ctx, people, hashesAtOnce, "users and tokens added", func(ctx context.Context, p *person) error {
		if _, err := r.AddUser(ctx, api.AddUserRequest{CommandRequest: reason, User: p.user}); err != nil {
			return err
		}
		_, err := r.AddToken(ctx, api.AddTokenRequest{
			CommandRequest: reason, PIN: api.Secret(p.pin),
			TokenRecord: api.TokenRecord{Serial: p.serial, Kind: string(tokencode.HOTP), Seed: api.Secret(p.seedText()), Encoding: "hex", User: p.user},
		})
		return err
	})
}

// askers are the sockets of the VPN, several per node.
type askers struct{ nodes [][]*radius.Client }

func dialAll(ctx context.Context, d *demo.Cluster) (*askers, error) {
	g := &askers{}
	for _, n := range d.Nodes {
		var sockets []*radius.Client
		for range socketsEach {
			c, err := radius.Dial(ctx, radius.ClientConfig{
				Server: demo.Loopback(n.Ports.Radius), Secret: engine.Secret(d.Secret), Timeout: 5 * time.Second, Tries: 1, Random: rand.Reader,
			})
			if err != nil {
				return g, err
			}
			sockets = append(sockets, c)
		}
		g.nodes = append(g.nodes, sockets)
	}
	return g, nil
}

func (g *askers) close() {
	for _, sockets := range g.nodes {
		for _, c := range sockets {
			_ = c.Close()
		}
	}
}

// login sends a login to the node whose turn it is.
func (g *askers) login(ctx context.Context, p *person, turn int) (verdict, error) {
	sockets := g.nodes[turn%len(g.nodes)]
	r, err := sockets[turn/len(g.nodes)%len(sockets)].Authenticate(ctx, radius.Login{User: p.user, Passcode: engine.Secret(p.passcode())})
	switch {
	case err != nil:
		return failed, err
	case r.Code == radius.AccessAccept:
		return accepted, nil
	case r.Code == radius.AccessReject:
		return rejected, fmt.Errorf("%s was refused: %s", p.user, r.Message)
	default:
		return failed, fmt.Errorf("%s was answered %v: %s", p.user, r.Code, r.Message)
	}
}

// patiently retries, as a VPN does without an answer. On a busy machine, hashing
// many PINs may take longer than the time limit of a node.
func patiently(try func() error) (err error) {
	const tries = 3
	for range tries {
		if err = try(); err == nil {
			return nil
		}
	}
	return err
}

// warm verifies each PIN once on each node. A node caches verified PINs, so that
// Argon2id is computed only at the first login after a start; the figures are for
// the logins after that.
func (b *bench) warm(ctx context.Context, people []*person, g *askers) error {
	for i := range g.nodes {
		what := fmt.Sprintf("PINs verified on node %d", i+1)
		err := b.each(ctx, people, hashesAtOnce, what, func(ctx context.Context, p *person) error {
			return patiently(func() error {
				_, err := g.login(ctx, p, i)
				return err
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// clusterCost reads the counters of the nodes and the CPU time of this process.
func clusterCost(ctx context.Context, d *demo.Cluster) (cost, error) {
	c := cost{load: ownCPU()}
	for _, n := range d.Nodes {
		values, err := nodeMetrics(ctx, n)
		if err != nil {
			return c, fmt.Errorf("reading the metrics of node %s: %w", n.Name, err)
		}
		c.batches += values["keyfob_batch_events_count"]
		c.events += values["keyfob_batch_events_sum"]
		c.transactions += values["keyfob_log_transactions_total"]
		c.cpu += time.Duration(values["process_cpu_seconds_total"] * float64(time.Second))
	}
	return c, nil
}

// nodeMetrics returns the metrics of a node that have no labels.
func nodeMetrics(ctx context.Context, n *demo.Node) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+demo.Loopback(n.Ports.Metrics)+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	values := map[string]float64{}
	lines := bufio.NewScanner(io.LimitReader(resp.Body, 4<<20))
	for lines.Scan() {
		name, text, ok := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(text, 64); ok && err == nil {
			values[name] = v
		}
	}
	return values, lines.Err()
}

// profiled takes a CPU profile of this process during a load, with --profile.
func (b *bench) profiled(name string, load func() (*tally, error)) (*tally, error) {
	if b.profiles == "" {
		return load()
	}
	f, err := os.Create(filepath.Join(b.profiles, name+".pprof"))
	if err != nil {
		return nil, fmt.Errorf("making a profile: %w", err)
	}
	defer f.Close()
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, fmt.Errorf("making a profile: %w", err)
	}
	defer pprof.StopCPUProfile()
	return load()
}

// nodeProfiles takes a CPU profile of each node during a load, with --profile. An
// error is printed and does not affect the load.
func (b *bench) nodeProfiles(ctx context.Context, d *demo.Cluster) *sync.WaitGroup {
	var all sync.WaitGroup
	if b.profiles == "" {
		return &all
	}
	const longest = 30 // seconds
	seconds := min(longest, max(1, int(b.duration.Seconds())))
	for _, n := range d.Nodes {
		all.Go(func() {
			name := fmt.Sprintf("radius%d-%s.pprof", len(d.Nodes), n.Name)
			if err := takeProfile(ctx, n, seconds, filepath.Join(b.profiles, name)); err != nil {
				b.env.Say("no profile of node %s: %v", n.Name, err)
			}
		})
	}
	return &all
}

// takeProfile takes a CPU profile of a running node, through its socket.
func takeProfile(ctx context.Context, n *demo.Node, seconds int, file string) error {
	profile, err := n.API().Profile(ctx, seconds)
	if err != nil {
		return err
	}
	return os.WriteFile(file, profile, 0o600)
}
