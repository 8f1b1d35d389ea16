package cluster

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"keyfob/cluster/vault"
	"keyfob/events"
)

// caughtUpWithin is how close to the end of the log a new node must be to get a
// vote.
const caughtUpWithin = 64

// runTasks does the leader's periodic work until ctx ends.
func (l *leadership) runTasks(ctx context.Context) {
	tick := time.NewTicker(l.c.HeartbeatInterval)
	defer tick.Stop()
	since := time.Now()
	signed := l.lastCheckpoint(since)
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, task := range []func(context.Context) error{
			l.updateMembers,
			func(ctx context.Context) error { return l.recordLostNodes(ctx, since) },
			l.endApprovals,
			func(ctx context.Context) error { return l.signCheckpoint(ctx, &signed) },
		} {
			if err := task(ctx); err != nil && ctx.Err() == nil {
				l.log.WarnContext(ctx, "leader task failed", "err", err)
			}
		}
	}
}

// updateMembers changes Raft's configuration to what the state says: it removes
// nodes that are no longer members, and gives new nodes a vote once they have
// caught up.
func (l *leadership) updateMembers(ctx context.Context) error {
	view := l.replica.View()
	state := view.State
	if state.Cluster.ID == "" {
		return nil // still bootstrapping
	}
	if state.Node(l.c.Node) == nil {
		return l.handOverAndLeave()
	}
	for _, m := range l.replica.members() {
		if m.ID == l.id.ID {
			continue
		}
		if state.Node(nameOf(m.ID)) == nil {
			if !l.knowsOfRemoval(m.ID, view.Sequence) {
				continue
			}
			if err := l.replica.remove(m.ID); err != nil {
				return fmt.Errorf("removing node %s: %w", m.ID, err)
			}
			delete(l.leaving, m.ID)
			l.link.Recheck()
			l.log.InfoContext(ctx, "node removed", "member", nameOf(m.ID))
			continue
		}
		beat, ok := l.peers.recent(m.ID)
		if m.Voter || !ok || beat.Last+caughtUpWithin < l.replica.raft.LastIndex() {
			continue
		}
		if err := l.replica.addVoter(m); err != nil {
			return fmt.Errorf("giving node %s a vote: %w", m.ID, err)
		}
		l.log.InfoContext(ctx, "node became a voter", "member", nameOf(m.ID))
	}
	return nil
}

// leaving is a node that was removed and is still in Raft's configuration.
type leaving struct {
	sequence uint64 // a record behind that of its removal
	since    time.Time
}

// knowsOfRemoval reports whether a removed node has applied the record of its
// removal, or answers no longer. It cannot learn of it after it has been taken
// out of Raft's configuration.
func (l *leadership) knowsOfRemoval(id string, sequence uint64) bool {
	left, ok := l.leaving[id]
	if !ok {
		left = leaving{sequence: sequence, since: time.Now()}
		l.leaving[id] = left
	}
	beat, answers := l.peers.recent(id)
	return !answers || beat.Left || beat.Sequence >= left.sequence || time.Since(left.since) > l.c.LostAfter
}

// handOverAndLeave is for a leader that was removed: the next leader removes it
// from Raft's configuration.
func (l *leadership) handOverAndLeave() error {
	if len(l.replica.members()) < 2 {
		return errors.New("the last node of a cluster cannot be removed")
	}
	if err := l.replica.transfer(); err != nil {
		return fmt.Errorf("handing over leadership before leaving: %w", err)
	}
	return nil
}

// recordLostNodes records which voters fell silent and which answer again. A new
// leader has heard from nobody yet, so silence counts from the start of its term.
func (l *leadership) recordLostNodes(ctx context.Context, start time.Time) error {
	state := l.replica.state()
	for _, m := range l.replica.members() {
		record := state.Node(nameOf(m.ID))
		if m.ID == l.id.ID || record == nil || !m.Voter {
			continue
		}
		since := start
		if beat, ok := l.peers.of(m.ID); ok && beat.at.After(start) {
			since = beat.at
		}
		silent := time.Since(since) > l.c.LostAfter
		heard := since != start && time.Since(since) <= l.c.silentAfter()
		var err error
		switch {
		case silent && !record.Lost:
			l.log.WarnContext(ctx, "node lost", "member", record.Name)
			_, err = l.record(ctx, events.NodeLost{Node: record.Name})
		case heard && !silent && record.Lost:
			l.log.InfoContext(ctx, "node returned", "member", record.Name)
			_, err = l.record(ctx, events.NodeReturned{Node: record.Name})
		}
		if err != nil {
			return fmt.Errorf("recording a lost or returned node: %w", err)
		}
	}
	return nil
}

// endApprovals records which commands waited too long for an approval.
func (l *leadership) endApprovals(ctx context.Context) error {
	view := l.replica.View()
	for _, e := range view.State.ExpiredApprovals(max(events.At(l.c.Now()), view.Time)) {
		if _, err := l.record(ctx, e); err != nil {
			return fmt.Errorf("ending approval %s: %w", e.ID, err)
		}
	}
	return nil
}

// checkpoint is where and when the chain was last signed.
type checkpoint struct {
	sequence uint64
	at       time.Time
}

// lastCheckpoint is where a new leader continues.
func (l *leadership) lastCheckpoint(start time.Time) checkpoint {
	last := checkpoint{at: start}
	if v := l.replica.machine.Checkpoint(); v != nil {
		last.sequence = v.Sequence
	}
	return last
}

// signCheckpoint signs the head of the chain if there are new records and the
// last signature is old or many records ago.
func (l *leadership) signCheckpoint(ctx context.Context, last *checkpoint) error {
	view := l.replica.View()
	unsigned := view.Sequence - min(last.sequence, view.Sequence)
	if unsigned == 0 || unsigned < l.c.CheckpointAfter && time.Since(last.at) < l.c.CheckpointEvery {
		return nil
	}
	key := signingKey(l.vault)
	r, err := l.record(ctx, events.CheckpointSigned{
		Sequence:  view.Sequence,
		Head:      view.Head,
		Key:       key.Public().(ed25519.PublicKey),
		Signature: ed25519.Sign(key, events.CheckpointText(l.id.Cluster, view.Sequence, view.Head)),
	})
	if err != nil {
		return fmt.Errorf("signing a checkpoint: %w", err)
	}
	*last = checkpoint{sequence: r.Sequence, at: time.Now()}
	return nil
}

const checkpointLabel = "checkpoint"

func signingKey(v *vault.Vault) ed25519.PrivateKey {
	seed := v.Derive(vault.Signing, checkpointLabel)
	return ed25519.NewKeyFromSeed(seed[:])
}
