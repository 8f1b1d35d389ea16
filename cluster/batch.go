package cluster

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"keyfob/cluster/clock"
	"keyfob/engine"
	"keyfob/events"
	"keyfob/fsm"
)

// Bounds of a batch: large enough that the disk is not the limit, small enough
// that an entry is one message.
const (
	maxBatchBytes = 64 << 10
	draftBytes    = 256 // approximate size of a draft without its sealed parts

	// How often a batch is decided again after the sequence check refused it.
	maxConflicts = 3
)

// proposal is a login or a command that waits for the leader's decision.
type proposal struct {
	ctx    context.Context
	origin events.Origin
	asked  request
	answer chan reply // of capacity 1
}

func newProposal(ctx context.Context, o events.Origin, asked request) *proposal {
	return &proposal{ctx: ctx, origin: o, asked: asked, answer: make(chan reply, 1)}
}

// request is what the leader decides: a login or a command.
type request interface {
	// decide decides at a time; sound says whether the clock is trusted.
	decide(s *engine.State, o events.Origin, now events.Time, sound bool) (engine.Decision, error)
	// body is what is sent to another node.
	body() any
}

type (
	loginRequest   engine.Authenticate
	commandRequest struct{ engine.Command }
)

func (l loginRequest) body() any { return engine.Authenticate(l) }

func (l loginRequest) decide(s *engine.State, o events.Origin, now events.Time, sound bool) (engine.Decision, error) {
	l.Untimed = l.Untimed || !sound
	return engine.DecideLogin(s, o, engine.Authenticate(l), now)
}

func (c commandRequest) body() any { return c.Command }

func (c commandRequest) decide(s *engine.State, o events.Origin, now events.Time, sound bool) (engine.Decision, error) {
	if !sound {
		return engine.DecideUntimed(s, o, c.Command, now)
	}
	return engine.Decide(s, o, c.Command, now)
}

// ledger is what a batcher commits to: the replica, or a fake in tests.
type ledger interface {
	// View is the present state. While this node leads, everything committed is
	// in it.
	View() *fsm.View
	// Commit proposes an entry and returns when its outcome is known: nil if it
	// is applied, fsm.ErrConflict if the sequence check refused it. Any other
	// error means that this node no longer leads or never proposed it.
	Commit(entry []byte) error
}

// batcher decides what is asked of the leader, in order, one batch after the
// other. It works only while run is running.
type batcher struct {
	stamper clock.Stamper // used by run's goroutine only
	ledger  ledger
	seal    func(base uint64, batch []byte) []byte
	// rotate is asked when a command made a new root key necessary, and answers in the
	// same batch. It may be nil.
	rotate  request
	system  func() events.Origin
	timeout time.Duration
	wait    time.Duration // for a batch to grow
	observe func(events int, took time.Duration)
	log     *slog.Logger

	queue chan *proposal

	mu   sync.RWMutex // guards open; nothing is queued while it is false
	open bool
}

func newBatcher(s *self, l ledger, stamper clock.Stamper, seal func(base uint64, batch []byte) []byte) *batcher {
	b := &batcher{
		stamper: stamper,
		ledger:  l,
		seal:    seal,
		timeout: s.c.CommitTimeout,
		wait:    s.c.BatchWait,
		observe: s.c.Observe,
		log:     s.log,
		queue:   make(chan *proposal, s.c.Queue),
	}
	if b.observe == nil {
		b.observe = func(int, time.Duration) {}
	}
	return b
}

// submit queues a proposal, or answers it immediately if it cannot.
func (b *batcher) submit(p *proposal) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if !b.open {
		p.answer <- reply{Fate: notLeader}
		return
	}
	select {
	case b.queue <- p:
	default:
		p.answer <- reply{Fate: busyNow}
	}
}

// leads reports whether the batcher takes proposals.
func (b *batcher) leads() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.open
}

// run decides proposals until ctx ends or leadership is lost, beginning with
// first. Proposals that remain are answered with notLeader.
func (b *batcher) run(ctx context.Context, first []*proposal) {
	b.mu.Lock()
	b.open = true
	b.mu.Unlock()
	defer b.close()

	var sizes [2]int // of the last two batches
	batch := first
	for {
		if len(batch) > 0 {
			if !b.settle(ctx, batch) {
				return
			}
			sizes[0], sizes[1] = sizes[1], len(batch)
		}
		var ok bool
		if batch, ok = b.gather(ctx, max(sizes[0], sizes[1])); !ok {
			answer(batch, reply{Fate: notLeader})
			return
		}
	}
}

func (b *batcher) close() {
	b.mu.Lock()
	b.open = false
	b.mu.Unlock()
	for {
		select {
		case p := <-b.queue:
			p.answer <- reply{Fate: notLeader}
		default:
			return
		}
	}
}

// gather waits for a proposal and takes all others that are waiting. While the
// batch is smaller than the previous ones, it waits a little: the callers of the
// previous batch come back within microseconds, and without the wait the first
// of them would get a batch of its own.
func (b *batcher) gather(ctx context.Context, expected int) (batch []*proposal, ok bool) {
	select {
	case p := <-b.queue:
		batch = append(batch, p)
	case <-ctx.Done():
		return nil, false
	}
	var late <-chan time.Time
	for len(batch) < maxCommands {
		select {
		case p := <-b.queue:
			batch = append(batch, p)
			continue
		default:
		}
		if b.wait == 0 || len(batch) >= expected {
			return batch, true
		}
		if late == nil {
			timer := time.NewTimer(b.wait)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case p := <-b.queue:
			batch = append(batch, p)
		case <-late:
			return batch, true
		case <-ctx.Done():
			return batch, false
		}
	}
	return batch, true
}

// settle decides, commits and answers a batch, in several entries if it is too
// long for one. It returns false if leadership is lost; all proposals of the
// batch have been answered then.
func (b *batcher) settle(ctx context.Context, batch []*proposal) bool {
	conflicts := 0
	for len(batch) > 0 {
		batch = waiting(batch)
		view := b.ledger.View()
		d := b.decide(view, batch)
		if len(d.drafts) == 0 {
			d.answer(view.Sequence)
			batch = batch[len(d.replies):]
			continue
		}
		entry, err := d.entry(view)
		if err != nil {
			b.log.ErrorContext(ctx, "batch cannot be encoded", "err", err)
			answer(batch[:len(d.replies)], reply{Fate: unknown})
			batch = batch[len(d.replies):]
			continue
		}
		switch err := b.commit(ctx, d, b.seal(view.Sequence, entry)); {
		case err == nil:
			batch = batch[len(d.replies):]
			conflicts = 0
		case errors.Is(err, fsm.ErrConflict) && conflicts < maxConflicts:
			// Entries of the previous leader were still in progress. The batch is
			// decided again on the state that they led to.
			conflicts++
			b.log.InfoContext(ctx, "batch decided again: the state has changed", "base", view.Sequence)
		default:
			answer(batch, reply{Fate: unknown})
			return false
		}
	}
	return true
}

// waiting drops the proposals whose callers are gone.
func waiting(batch []*proposal) []*proposal {
	left := batch[:0]
	for _, p := range batch {
		if p.ctx.Err() == nil {
			left = append(left, p)
		} else {
			answer([]*proposal{p}, reply{Fate: unknown})
		}
	}
	return left
}

func answer(batch []*proposal, r reply) {
	for _, p := range batch {
		select {
		case p.answer <- r:
		default: // already answered
		}
	}
}

// decisions are the decided but uncommitted first part of a batch.
type decisions struct {
	batch   []*proposal
	replies []reply
	drafts  []events.Draft
	stamp   events.Time
	wanted  bool // a new root key, before this batch
}

// decide decides as much of a batch as fits into one entry, each command on the
// result of those before it. If it is not committed, nothing of it remains.
func (b *batcher) decide(view *fsm.View, batch []*proposal) decisions {
	now, sound := b.stamper.Stamp(view.Time)
	d := decisions{batch: batch, stamp: now, wanted: view.State.Cluster.Keys.Wanted != ""}
	scratch := view.State.Copy()
	weight := 0
	for _, p := range batch {
		decision, err := p.asked.decide(scratch, p.origin, now, sound)
		for _, draft := range decision.Drafts {
			scratch.Apply(now, draft)
			weight += draftBytes + sealedBytes(draft.Event)
		}
		d.drafts = append(d.drafts, decision.Drafts...)
		d.replies = append(d.replies, replyTo(decision, err))
		if weight >= maxBatchBytes || b.rotated(scratch, &d) {
			break // what follows is sealed under the new root key
		}
	}
	return d
}

// rotated adds a new version of the root key to a batch that made one necessary. If
// that fails, the leader's task tries again.
func (b *batcher) rotated(scratch *engine.State, d *decisions) bool {
	if b.rotate == nil || scratch.Cluster.Keys.Wanted == "" || d.wanted {
		return false
	}
	decision, err := b.rotate.decide(scratch, b.system(), d.stamp, true)
	if err != nil {
		b.log.Warn("root key not rotated yet", "err", err)
	}
	d.drafts = append(d.drafts, decision.Drafts...)
	return len(decision.Drafts) > 0
}

// sealedBytes is the size of the sealed parts of an event.
func sealedBytes(e events.Event) int {
	switch e := e.(type) {
	case events.TokenImported:
		return len(e.Sealed)
	case events.ClientAdded:
		return len(e.Sealed)
	case events.ClientSecretRotated:
		return len(e.Sealed)
	case events.ApprovalRequested:
		return len(e.Body) + len(strings.Join(e.Summary, ""))
	case events.ClusterFounded:
		return len(e.Certificate) + len(e.Sealed)
	case events.RecordsResealed:
		return len(e.Values) * draftBytes / 2
	case events.RootKeyRotated:
		return len(e.Boxes) * draftBytes * 8
	case events.CARotated:
		return len(e.Certificate) + len(e.Sealed)
	default:
		return 0
	}
}

func replyTo(d engine.Decision, err error) reply {
	var refusal *engine.Refusal
	switch {
	case err == nil:
		d.Drafts = nil
		return reply{Fate: decided, Decision: d}
	case errors.Is(err, engine.ErrStale):
		return reply{Fate: stale}
	case errors.Is(err, engine.ErrUntimed):
		return reply{Fate: unsound}
	case errors.As(err, &refusal):
		return refusalReply(refusal)
	default:
		return reply{Fate: malformed}
	}
}

func (d decisions) entry(view *fsm.View) ([]byte, error) {
	return events.EncodeBatch(events.Batch{Base: view.Sequence, Head: view.Head, Time: d.stamp, Drafts: d.drafts})
}

// answer sends the replies. They are based on all records up to sequence.
func (d decisions) answer(sequence uint64) {
	for i, r := range d.replies {
		r.Sequence = sequence
		answer(d.batch[i:i+1], r)
	}
}

// commit proposes the entry and waits until its outcome is known, however long
// that takes. After the timeout the callers are told that the outcome is unknown.
// So nothing is decided while a batch may still be committed.
func (b *batcher) commit(ctx context.Context, d decisions, entry []byte) error {
	began := time.Now()
	known := make(chan error, 1)
	go func() { known <- b.ledger.Commit(entry) }() // ends at the latest when this node stops leading
	timer := time.NewTimer(b.timeout)
	defer timer.Stop()
	var err error
	select {
	case err = <-known:
	case <-timer.C:
		b.log.WarnContext(ctx, "commit is slow; its outcome is reported as unknown", "commands", len(d.replies))
		answer(d.batch[:len(d.replies)], reply{Fate: unknown})
		err = <-known
	}
	if err != nil {
		return err
	}
	b.observe(len(d.drafts), time.Since(began))
	d.answer(b.ledger.View().Sequence)
	return nil
}
