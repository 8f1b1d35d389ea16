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
	window    = 512              // messages in flight
	readBatch = 256              // records read at once
	ackWait   = 10 * time.Second // for one acknowledgement, and for one request
	minDelay  = 50 * time.Millisecond
	maxDelay  = 10 * time.Second
	checkTime = 2 * time.Second // between two looks at the stream
	maxMoved  = 3               // sessions in which the stream has not grown, before that is a failure
	maxAhead  = 6               // sessions in which the journal has not reached the end of the stream
)

// PublisherConfig configures a Publisher.
type PublisherConfig struct {
	Journal Journal
	// Connect opens a connection that does not reconnect by itself: Server.Connect
	// or External.
	Connect func(context.Context) (*nats.Conn, error)
	// Repair mends the server after err, if it can: Server.Repair. It is nil for a
	// server of the site, which is left as it is: its operator must look.
	Repair func(ctx context.Context, err error) error
	// First is the first record of a stream that has to be created, default 1. An
	// external stream need not hold the whole history.
	First uint64
	// Replicas is the replica count of a stream that has to be created, default 1.
	Replicas int
	Log      *slog.Logger
}

// Validate reports all problems.
func (c PublisherConfig) Validate() error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New(what))
		}
	}
	need(c.Journal != nil, "no journal")
	need(c.Connect != nil, "no connect function")
	need(c.Log != nil, "no log")
	need(c.Replicas >= 0 && c.Replicas <= 5, fmt.Sprintf("%d replicas: the maximum is 5", c.Replicas))
	return errors.Join(errs...)
}

// Publisher publishes the records of a journal to the stream, each once and in
// order. It never blocks the journal, and holds at most one window of messages
// however long NATS is unavailable.
type Publisher struct {
	c         PublisherConfig
	published atomic.Uint64
	health    health
}

// NewPublisher returns a publisher; Run starts it.
func NewPublisher(c PublisherConfig) (*Publisher, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("configuring publisher: %w", err)
	}
	c.First, c.Replicas = max(c.First, 1), max(c.Replicas, 1)
	return &Publisher{c: c}, nil
}

// External returns a function that connects to the site's own NATS. credsFile
// may be empty.
func External(url, credsFile string) func(context.Context) (*nats.Conn, error) {
	return func(context.Context) (*nats.Conn, error) {
		options := []nats.Option{nats.Name("keyfob publisher"), nats.NoReconnect(), nats.Timeout(ackWait)}
		if credsFile != "" {
			options = append(options, nats.UserCredentials(credsFile))
		}
		return nats.Connect(url, options...)
	}
}

// Published returns the number of the last record the stream is known to hold.
func (p *Publisher) Published() uint64 { return p.published.Load() }

// Backlog returns how many records of the journal are not yet published.
func (p *Publisher) Backlog() uint64 {
	last, _ := p.c.Journal.Last()
	return last - min(p.Published(), last)
}

// Run publishes until ctx is done, then returns nil. It retries with increasing
// delay after every failure (Health), and has the server repaired if it can be.
func (p *Publisher) Run(ctx context.Context) error {
	defer p.health.idle()
	delay, failures, ahead := minDelay, 0, 0
	for {
		before := p.Published()
		err := p.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if failures++; p.Published() > before {
			delay, failures = minDelay, 1
		}
		if ahead++; !errors.Is(err, errAhead) {
			ahead = 0
		}
		if ahead >= maxAhead {
			err = fmt.Errorf("%w: %w", ErrDiffers, err)
		}
		// Another publisher may have been faster, but then the stream has grown.
		if !errors.Is(err, errMoved) || failures > maxMoved {
			err = p.repair(ctx, err, failures)
			p.health.failed(err)
			p.c.Log.WarnContext(ctx, "publishing to the audit stream failed", "err", err, "retry_in", delay, "backlog", p.Backlog())
		}
		// The jitter keeps two publishers from running in step.
		if !sleep(ctx, delay/2+rand.N(delay)) {
			return nil
		}
		delay = min(2*delay, maxDelay)
	}
}

// repair has the server repaired if it holds something else than the journal, if it
// does not run, or if publishing failed twice in a row. It returns the reason of
// the failure.
func (p *Publisher) repair(ctx context.Context, err error, failures int) error {
	differs := errors.Is(err, ErrDiffers)
	if differs {
		p.health.differed(err, p.c.Repair != nil)
		p.c.Log.ErrorContext(ctx, "audit stream differs from the journal", "stream", Name, "rebuilt", p.c.Repair != nil, "err", err)
	}
	may := differs || errors.Is(err, errStopped) || failures > 1 && !errors.Is(err, errJournal) && !errors.Is(err, errAhead)
	if p.c.Repair == nil || !may {
		return err
	}
	return errors.Join(err, p.c.Repair(ctx, err))
}

// errMoved is returned when the stream's last sequence is not the expected one:
// another publisher was faster, or the stream was restored.
var errMoved = errors.New("the last sequence of the stream has changed")

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

// session publishes over one connection until it fails.
func (p *Publisher) session(ctx context.Context) error {
	if !p.c.Journal.Whole() {
		p.health.waiting()
	}
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
	last, err := p.resume(ctx, js)
	if err != nil {
		return err
	}
	p.published.Store(last)
	p.health.working()
	return (&feed{Publisher: p, js: js, last: last}).run(ctx, nc.StatusChanged(nats.CLOSED))
}

// until waits until ready reports true, checking at each change of the journal.
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
