package cluster

import (
	"context"
	"errors"
	"time"

	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/events"
)

// countsAsFailure reports whether an attempt counts against its source and
// client. An undecided attempt does not, with two exceptions: a caller that
// disconnects still has its guess decided, and a node that is out of capacity
// for PINs must not reveal by the budget which tokencode was correct.
func countsAsFailure(caller context.Context, out engine.Outcome, err error) bool {
	if err == nil {
		return out.Verdict == engine.Reject
	}
	return errors.Is(err, vault.ErrBusy) || errors.Is(caller.Err(), context.Canceled)
}

// throttled refuses an attempt without checking it, at the time of any other
// refusal.
func (n *Node) throttled(ctx context.Context, a engine.Attempt, wait time.Duration) (engine.Outcome, error) {
	n.countRefusal(a, events.ReasonThrottled)
	if err := n.delay(ctx, a.Arrived); err != nil {
		return engine.Outcome{}, err
	}
	return engine.Outcome{Reason: events.ReasonThrottled, Reference: a.Origin.Reference, Wait: wait}, nil
}

// delay holds a refusal until its time. That hides what was wrong, whether the
// user exists, and how long the commit took.
func (n *Node) delay(ctx context.Context, arrived time.Time) error {
	if arrived.IsZero() {
		return nil // not from a door
	}
	due, err := n.refusals.Hold(n.c.Now().Sub(arrived), n.State().Policy.RefusalDelay)
	if err != nil || due == nil {
		return err
	}
	select {
	case <-due:
	case <-ctx.Done(): // the caller is gone
	case <-n.stopping:
	}
	return nil
}

// countRefusal samples a refusal that writes no event of its own.
func (n *Node) countRefusal(a engine.Attempt, reason events.Reason) {
	e := events.PasscodeRejected{Digest: n.vault.Pseudonym(a.User), Reason: reason}
	if d, ok := n.sampler.Add(a.Origin, e, time.Now()); ok {
		n.observe(d.Origin, d.Event)
	}
}

// recordRefusals records the sampled refusals at intervals until ctx ends.
func (n *Node) recordRefusals(ctx context.Context) {
	tick := time.NewTicker(n.c.SampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			for _, d := range n.sampler.Flush(time.Now()) {
				n.observe(d.Origin, d.Event)
			}
		case <-ctx.Done():
			return
		}
	}
}
