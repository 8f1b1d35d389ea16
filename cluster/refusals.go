package cluster

import (
	"context"
	"errors"
	"time"

	"keyfob/cluster/refusal"
	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/events"
)

// refusals limits, delays and samples the refused attempts of this node.
type refusals struct {
	*self
	gate     *refusal.Gate
	delay    *refusal.Delay
	sampler  *refusal.Sampler
	vault    *vault.Vault
	recorder *recorder
	stopping <-chan struct{}
}

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

// hold waits until a refusal may leave. That hides what was wrong, whether the
// user exists, and how long the commit took.
func (r *refusals) hold(ctx context.Context, arrived time.Time, delay time.Duration) error {
	if arrived.IsZero() {
		return nil // not from a door
	}
	due, err := r.delay.Hold(r.c.Now().Sub(arrived), delay)
	if err != nil || due == nil {
		return err
	}
	select {
	case <-due:
	case <-ctx.Done(): // the caller is gone
	case <-r.stopping:
	}
	return nil
}

// throttled is the refusal of an attempt whose source or client has too many
// failures.
func (r *refusals) throttled(ctx context.Context, a engine.Attempt, delay, wait time.Duration) (engine.Outcome, error) {
	if err := r.hold(ctx, a.Arrived, delay); err != nil {
		return engine.Outcome{}, err
	}
	return engine.Outcome{Reason: events.ReasonThrottled, Reference: a.Origin.Reference, Wait: wait}, nil
}

// count samples a refusal that writes no event of its own.
func (r *refusals) count(a engine.Attempt, reason events.Reason) {
	e := events.PasscodeRejected{Digest: r.vault.Pseudonym(a.User), Reason: reason}
	r.sample(string(reason), a.Origin.Reference, a.Origin, e)
}

// sample records a refusal, or counts it towards the next record of its kind.
func (r *refusals) sample(kind, label string, o events.Origin, e events.Sampled) {
	if d, ok := r.sampler.Add(kind, label, o, e, time.Now()); ok {
		r.recorder.record(d.Origin, d.Event)
	}
}

// CountRefusal records a request that a front end refused by itself, or counts
// it towards the next record of its kind. It does not wait. The label tells
// refusals of a kind apart.
func (n *Node) CountRefusal(label string, o events.Origin, e events.Sampled) {
	n.refusals.sample(events.Name(e), label, o, e)
}

// run records the sampled refusals at intervals until ctx ends.
func (r *refusals) run(ctx context.Context) {
	tick := time.NewTicker(r.c.SampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			for _, d := range r.sampler.Flush(time.Now()) {
				r.recorder.record(d.Origin, d.Event)
			}
		case <-ctx.Done():
			return
		}
	}
}
