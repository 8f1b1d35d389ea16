package cluster

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"keyfob/cluster/link"
	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/events"
)

// leadership decides commands and runs the leader's tasks while this node leads.
type leadership struct {
	*self
	replica *replica
	batcher *batcher
	peers   *peers
	link    *link.Link
	vault   *vault.Vault
	keys    *keychain

	first []events.Event // of a new or restored cluster
	base  uint64         // the record that they follow
	term  uint64         // the last term whose leader was recorded

	leaving map[string]leaving // removed nodes by id; used by runTasks' goroutine
}

// run turns Raft's notices of leadership into calls of lead until ctx ends. It
// only cancels and starts: Raft's main loop blocks while a notice is not read,
// and lead waits for Raft.
func (l *leadership) run(ctx context.Context) {
	stepDown := func() {}
	ended := make(chan struct{})
	close(ended)
	for {
		select {
		case leads := <-l.replica.elected:
			stepDown()
			if !leads {
				continue
			}
			term, cancel := context.WithCancel(ctx)
			previous, done := ended, make(chan struct{})
			stepDown, ended = cancel, done
			go func() {
				defer close(done)
				defer cancel()
				<-previous // one term at a time
				l.lead(term)
			}()
		case <-ctx.Done():
			stepDown()
			l.drainNotices(ended)
			return
		}
	}
}

// drainNotices discards notices until the last term has ended.
func (l *leadership) drainNotices(ended <-chan struct{}) {
	for {
		select {
		case <-l.replica.elected:
		case <-ended:
			return
		}
	}
}

// lead leads until ctx ends. A barrier comes first: nothing is decided before
// everything that earlier leaders committed is applied.
func (l *leadership) lead(ctx context.Context) {
	l.log.InfoContext(ctx, "leadership acquired", "term", l.replica.raft.CurrentTerm())
	for ctx.Err() == nil {
		if err := l.replica.await(l.replica.raft.Barrier(l.c.CommitTimeout)); err == nil {
			l.decide(ctx)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryPause):
		}
	}
	l.log.InfoContext(ctx, "leadership lost")
}

// decide decides commands and runs the leader's tasks until ctx or the
// leadership ends.
func (l *leadership) decide(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel()
	first := l.firstCommands(ctx)
	tasks.Go(func() { l.runTasks(ctx) })
	if l.first == nil { // a node that is being created has its root key saved afterwards
		rotate := &rotation{self: l.self, replica: l.replica, vault: l.vault, census: &l.keys.census, start: l.startRotation, newCA: l.rotateCA, record: l.record}
		tasks.Go(func() { rotate.run(ctx) })
	}
	l.batcher.run(ctx, first)
}

// firstCommands are decided before any other: that this node leads, or in a new
// or restored cluster, that the cluster exists.
func (l *leadership) firstCommands(ctx context.Context) []*proposal {
	view, term := l.replica.View(), l.replica.raft.CurrentTerm()
	facts := l.first
	if view.Sequence != l.base {
		if l.term == term {
			return nil
		}
		l.term = term
		facts = []events.Event{events.LeaderChanged{Node: l.c.Node, Before: view.State.Cluster.Leader, Term: term}}
	}
	var list []*proposal
	for _, e := range facts {
		list = append(list, newProposal(ctx, l.system(), commandRequest{engine.Note{Event: e}}))
	}
	return list
}

// startRotation has a new version of the root key made that the state wants.
func (l *leadership) startRotation(ctx context.Context) error {
	_, err := l.propose(ctx, rotationRequest{l.keys, rand.Reader})
	return err
}

// record has an event committed that the leader noticed itself, and waits for
// it.
func (l *leadership) record(ctx context.Context, e events.Event) (reply, error) {
	return l.propose(ctx, commandRequest{engine.Note{Event: e}})
}

func (l *leadership) propose(ctx context.Context, asked request) (reply, error) {
	p := newProposal(ctx, l.system(), asked)
	l.batcher.submit(p)
	select {
	case r := <-p.answer:
		return r, r.err()
	case <-ctx.Done():
		return reply{}, ctx.Err()
	}
}
