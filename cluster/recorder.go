package cluster

import (
	"context"

	"keyfob/engine"
	"keyfob/events"
)

// recorderQueue is how many observations may wait to be recorded.
const recorderQueue = 16

// recorder has the leader record what this node noticed, without making the
// caller wait.
type recorder struct {
	*self
	forwarder *forwarder
	queue     chan events.Draft
}

// record queues an event under a new request id. If the queue is full, the event
// is dropped and logged.
func (r *recorder) record(o events.Origin, e events.Event) {
	o.Request = newRequest()
	select {
	case r.queue <- events.Draft{Origin: o, Event: e}:
	default:
		r.log.Warn("observation dropped: too many are waiting to be recorded")
	}
}

// run records what is queued until ctx ends.
func (r *recorder) run(ctx context.Context) {
	for {
		select {
		case d := <-r.queue:
			bound, cancel := context.WithTimeout(ctx, r.c.RequestTimeout)
			if _, err := r.forwarder.ask(bound, d.Origin, commandRequest{engine.Note{Event: d.Event}}); err != nil && ctx.Err() == nil {
				r.log.WarnContext(ctx, "observation not recorded", "err", err)
			}
			cancel()
		case <-ctx.Done():
			return
		}
	}
}
