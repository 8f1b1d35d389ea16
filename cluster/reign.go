package cluster

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// govern turns Raft's notices of leadership into reigns until ctx ends. It
// only ever cancels and starts: Raft's main loop waits for whoever is slow to
// take a notice, and a reign waits for Raft.
func (n *Node) govern(ctx context.Context) {
	depose := func() {}
	before := make(chan struct{})
	close(before)
	for {
		select {
		case leads := <-n.notify:
			depose()
			if !leads {
				continue
			}
			reign, cancel := context.WithCancel(ctx)
			last, done := before, make(chan struct{})
			depose, before = cancel, done
			go func() {
				defer close(done)
				defer cancel()
				<-last // one reign at a time
				n.reign(reign)
			}()
		case <-ctx.Done():
			depose()
			n.hush(before)
			return
		}
	}
}

// hush takes notices that nobody needs any more, until the last reign is over.
func (n *Node) hush(over <-chan struct{}) {
	for {
		select {
		case <-n.notify:
		case <-over:
			return
		}
	}
}

// reign leads until ctx ends. It begins with a barrier: only when all that
// earlier leaders committed is applied may anything be decided.
func (n *Node) reign(ctx context.Context) {
	n.log.InfoContext(ctx, "elected leader", "term", n.raft.CurrentTerm())
	for ctx.Err() == nil {
		if err := outcome(n.raft.Barrier(n.c.CommitTimeout), n.dead); err == nil {
			n.lead(ctx)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryPause):
		}
	}
	n.log.InfoContext(ctx, "leader no more")
}

// lead decides and does the leader's duties until ctx or the leadership ends.
func (n *Node) lead(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var duties sync.WaitGroup
	defer duties.Wait()
	defer cancel()
	first := n.accession(ctx)
	duties.Go(func() { n.serve(ctx) })
	n.batcher.run(ctx, first)
}

// accession is what a leader decides before anything else: that it leads, or
// in a new or a restored cluster, that the cluster exists.
func (n *Node) accession(ctx context.Context) []*proposal {
	view, term := n.machine.View(), n.raft.CurrentTerm()
	if view.Sequence == n.before {
		return n.first
	}
	if n.term == term {
		return nil
	}
	n.term = term
	e := events.LeaderChanged{Node: n.c.Node, Before: view.State.Cluster.Leader, Term: term}
	return []*proposal{newProposal(ctx, n.system(), commandRequest{engine.Note{Event: e}})}
}

// system is the origin of what the cluster itself does.
func (n *Node) system() events.Origin {
	return events.Origin{Request: newRequest(), Node: n.c.Node, Site: n.c.Site, Door: events.DoorSystem, Actor: "system"}
}

func newRequest() (r events.Request) {
	_, _ = rand.Read(r[:]) // never fails
	return r
}

// record notes an event, which the leader saw, and waits for it.
func (n *Node) record(ctx context.Context, e events.Event) error {
	p := newProposal(ctx, n.system(), commandRequest{engine.Note{Event: e}})
	n.batcher.submit(p)
	select {
	case r := <-p.answer:
		return r.err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tell notes with the leader what this node observed, until ctx ends.
func (n *Node) tell(ctx context.Context) {
	for {
		select {
		case d := <-n.notes:
			bound, cancel := context.WithTimeout(ctx, n.c.Patience)
			if _, err := n.ask(bound, d.Origin, commandRequest{engine.Note{Event: d.Event}}); err != nil && ctx.Err() == nil {
				n.log.WarnContext(ctx, "an observation was not recorded", "err", err)
			}
			cancel()
		case <-ctx.Done():
			return
		}
	}
}

// observe queues an event for tell, under a request id of its own. If too many
// wait, the log must do.
func (n *Node) observe(o events.Origin, e events.Event) {
	o.Request = newRequest()
	select {
	case n.notes <- events.Draft{Origin: o, Event: e}:
	default:
		n.log.Warn("an observation was dropped: too many wait to be recorded")
	}
}

// snapshots takes one whenever enough bytes of log have been applied, until ctx
// ends. Raft itself counts entries, which may be 300 bytes or 64 KiB.
func (n *Node) snapshots(ctx context.Context) {
	tick := time.NewTicker(n.c.Pulse)
	defer tick.Stop()
	var last uint64
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if applied := n.machine.Bytes(); applied-last >= n.c.SnapshotBytes {
			if err := outcome(n.raft.Snapshot(), n.dead); err != nil && ctx.Err() == nil {
				n.log.WarnContext(ctx, "snapshot was not taken", "err", err)
				continue
			}
			last = applied
		}
	}
}
