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

// underWay is a message whose acknowledgement was asked for and has not come.
type underWay struct {
	sequence uint64
	ok       <-chan *jetstream.PubAck
	err      <-chan error
}

// feed is a connection's publishing, and what is under way.
type feed struct {
	*Publisher
	js   jetstream.JetStream
	last uint64 // that was sent
	sent []underWay
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

// fill fills the window. An acknowledgement is asked for with the last message
// of those at hand only: each says which sequence the stream must have before
// it, so the last is not taken in unless all before it were.
func (f *feed) fill() error {
	for free := window - int(f.last-f.published.Load()); free > 0; {
		records, err := f.c.Journal.Read(f.last+1, min(piece, free))
		if err != nil || len(records) == 0 {
			return err
		}
		for i, r := range records {
			if err := f.send(r, i == len(records)-1); err != nil {
				return fmt.Errorf("publishing record %d: %w", r.Sequence, err)
			}
			f.last = r.Sequence
		}
		free -= len(records)
	}
	return nil
}

func (f *feed) send(r events.Record, acknowledged bool) error {
	m := message(f.c.Journal.Cluster(), r)
	if !acknowledged {
		return f.js.Conn().PublishMsg(m)
	}
	ack, err := f.js.PublishMsgAsync(m, jetstream.WithRetryAttempts(0))
	if err == nil {
		f.sent = append(f.sent, underWay{r.Sequence, ack.Ok(), ack.Err()})
	}
	return err
}

func message(cluster string, r events.Record) *nats.Msg {
	return &nats.Msg{
		Subject: events.Subject(r),
		Header: nats.Header{
			"Content-Type":                  {contentType},
			jetstream.MsgIDHeader:           {strconv.FormatUint(r.Sequence, 10)},
			jetstream.ExpectedStreamHeader:  {Name},
			jetstream.ExpectedLastSeqHeader: {strconv.FormatUint(r.Sequence-1, 10)},
		},
		Data: events.CloudEvent(cluster, r),
	}
}

// refusal tells the stream having moved from what is wrong with it.
func refusal(sequence uint64, err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		err = errMoved
	}
	return fmt.Errorf("record %d: %w", sequence, err)
}
