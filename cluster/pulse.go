package cluster

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"keyfob/events"
	"keyfob/fsm"
)

// pulse is what a node tells of itself.
type pulse struct {
	_        struct{} `cbor:",toarray"`
	Version  string
	Now      int64 // nanoseconds since 1970, by its clock
	Leading  bool  // it takes commands
	Sound    bool  // a majority agrees with its clock
	Last     uint64
	Commit   uint64
	Sequence uint64
	Members  []member // as it knows them
	Mark     mark
}

// mark is the digest of the state right after a checkpoint, which all nodes can
// name alike.
type mark struct {
	_        struct{} `cbor:",toarray"`
	Sequence uint64
	Digest   events.Hash
}

const maxPulse = 64 << 10 // bytes

// peers is what this node heard of the others.
type peers struct {
	mu      sync.Mutex // guards below
	heard   map[string]heard
	learned []member // by the longest log heard of, while ours is shorter
	index   uint64   // commit index of that log
}

type heard struct {
	pulse pulse
	at    time.Time
}

func (p *peers) of(id string) (heard, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h, ok := p.heard[id]
	return h, ok
}

// note takes down a pulse. A node that was away for long may know nothing of
// those who joined in the meantime, the leader among them; until its own log
// has caught up, it believes who is ahead of it and a member.
func (p *peers) note(id string, h heard, commit uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard[id] = h
	if h.pulse.Commit > max(commit, p.index) {
		p.learned, p.index = h.pulse.Members, h.pulse.Commit
	}
}

// believed is the members learned of others, none when our log tells more.
func (p *peers) believed(commit uint64) []member {
	p.mu.Lock()
	defer p.mu.Unlock()
	if commit > 0 && commit >= p.index {
		return nil
	}
	return p.learned
}

// keep forgets nodes that are not among the members any more.
func (p *peers) keep(ids []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.heard {
		if !slices.Contains(ids, id) {
			delete(p.heard, id)
		}
	}
}

// members are those of the latest configuration.
func (n *Node) members() []member {
	f := n.raft.GetConfiguration()
	if f.Error() != nil {
		return nil
	}
	servers := f.Configuration().Servers
	list := make([]member, len(servers))
	for i, s := range servers {
		list[i] = member{ID: string(s.ID), Address: string(s.Address), Voter: s.Suffrage == raft.Voter}
	}
	return list
}

// Address implements link.Membership.
func (n *Node) Address(id string) (string, bool) {
	if !n.made.Load() {
		return "", false // Raft dials when it is being made
	}
	for _, list := range [][]member{n.members(), n.peers.believed(n.raft.CommitIndex())} {
		for _, m := range list {
			if m.ID == id {
				return m.Address, true
			}
		}
	}
	return "", false
}

// isMember says whether this node is one itself, as far as it knows.
func (n *Node) isMember() bool {
	list := n.members()
	if len(list) == 0 {
		list = n.peers.believed(0)
	}
	return slices.ContainsFunc(list, func(m member) bool { return m.ID == n.id.ID })
}

// feel exchanges pulses with the other nodes until ctx ends.
func (n *Node) feel(ctx context.Context) {
	tick := time.NewTicker(n.c.Pulse)
	defer tick.Stop()
	for {
		n.round(ctx)
		n.judge(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (n *Node) round(ctx context.Context) {
	list := n.members()
	if len(list) == 0 {
		list = n.peers.believed(0)
	}
	var ids, voters []string
	for _, m := range list {
		ids = append(ids, m.ID)
		if m.Voter {
			voters = append(voters, m.ID)
		}
	}
	n.peers.keep(ids)
	n.clock.SetVoters(voters, n.id.ID)
	n.link.Recheck()

	ctx, cancel := context.WithTimeout(ctx, max(n.c.Pulse, time.Second))
	defer cancel()
	var calls sync.WaitGroup
	for _, id := range ids {
		if id != n.id.ID {
			calls.Go(func() {
				if err := n.hear(ctx, id); err != nil {
					n.log.DebugContext(ctx, "no pulse", "member", id, "err", err)
				}
			})
		}
	}
	calls.Wait()
}

// hear takes one node's pulse.
func (n *Node) hear(ctx context.Context, id string) error {
	asked, began := n.c.Now(), time.Now()
	body, err := n.call(ctx, http.MethodGet, id, "/pulse", nil, maxPulse)
	if err != nil {
		return err
	}
	var p pulse
	if err := wireDecoding.Unmarshal(body, &p); err != nil {
		return fmt.Errorf("%w: %w", errWire, err)
	}
	n.clock.Read(id, time.Unix(0, p.Now), asked, time.Since(began))
	n.peers.note(id, heard{pulse: p, at: time.Now()}, n.raft.CommitIndex())
	return nil
}

// pulse serves this node's own.
func (n *Node) pulse(w http.ResponseWriter, _ *http.Request) {
	body, err := wireEncoding.Marshal(n.ownPulse())
	if err != nil {
		http.Error(w, "pulse cannot be written", http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(body)
}

func (n *Node) ownPulse() pulse {
	p := pulse{
		Version:  n.c.Version,
		Leading:  n.batcher.leads(),
		Sound:    n.clock.Sound(),
		Last:     n.raft.LastIndex(),
		Commit:   n.raft.CommitIndex(),
		Sequence: n.machine.View().Sequence,
		Members:  n.members(),
		Now:      n.c.Now().UnixNano(),
	}
	if m := n.mark.Load(); m != nil {
		p.Mark = *m
	}
	return p
}

// judge draws the conclusions of a round: about this node's clock, and about
// its state.
func (n *Node) judge(ctx context.Context) {
	j := n.clock.Check()
	if j.Disputed && !n.disputed {
		n.log.WarnContext(ctx, "this node's clock is not the cluster's; it answers no logins but those by event tokens",
			"offset_ms", j.Offset.Milliseconds())
		n.observe(n.system(), events.ClockSkewed{Node: n.c.Node, Offset: j.Offset.Milliseconds()})
	}
	if n.disputed && j.Sound {
		n.log.InfoContext(ctx, "this node's clock agrees with the cluster's again")
	}
	n.disputed = j.Disputed || n.disputed && !j.Sound
	if n.disputed && n.raft.State() == raft.Leader {
		n.abdicate(ctx)
	}
	n.compare(ctx)
}

// abdicate hands the leadership to a voter whose clock is sound, if there is
// one. If there is none, nobody would lead any better.
func (n *Node) abdicate(ctx context.Context) {
	for _, m := range n.members() {
		h, ok := n.peers.of(m.ID)
		if !ok || !m.Voter || !h.pulse.Sound || time.Since(h.at) > n.staleAfter() {
			continue
		}
		n.log.WarnContext(ctx, "handing over leadership for the clock's sake", "to", nameOf(m.ID))
		f := n.raft.LeadershipTransferToServer(raft.ServerID(m.ID), raft.ServerAddress(m.Address))
		if err := outcome(f, n.dead); err == nil {
			return
		}
	}
}

// staleAfter is when a pulse says nothing any more.
func (n *Node) staleAfter() time.Duration { return 3 * max(n.c.Pulse, time.Second) }

// compare holds the digest of this node's state against the others', each as it
// was right after the same checkpoint. The log's chain shows when two nodes
// folded other events; this shows when they folded the same to something else.
func (n *Node) compare(ctx context.Context) {
	view := n.machine.Marked()
	own := n.mark.Load()
	if view != nil && (own == nil || own.Sequence != view.Sequence) {
		digest, err := fsm.Digest(view.State)
		if err != nil {
			n.fail(fmt.Errorf("digesting the state at record %d: %w", view.Sequence, err))
			return
		}
		own = &mark{Sequence: view.Sequence, Digest: digest}
		n.mark.Store(own)
	}
	if own == nil {
		return
	}
	voters, same := 0, 1
	others := make(map[events.Hash]int)
	for _, m := range n.members() {
		if !m.Voter {
			continue
		}
		voters++
		h, ok := n.peers.of(m.ID)
		if !ok || m.ID == n.id.ID || h.pulse.Mark.Sequence != own.Sequence {
			continue
		}
		if h.pulse.Mark.Digest == own.Digest {
			same++
		} else {
			others[h.pulse.Mark.Digest]++
		}
	}
	for _, count := range others {
		n.log.ErrorContext(ctx, "states differ between nodes", "sequence", own.Sequence, "alike", same, "different", count)
		if count > voters/2 {
			n.fail(fmt.Errorf("this node has gone astray: its state after record %d is not that of the majority; "+
				"remove it from the cluster and let it join anew with an empty data directory", own.Sequence))
		}
	}
}
