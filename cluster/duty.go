package cluster

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/events"
)

const (
	// A newcomer becomes a voter when it is this close to the end of the log.
	caughtUp = 64

	configTimeout = 5 * time.Second
)

// serve does what falls to the leader besides deciding, until ctx ends.
func (n *Node) serve(ctx context.Context) {
	tick := time.NewTicker(n.c.Pulse)
	defer tick.Stop()
	began := time.Now()
	signed := n.lastCheckpoint(began)
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, duty := range []func(context.Context) error{
			n.reconcile,
			func(ctx context.Context) error { return n.watch(ctx, began) },
			func(ctx context.Context) error { return n.checkpoint(ctx, &signed) },
		} {
			if err := duty(ctx); err != nil && ctx.Err() == nil {
				n.log.WarnContext(ctx, "leader's duty", "err", err)
			}
		}
	}
}

// reconcile makes Raft's configuration what the state says: whoever is removed
// goes, and a newcomer that has caught up gets a vote.
func (n *Node) reconcile(ctx context.Context) error {
	state := n.State()
	if state.Cluster.ID == "" {
		return nil // being founded
	}
	if state.Node(n.c.Node) == nil {
		return n.leave()
	}
	for _, m := range n.members() {
		if m.ID == n.id.ID {
			continue
		}
		if state.Node(nameOf(m.ID)) == nil {
			if err := outcome(n.raft.RemoveServer(raft.ServerID(m.ID), 0, configTimeout), n.dead); err != nil {
				return fmt.Errorf("removing node %s: %w", m.ID, err)
			}
			n.link.Recheck()
			n.log.InfoContext(ctx, "node removed", "member", nameOf(m.ID))
			continue
		}
		h, ok := n.peers.of(m.ID)
		if m.Voter || !ok || time.Since(h.at) > n.staleAfter() || h.pulse.Last+caughtUp < n.raft.LastIndex() {
			continue
		}
		if err := outcome(n.raft.AddVoter(raft.ServerID(m.ID), raft.ServerAddress(m.Address), 0, configTimeout), n.dead); err != nil {
			return fmt.Errorf("giving node %s a vote: %w", m.ID, err)
		}
		n.log.InfoContext(ctx, "node has a vote now", "member", nameOf(m.ID))
	}
	return nil
}

// leave is what a leader does that has been removed itself: the next one will
// take it out of the configuration.
func (n *Node) leave() error {
	if len(n.members()) < 2 {
		return errors.New("the last node of a cluster cannot be removed")
	}
	if err := outcome(n.raft.LeadershipTransfer(), n.dead); err != nil {
		return fmt.Errorf("handing over leadership before leaving: %w", err)
	}
	return nil
}

// watch records which voters fell silent and which are heard again. A leader
// that has just begun has heard of nobody yet, and waits as long as for
// everybody else.
func (n *Node) watch(ctx context.Context, began time.Time) error {
	state := n.State()
	for _, m := range n.members() {
		record := state.Node(nameOf(m.ID))
		if m.ID == n.id.ID || record == nil || !m.Voter {
			continue
		}
		since := began
		if h, ok := n.peers.of(m.ID); ok && h.at.After(began) {
			since = h.at
		}
		silent := time.Since(since) > n.c.LostAfter
		heard := since != began && time.Since(since) <= n.staleAfter()
		var err error
		switch {
		case silent && !record.Lost:
			n.log.WarnContext(ctx, "node lost", "member", record.Name)
			err = n.record(ctx, events.NodeLost{Node: record.Name})
		case heard && !silent && record.Lost:
			n.log.InfoContext(ctx, "node returned", "member", record.Name)
			err = n.record(ctx, events.NodeReturned{Node: record.Name})
		}
		if err != nil {
			return fmt.Errorf("recording a lost or returned node: %w", err)
		}
	}
	return nil
}

// signature is where and when the chain was last signed.
type signature struct {
	sequence uint64
	at       time.Time
}

// lastCheckpoint is where a new leader begins to count.
func (n *Node) lastCheckpoint(began time.Time) signature {
	s := signature{at: began}
	if v := n.machine.Marked(); v != nil {
		s.sequence = v.Sequence
	}
	return s
}

// checkpoint signs the chain's head when it has been signed long ago, or many
// records ago, and there is something new.
func (n *Node) checkpoint(ctx context.Context, last *signature) error {
	view := n.machine.View()
	fresh := view.Sequence - min(last.sequence, view.Sequence)
	if fresh == 0 || fresh < n.c.CheckpointAfter && time.Since(last.at) < n.c.CheckpointEvery {
		return nil
	}
	key := n.signingKey()
	text := events.CheckpointText(n.id.Cluster, view.Sequence, view.Head)
	e := events.CheckpointSigned{
		Sequence:  view.Sequence,
		Head:      view.Head,
		Key:       key.Public().(ed25519.PublicKey),
		Signature: ed25519.Sign(key, text),
	}
	p := newProposal(ctx, n.system(), commandRequest{engine.Note{Event: e}})
	n.batcher.submit(p)
	select {
	case r := <-p.answer:
		if err := r.err(); err != nil {
			return fmt.Errorf("signing a checkpoint: %w", err)
		}
		*last = signature{sequence: r.Sequence, at: time.Now()}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *Node) signingKey() ed25519.PrivateKey {
	seed := n.vault.Derive(vault.Signing, "checkpoint")
	return ed25519.NewKeyFromSeed(seed[:])
}

// CheckpointKey is the public key under which this cluster's checkpoints are
// signed, for readers of the audit stream.
func (n *Node) CheckpointKey() ed25519.PublicKey {
	return n.signingKey().Public().(ed25519.PublicKey)
}
