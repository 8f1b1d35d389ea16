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

// errJournal is returned when the journal cannot be read.
var errJournal = errors.New("reading the journal")

// inFlight is a message that waits for its acknowledgement.
type inFlight struct {
	sequence uint64
	ok       <-chan *jetstream.PubAck
	err      <-chan error
}

// feed publishes over one connection.
type feed struct {
	*Publisher
	js   jetstream.JetStream
	last uint64 // record sent
	sent []inFlight
}

// run publishes the records after last until an error occurs.
func (f *feed) run(ctx context.Context, closed <-chan nats.Status) error {
	look := time.NewTicker(checkTime)
	defer look.Stop()
	progress := time.Now() // something was acknowledged, or nothing was in flight
	for {
		changed := f.c.Journal.Changed()
		if err := f.fillWindow(); err != nil {
			return err
		}
		var first inFlight // its channels are nil when nothing is in flight
		if len(f.sent) > 0 {
			first, changed = f.sent[0], nil
		} else {
			progress = time.Now()
		}
		select {
		case ack := <-first.ok:
			if ack.Sequence != first.sequence {
				return fmt.Errorf("record %d was stored as message %d: %w", first.sequence, ack.Sequence, errMoved)
			}
			f.published.Store(ack.Sequence)
			f.sent, progress = f.sent[1:], time.Now()
		case err := <-first.err:
			return publishError(first.sequence, err)
		case <-changed:
		case <-look.C:
			if time.Since(progress) > ackWait {
				return fmt.Errorf("record %d: no acknowledgement within %v", first.sequence, ackWait)
			}
			if err := f.check(ctx); err != nil {
				return err
			}
		case <-closed:
			return nats.ErrConnectionClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fillWindow sends records until the window is full. Only the last message of
// each read requests an acknowledgement: each message names the sequence before
// it, so the stream rejects the last one unless it has stored all the others.
func (f *feed) fillWindow() error {
	for free := window - int(f.last-f.published.Load()); free > 0; {
		records, err := f.c.Journal.Read(f.last+1, min(readBatch, free))
		if err != nil {
			return fmt.Errorf("%w: %w", errJournal, err)
		}
		if len(records) == 0 {
			return nil
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
		f.sent = append(f.sent, inFlight{r.Sequence, ack.Ok(), ack.Err()})
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

// publishError turns a wrong last sequence into errMoved.
func publishError(sequence uint64, err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		err = errMoved
	}
	return fmt.Errorf("record %d: %w", sequence, err)
}
