package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"keyfob/engine"
)

// errRemoved is why a removed node does not serve.
var errRemoved = errors.New("this node was removed from the cluster")

// removal stops a node that was removed from the cluster. The node refuses
// requests as soon as it learns of its removal. It leaves only when it is out of
// Raft's configuration: until then the others may need its vote.
type removal struct {
	*self
	replica  *replica
	caughtUp func() error
	base     func() uint64 // before this record the node need not be a member
	refuse   func(error)
	fail     func(error)
	noticed  atomic.Bool
	since    time.Time // of noticed; used by run's goroutine
}

// run checks until ctx ends.
func (r *removal) run(ctx context.Context) {
	tick := time.NewTicker(r.c.HeartbeatInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.check(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (r *removal) check(ctx context.Context) {
	if !r.noticed.Load() {
		// A node that has not caught up may read of its name before it joined.
		if r.caughtUp() != nil && !r.replica.machine.Left() {
			return
		}
		if view := r.replica.View(); view.Sequence == r.base() || view.State.Node(r.c.Node) != nil {
			return
		}
		r.noticed.Store(true)
		r.since = time.Now()
		r.refuse(fmt.Errorf("%w: %w", errRemoved, engine.ErrUndecided))
		r.log.WarnContext(ctx, "this node was removed from the cluster; it no longer serves requests")
		if err := r.file.change(func(id *identity) { id.Removed = true }); err != nil {
			r.fail(err)
		}
	}
	for _, m := range r.replica.members() {
		if m.ID == r.id.ID && time.Since(r.since) < 2*r.c.LostAfter {
			return
		}
	}
	r.fail(fmt.Errorf("%w; to add it again, join with a new invitation and an empty data directory", errRemoved))
}
