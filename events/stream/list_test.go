package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"keyfob/events"
)

const cluster = "0a1b"

// list is a journal in memory.
type list struct {
	mu      sync.Mutex
	chain   events.Chain
	records []events.Record
	changed chan struct{}
	gap     bool
}

// story returns a journal of n records, the same each time.
func story(n int) *list {
	l := &list{changed: make(chan struct{})}
	l.add(n)
	return l
}

func (l *list) add(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range n {
		d := events.Draft{Origin: events.Origin{Node: "n1", Site: "HQ"}, Event: events.UserAdded{User: fmt.Sprint("user ", len(l.records))}}
		if len(l.records) == 0 {
			d.Event = events.ClusterFounded{Cluster: cluster}
		}
		l.records = append(l.records, l.chain.Next(1, events.Time(1_795_000_000_000+len(l.records)), d))
	}
	l.wake()
}

func (l *list) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *list) setGap(gap bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gap = gap
	l.wake()
}

func (l *list) Read(from uint64, limit int) ([]events.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if from > uint64(len(l.records)) {
		return nil, nil
	}
	rest := l.records[from-1:]
	return rest[:min(len(rest), limit)], nil
}

func (l *list) Last() (uint64, events.Hash) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.chain.Sequence, l.chain.Head
}

func (l *list) Cluster() string { return cluster }

func (l *list) Whole() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.gap
}

func (l *list) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

func (l *list) message(sequence uint64) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return events.CloudEvent(cluster, l.records[sequence-1])
}

// running is a publisher that has been started.
type running struct {
	*Publisher
	stop func() error
}

func run(t *testing.T, j *list, connect func(context.Context) (*nats.Conn, error)) running {
	t.Helper()
	p, err := NewPublisher(PublisherConfig{Journal: j, Connect: connect, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return begin(t, p)
}

func begin(t *testing.T, p *Publisher) running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	stop := sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = stop() })
	return running{p, stop}
}

// publish runs a publisher until the stream has n messages.
func publish(t *testing.T, s *Server, j *list, n uint64) {
	t.Helper()
	p := run(t, j, s.Connect)
	eventually(t, fmt.Sprintf("publishing %d records", n), func() bool { return p.Published() == n })
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s took more than 30 s", what)
		}
	}
}

// holds fails unless the stream consists of the first n records of j.
func holds(t *testing.T, js jetstream.JetStream, j *list, n uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	st, err := js.Stream(ctx, Name)
	if err != nil {
		t.Fatal(err)
	}
	state := st.CachedInfo().State
	if state.LastSeq != n || state.Msgs != n {
		t.Fatalf("%d messages, the last is %d, want %d", state.Msgs, state.LastSeq, n)
	}
	c, err := st.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := c.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	for i := range n {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			t.Fatal(errors.Join(fmt.Errorf("message %d", i+1), err))
		}
		meta, err := m.Metadata()
		if err != nil || meta.Sequence.Stream != i+1 || !bytes.Equal(m.Data(), j.message(i+1)) {
			t.Fatalf("message %d (%v): %s", i+1, err, m.Data())
		}
	}
}
