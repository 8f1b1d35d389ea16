package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyfob/events"
)

// underWay is a message that was sent and not acknowledged.
type underWay struct {
	sequence uint64
	ok       <-chan *jetstream.PubAck
	err      <-chan error
}

// feed is a connection's publishing: what was read, and what is under way.
type feed struct {
	*Publisher
	js      jetstream.JetStream
	last    uint64 // that was sent
	waiting []events.Record
	sent    []underWay
}

// run publishes what follows the record numbered last, until something is
// wrong.
func (f *feed) run(ctx context.Context, closed <-chan nats.Status) error {
	patience := time.NewTimer(ackWait)
	defer patience.Stop()
	for {
		changed := f.c.Journal.Changed()
		if err := f.fill(); err != nil {
			return err
		}
		var first underWay // its channels are nil when nothing is under way
		if len(f.sent) > 0 {
			first, changed = f.sent[0], nil
		}
		patience.Reset(ackWait)
		select {
		case ack := <-first.ok:
			if ack.Sequence != first.sequence {
				return fmt.Errorf("record %d became message %d: %w", first.sequence, ack.Sequence, errMoved)
			}
			f.published.Store(ack.Sequence)
			f.sent = f.sent[1:]
		case err := <-first.err:
			return refusal(first.sequence, err)
		case <-changed:
		case <-patience.C:
			if len(f.sent) > 0 {
				return fmt.Errorf("record %d: no acknowledgement within %v", first.sequence, ackWait)
			}
		case <-closed:
			return nats.ErrConnectionClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fill fills the window.
func (f *feed) fill() error {
	for len(f.sent) < window {
		if len(f.waiting) == 0 {
			var err error
			if f.waiting, err = f.c.Journal.Read(f.last+1, piece); err != nil || len(f.waiting) == 0 {
				return err
			}
		}
		r := f.waiting[0]
		ack, err := send(f.js, f.c.Journal.Cluster(), r)
		if err != nil {
			return fmt.Errorf("publishing record %d: %w", r.Sequence, err)
		}
		f.sent = append(f.sent, underWay{r.Sequence, ack.Ok(), ack.Err()})
		f.last, f.waiting = r.Sequence, f.waiting[1:]
	}
	return nil
}

func send(js jetstream.JetStream, cluster string, r events.Record) (jetstream.PubAckFuture, error) {
	return js.PublishMsgAsync(&nats.Msg{
		Subject: events.Subject(r),
		Header:  nats.Header{"Content-Type": {contentType}},
		Data:    events.CloudEvent(cluster, r),
	},
		jetstream.WithMsgID(strconv.FormatUint(r.Sequence, 10)),
		jetstream.WithExpectStream(Name),
		jetstream.WithExpectLastSequence(r.Sequence-1),
		jetstream.WithRetryAttempts(0))
}

// refusal tells the stream having moved from what is wrong with it.
func refusal(sequence uint64, err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		err = errMoved
	}
	return fmt.Errorf("record %d: %w", sequence, err)
}
