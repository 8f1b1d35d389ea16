package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyfob/events"
)

const (
	window   = 512              // messages under way
	piece    = 256              // records read at once
	ackWait  = 10 * time.Second // for one acknowledgement, and for one request
	minDelay = 50 * time.Millisecond
	maxDelay = 10 * time.Second
)

// PublisherConfig is what a publisher is made of.
type PublisherConfig struct {
	Journal Journal
	// Connect makes a connection that does not reconnect by itself: Server.Connect
	// or External.
	Connect func(context.Context) (*nats.Conn, error)
	// First is the number with which a stream begins that has to be made,
	// default 1: a stream elsewhere need not have all that ever happened.
	First uint64
	// Replicas of a stream that has to be made, default 1.
	Replicas int
	Log      *slog.Logger
}

// Validate reports everything that is missing.
func (c PublisherConfig) Validate() error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New(what))
		}
	}
	need(c.Journal != nil, "no journal")
	need(c.Connect != nil, "no way to connect")
	need(c.Log != nil, "no log")
	need(c.Replicas >= 0 && c.Replicas <= 5, fmt.Sprintf("%d replicas: up to 5 are possible", c.Replicas))
	return errors.Join(errs...)
}

// Publisher brings the records of a journal into the stream, each once and in
// order. It never makes the journal wait, and holds no more than a window of
// messages however long NATS is away.
type Publisher struct {
	c         PublisherConfig
	published atomic.Uint64
}

// NewPublisher is a publisher at rest.
func NewPublisher(c PublisherConfig) (*Publisher, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("making publisher: %w", err)
	}
	c.First, c.Replicas = max(c.First, 1), max(c.Replicas, 1)
	return &Publisher{c: c}, nil
}

// External is how to connect to a NATS of the site's. credsFile may be empty.
func External(url, credsFile string) func(context.Context) (*nats.Conn, error) {
	return func(context.Context) (*nats.Conn, error) {
		options := []nats.Option{nats.Name("keyfob publisher"), nats.NoReconnect(), nats.Timeout(ackWait)}
		if credsFile != "" {
			options = append(options, nats.UserCredentials(credsFile))
		}
		return nats.Connect(url, options...)
	}
}

// Published is the number of the last record that the stream is known to hold.
func (p *Publisher) Published() uint64 { return p.published.Load() }

// Backlog is how many records of the journal the stream is not known to hold.
func (p *Publisher) Backlog() uint64 {
	last, _ := p.c.Journal.Last()
	return last - min(p.Published(), last)
}

// Run publishes until ctx is over; then it returns nil. Whatever goes wrong at
// NATS is tried again, later and later. Only ErrFork ends it: the stream holds
// something else than the journal, and somebody must look.
func (p *Publisher) Run(ctx context.Context) error {
	delay := minDelay
	for {
		before := p.Published()
		err := p.session(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrFork):
			p.c.Log.ErrorContext(ctx, "audit stream and journal differ, publishing stopped", "stream", Name, "err", err)
			return err
		}
		if p.Published() > before {
			delay = minDelay
		}
		if !errors.Is(err, errMoved) {
			p.c.Log.WarnContext(ctx, "audit stream not reached", "err", err, "retry_in", delay, "backlog", p.Backlog())
		}
		// Two publishers must not keep in step.
		if !sleep(ctx, delay/2+rand.N(delay)) {
			return nil
		}
		delay = min(2*delay, maxDelay)
	}
}

// errMoved says that somebody else has published meanwhile, or that the stream
// was put back: look again.
var errMoved = errors.New("the stream is not where it was")

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// session is one connection's life.
func (p *Publisher) session(ctx context.Context) error {
	if err := p.until(ctx, p.c.Journal.Whole); err != nil {
		return err
	}
	nc, err := p.c.Connect(ctx)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(2*window), jetstream.WithDefaultTimeout(ackWait))
	if err != nil {
		return err
	}
	last, err := p.settle(ctx, js)
	if err != nil {
		return err
	}
	p.published.Store(last)
	return p.feed(ctx, nc, js, last)
}

// until waits for the journal.
func (p *Publisher) until(ctx context.Context, ready func() bool) error {
	for {
		changed := p.c.Journal.Changed()
		if ready() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// settle makes the stream if there is none, compares its end with the journal,
// and says where it ends.
func (p *Publisher) settle(ctx context.Context, js jetstream.JetStream) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, ackWait)
	defer cancel()
	st, err := js.Stream(ctx, Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		p.c.Log.InfoContext(ctx, "making audit stream", "stream", Name, "first_sequence", p.c.First)
		st, err = js.CreateStream(ctx, p.streamConfig())
	}
	if err != nil {
		return 0, fmt.Errorf("looking at stream %s: %w", Name, err)
	}
	state := st.CachedInfo().State
	if state.LastSeq == 0 || state.Msgs == 0 {
		return state.LastSeq, nil
	}
	m, err := st.GetMsg(ctx, state.LastSeq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		p.c.Log.WarnContext(ctx, "the last message of the audit stream is gone and cannot be compared", "sequence", state.LastSeq)
		return state.LastSeq, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading message %d: %w", state.LastSeq, err)
	}
	return state.LastSeq, p.compare(ctx, m)
}

func (p *Publisher) streamConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        Name,
		Description: "what happened at keyfob, in order; the sequence is the number of the record",
		Subjects:    []string{Subjects},
		Storage:     jetstream.FileStorage,
		Compression: jetstream.S2Compression,
		Replicas:    p.c.Replicas,
		FirstSeq:    p.c.First,
		DenyDelete:  true,
		DenyPurge:   true,
		// The ids of the messages are for consumers; what keeps repeats out is
		// the expected sequence. Remembering ids costs 133 bytes each.
		Duplicates: time.Second,
	}
}

// compare holds a message of the stream against the record of its number. A
// journal that is not so far yet, after a crash perhaps, is waited for.
func (p *Publisher) compare(ctx context.Context, m *jetstream.RawStreamMsg) error {
	held := func() bool { last, _ := p.c.Journal.Last(); return last >= m.Sequence }
	if err := p.until(ctx, held); err != nil {
		last, _ := p.c.Journal.Last()
		return fmt.Errorf("the stream holds message %d, the journal ends at %d: %w", m.Sequence, last, err)
	}
	records, err := p.c.Journal.Read(m.Sequence, 1)
	if err != nil {
		return err
	}
	if len(records) != 1 || !bytes.Equal(events.CloudEvent(p.c.Journal.Cluster(), records[0]), m.Data) {
		return fmt.Errorf("message %d: %w", m.Sequence, ErrFork)
	}
	return nil
}

// underWay is a message that was sent and not acknowledged.
type underWay struct {
	sequence uint64
	ack      jetstream.PubAckFuture
}

// feed publishes what follows the record numbered last.
func (p *Publisher) feed(ctx context.Context, nc *nats.Conn, js jetstream.JetStream, last uint64) error {
	closed := nc.StatusChanged(nats.CLOSED)
	var waiting []events.Record
	sent := make([]underWay, 0, window)
	timer := time.NewTimer(ackWait)
	defer timer.Stop()
	for {
		changed := p.c.Journal.Changed()
		for len(sent) < window {
			if len(waiting) == 0 {
				var err error
				if waiting, err = p.c.Journal.Read(last+1, piece); err != nil {
					return err
				}
				if len(waiting) == 0 {
					break
				}
			}
			ack, err := p.send(js, waiting[0])
			if err != nil {
				return fmt.Errorf("publishing record %d: %w", last+1, err)
			}
			sent = append(sent, underWay{waiting[0].Sequence, ack})
			last, waiting = waiting[0].Sequence, waiting[1:]
		}
		if len(sent) == 0 {
			select {
			case <-changed:
			case <-closed:
				return nats.ErrConnectionClosed
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		timer.Reset(ackWait)
		select {
		case ack := <-sent[0].ack.Ok():
			if ack.Sequence != sent[0].sequence {
				return fmt.Errorf("record %d became message %d: %w", sent[0].sequence, ack.Sequence, errMoved)
			}
			p.published.Store(ack.Sequence)
			sent = sent[1:]
		case err := <-sent[0].ack.Err():
			return refusal(sent[0].sequence, err)
		case <-timer.C:
			return fmt.Errorf("record %d: no acknowledgement within %v", sent[0].sequence, ackWait)
		case <-closed:
			return nats.ErrConnectionClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *Publisher) send(js jetstream.JetStream, r events.Record) (jetstream.PubAckFuture, error) {
	return js.PublishMsgAsync(&nats.Msg{
		Subject: events.Subject(r),
		Header:  nats.Header{"Content-Type": {contentType}},
		Data:    events.CloudEvent(p.c.Journal.Cluster(), r),
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
