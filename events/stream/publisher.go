package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
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
	return (&feed{Publisher: p, js: js, last: last}).run(ctx, nc.StatusChanged(nats.CLOSED))
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
