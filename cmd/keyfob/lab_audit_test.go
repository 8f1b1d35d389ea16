package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// auditor reads the audit stream as an external program does, with credentials of
// a reader. It checks sequence numbers and hashes by the recipe of
// docs/PROTOCOL.md.
type auditor struct {
	done chan struct{} // closed when it has ended

	mu       sync.Mutex // guards what follows
	records  []record
	messages [][]byte
	err      error
}

// record is the part of a message that the auditor uses.
type record struct {
	SpecVersion string `json:"specversion"`
	ID          string `json:"id"`
	Type        string `json:"type"`
	Data        struct {
		Sequence uint64 `json:"sequence"`
		Prev     string `json:"prev"`
		Hash     string `json:"hash"`
		User     string `json:"user"`
		Outcome  string `json:"outcome"`
		Reason   string `json:"reason"`
		Door     string `json:"door"`
		Client   string `json:"client"`
	} `json:"data"`
}

// about returns the event and its user: "token.pin_set alice".
func (r record) about() string {
	what := strings.TrimSuffix(strings.TrimPrefix(r.Type, "keyfob."), ".v1")
	return strings.TrimSpace(what + " " + r.Data.User)
}

// audit starts an auditor. It reads from the first node, and continues at another
// if that is lost.
func (l *lab) audit(t *testing.T) *auditor {
	t.Helper()
	var servers []string
	for _, n := range l.Nodes {
		servers = append(servers, n.NATS)
	}
	conn, err := nats.Connect(strings.Join(servers, ","), nats.UserCredentials(l.NATSCreds),
		nats.DontRandomize(), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		t.Fatalf("connecting the auditor: %v", err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	a := &auditor{done: make(chan struct{})}
	go a.run(ctx, js)
	t.Cleanup(func() {
		cancel()
		<-a.done
		conn.Close()
	})
	return a
}

// run reads until ctx ends. After a reconnection, an ordered consumer continues
// after the last message that it read; a failed fetch is retried.
func (a *auditor) run(ctx context.Context, js jetstream.JetStream) {
	defer close(a.done)
	for ctx.Err() == nil {
		a.mu.Lock()
		next := uint64(len(a.records)) + 1
		a.mu.Unlock()
		err := a.follow(ctx, js, next)
		if errors.Is(err, errBroken) {
			return
		}
		pause(glance)
	}
}

// errBroken reports a stream that violates docs/PROTOCOL.md.
var errBroken = errors.New("audit stream is broken")

// follow reads from a number until an error.
func (a *auditor) follow(ctx context.Context, js jetstream.JetStream, next uint64) error {
	consumer, err := js.OrderedConsumer(ctx, "KEYFOB_AUDIT", jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: next,
	})
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		m, err := consumer.Next(jetstream.FetchMaxWait(time.Second))
		switch {
		case errors.Is(err, nats.ErrTimeout):
			continue
		case err != nil:
			return err
		}
		if err := a.take(m); err != nil {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.err = err
			return err
		}
	}
	return ctx.Err()
}

// take checks a message against the one before, and stores it.
func (a *auditor) take(m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	var r record
	if err := json.Unmarshal(m.Data(), &r); err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	number, prev := uint64(len(a.records))+1, strings.Repeat("0", 2*sha256.Size)
	if number > 1 {
		prev = a.records[number-2].Data.Hash
	}
	id := strconv.FormatUint(number, 10)
	switch {
	case meta.Sequence.Stream != number || r.Data.Sequence != number || r.ID != id || m.Headers().Get("Nats-Msg-Id") != id:
		return fmt.Errorf("%w: record %d comes as message %d, record %d, id %q", errBroken, number, meta.Sequence.Stream, r.Data.Sequence, r.ID)
	case r.Data.Prev != prev || r.Data.Hash != hashOf(m.Data(), r):
		return fmt.Errorf("%w: the chain ends before record %d:\n%s", errBroken, number, m.Data())
	}
	a.records = append(a.records, r)
	a.messages = append(a.messages, m.Data())
	return nil
}

// hashOf returns the SHA-256 of the previous hash and the message without its hash.
func hashOf(message []byte, r record) string {
	prev, err := hex.DecodeString(r.Data.Prev)
	if err != nil {
		return ""
	}
	canonical := bytes.Replace(message, []byte(`,"hash":"`+r.Data.Hash+`"`), nil, 1)
	sum := sha256.Sum256(append(prev, canonical...))
	return hex.EncodeToString(sum[:])
}

// read returns the records so far.
func (a *auditor) read(t *testing.T) []record {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		t.Fatal(a.err)
	}
	return append([]record(nil), a.records...)
}

// expect waits for an event of a user.
func (a *auditor) expect(t *testing.T, about string) {
	t.Helper()
	eventually(t, "the record "+about, func() error {
		for _, r := range a.read(t) {
			if r.about() == about {
				return nil
			}
		}
		return errors.New("not yet")
	})
}

// text returns the messages so far, unparsed.
func (a *auditor) text() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return bytes.Join(a.messages, []byte("\n"))
}
