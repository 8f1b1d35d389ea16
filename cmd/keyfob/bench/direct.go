package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"keyfob/cluster"
	"keyfob/cmd/keyfob/cli"
	"keyfob/cmd/keyfob/node"
	"keyfob/engine"
	"keyfob/engine/tokencode"
	"keyfob/events"
)

// onLeader calls Authenticate on the leader, without a front end. The nodes are in
// this process and connected as usual.
func (b *bench) onLeader(ctx context.Context, nodes int) (figures, error) {
	dir, remove, err := b.within("direct", nodes)
	if err != nil {
		return figures{}, err
	}
	defer remove()
	c := &inProcess{env: b.env, dir: dir}
	defer c.end()
	defer runtime.KeepAlive(node.SpareHeap()) // as in a server
	if err := c.start(ctx, nodes); err != nil {
		return figures{}, err
	}
	people, err := newPeople(b.users)
	if err != nil {
		return figures{}, err
	}
	leader, err := c.leader(ctx)
	if err != nil {
		return figures{}, err
	}
	if err := b.each(ctx, people, hashesAtOnce, "users and tokens added", leader.introduce); err != nil {
		return figures{}, err
	}
	err = b.each(ctx, people, hashesAtOnce, "PINs verified on the leader", func(ctx context.Context, p *person) error {
		_, err := leader.login(ctx, p, 0)
		return err
	})
	if err != nil {
		return figures{}, err
	}

	before, bytes := c.cost(), leader.Stats().LogBytes
	took, err := b.profiled(fmt.Sprintf("direct%d", nodes), func() (*tally, error) { return b.load(ctx, people, leader.login) })
	if err != nil {
		return figures{}, err
	}
	spent := c.cost().since(before)
	f := took.figures()
	f.spent(spent)
	f.EntryBytes = share(float64(leader.Stats().LogBytes-bytes), spent.events)
	return f, nil
}

// inProcess is a cluster in this process, without front ends.
type inProcess struct {
	env     *cli.Environment
	dir     string
	members []*member
	batches atomic.Uint64
	events  atomic.Uint64
}

type member struct {
	*cluster.Node
	stop context.CancelFunc
	done chan struct{}
}

func (c *inProcess) config(i int) (cluster.Config, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return cluster.Config{}, err
	}
	defer l.Close()
	n := cluster.DefaultConfig()
	n.Node, n.Site = fmt.Sprintf("n%d", i), "bench"
	n.Data, n.Listen, n.Advertise = filepath.Join(c.dir, n.Node), l.Addr().String(), l.Addr().String()
	n.Version, n.Now, n.Log = cli.ThisBuild().Version, c.env.Now, slog.New(slog.DiscardHandler)
	n.Observe = func(events int, _ time.Duration) {
		c.batches.Add(1)
		c.events.Add(uint64(events))
	}
	return n, nil
}

func (c *inProcess) start(ctx context.Context, nodes int) error {
	for i := 1; i <= nodes; i++ {
		config, err := c.config(i)
		if err != nil {
			return err
		}
		if i == 1 {
			_, err = cluster.Bootstrap(ctx, config)
		} else {
			err = c.join(ctx, config)
		}
		if err != nil {
			return fmt.Errorf("making node %s: %w", config.Node, err)
		}
		n, err := cluster.Open(config)
		if err != nil {
			return err
		}
		run, stop := context.WithCancel(context.Background())
		m := &member{Node: n, stop: stop, done: make(chan struct{})}
		go func() { // ended by end
			defer close(m.done)
			_ = n.Run(run)
		}()
		c.members = append(c.members, m)
	}
	return wait(ctx, "every node to have a vote", func(ctx context.Context) error {
		s, err := c.members[0].Status(ctx)
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

func (c *inProcess) join(ctx context.Context, config cluster.Config) error {
	first := c.members[0]
	if err := wait(ctx, "the first node", func(context.Context) error { return first.Ready() }); err != nil {
		return err
	}
	invitation, err := first.Invite(ctx, byBench(), cluster.Invitee{Node: config.Node, TTL: time.Minute, Approved: true})
	if err != nil {
		return err
	}
	return cluster.Join(ctx, invitation, config, func(string) {})
}

func (c *inProcess) leader(ctx context.Context) (leader *member, err error) {
	err = wait(ctx, "a leader", func(context.Context) error {
		for _, m := range c.members {
			if m.Leads() {
				leader = m
				return m.Ready()
			}
		}
		return errors.New("no leader")
	})
	return leader, err
}

// end stops all nodes at once, so that none waits for another.
func (c *inProcess) end() {
	var ends sync.WaitGroup
	for _, m := range c.members {
		ends.Go(func() {
			_ = m.Close()
			<-m.done
			m.stop()
		})
	}
	ends.Wait()
}

// cost returns the counters of the nodes. All CPU time of this process is theirs.
func (c *inProcess) cost() cost {
	all := cost{batches: float64(c.batches.Load()), events: float64(c.events.Load()), cpu: ownCPU()}
	for _, m := range c.members {
		all.transactions += float64(m.Stats().LogCommits)
	}
	return all
}

// byBench is the origin of administrative commands.
func byBench() events.Origin {
	return events.Origin{Request: newRequest(), Door: events.DoorRADIUS, Client: "bench", SourceIP: "127.0.0.1", Actor: "bench"}
}

func newRequest() (r events.Request) {
	_, _ = rand.Read(r[:]) // never fails
	return r
}

// introduce adds a user with a token.
func (m *member) introduce(ctx context.Context, p *person) error {
	if err := m.Do(ctx, byBench(), engine.AddUser{User: p.user}); err != nil {
		return err
	}
	seed, err := m.SealSeed(p.serial, engine.Secret(p.seed))
	if err != nil {
		return err
	}
	pin, err := m.SealPIN(ctx, p.serial, 1, engine.Secret(p.pin))
	if err != nil {
		return err
	}
	return m.Do(ctx, byBench(), engine.ImportToken{
		Token: events.TokenImported{
			Serial: p.serial, Kind: string(tokencode.HOTP), Algorithm: string(benchToken.Algorithm), Digits: uint8(benchToken.Digits), //nolint:gosec // 6
			PINStyle: string(tokencode.Fob), Form: engine.FormEvent, Sealed: seed,
		},
		User: p.user, PIN: pin,
	})
}

// login authenticates as the RADIUS front end does.
func (m *member) login(ctx context.Context, p *person, _ int) (verdict, error) {
	origin := byBench()
	origin.Actor = ""
	out, err := m.Authenticate(ctx, engine.Attempt{Origin: origin, User: p.user, Typed: engine.Secret(p.passcode()), Arrived: time.Now()})
	switch {
	case err != nil:
		return failed, err
	case out.Verdict == engine.Accept:
		return accepted, nil
	case out.Verdict == engine.Reject:
		return rejected, fmt.Errorf("%s was refused: %s", p.user, out.Reason)
	default:
		return failed, fmt.Errorf("%s was answered %v: %s", p.user, out.Verdict, out.Reason)
	}
}

// raftAlone commits entries of the same size to Raft alone.
func (b *bench) raftAlone(ctx context.Context, nodes int, like figures) (figures, error) {
	dir, remove, err := b.within("raw", nodes)
	if err != nil {
		return figures{}, err
	}
	defer remove()
	var waits latencies
	began := ownCPU()
	rate, err := measureRaft(ctx, rawLoad{
		Dir: dir, Nodes: nodes, EntryBytes: max(1, int(like.Batch*like.EntryBytes)), For: b.duration / 2, Observe: waits.add,
	})
	if err != nil {
		return figures{}, err
	}
	events := float64(rate.Entries) * like.Batch
	f := figures{
		PerSecond: events / rate.Took.Seconds(),
		P50:       milliseconds(waits.quantile(0.5)),
		P99:       milliseconds(waits.quantile(0.99)),
		Batch:     like.Batch, EntryBytes: like.EntryBytes,
	}
	const fsyncs = 2
	f.Fsyncs = share(fsyncs*float64(rate.Commits), events)
	f.CPU = share(float64((ownCPU() - began).Microseconds()), events)
	return f, nil
}
