package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// dial connects a reader that does not reconnect; closed receives when the
// server has closed the connection.
func dial(t *testing.T, s *Server, file string) (nc *nats.Conn, closed <-chan nats.Status) {
	t.Helper()
	nc, err := nats.Connect(s.URL(), nats.UserCredentials(file), nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, nc.StatusChanged(nats.CLOSED)
}

func refusedAt(t *testing.T, s *Server, file, what string) {
	t.Helper()
	nc, err := nats.Connect(s.URL(), nats.UserCredentials(file), nats.NoReconnect())
	if err == nil {
		nc.Close()
		t.Errorf("%s: connected", what)
	} else if !errors.Is(err, nats.ErrAuthorization) && !errors.Is(err, nats.ErrAuthExpired) {
		t.Errorf("%s: %v", what, err)
	}
}

func within(t *testing.T, limit time.Duration, closed <-chan nats.Status, what string) {
	t.Helper()
	select {
	case <-closed:
	case <-time.After(limit):
		t.Fatalf("%s: still open after %v", what, limit)
	}
}

// A client that is refused twice gives up for good (nats.go), so a server that
// does not know its readers yet must not answer them.
func TestServerListensOnceItKnowsItsReaders(t *testing.T) {
	config := ServerConfig{Name: "n1", Dir: t.TempDir(), Listen: "127.0.0.1:0", Cluster: cluster, Log: slog.New(slog.DiscardHandler)}
	s, err := Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	j := story(5)
	publish(t, s, j, 5) // in-process
	if url := s.URL(); url != "" {
		t.Fatalf("listens on %s", url)
	}
	admit(t, s)
	holds(t, readerOf(t, s), j, 5)

	config.Dir, config.Listen = t.TempDir(), strings.TrimPrefix(s.URL(), "nats://")
	if other, err := Start(config); err == nil {
		other.Close()
		t.Error("started on a port in use")
	}
}

func TestOnlyAdmittedReadersConnect(t *testing.T) {
	s := startServer(t, t.TempDir())
	hour := time.Now().Add(time.Hour)
	key, file := issue(t, hour)
	refusedAt(t, s, file, "before any reader was admitted")
	admit(t, s, key)
	nc, _ := dial(t, s, file)
	nc.Close()

	_, unlisted := issue(t, hour)
	refusedAt(t, s, unlisted, "a reader that is not on the list")
	expired, expiredFile := issue(t, time.Now().Add(-time.Minute))
	admit(t, s, key, expired)
	refusedAt(t, s, expiredFile, "expired credentials")

	for name, option := range map[string]nats.Option{
		"anonymous":                   nats.Name("nobody"),
		"a password":                  nats.UserInfo("admin", "admin"),
		"the publisher's credentials": nats.UserCredentialBytes(s.embedded.publisher), // valid in-process only
	} {
		if nc, err := nats.Connect(s.URL(), option); err == nil {
			nc.Close()
			t.Errorf("%s: connected", name)
		}
	}
}

func TestRevokedReaderIsCutOffAtOnce(t *testing.T) {
	s := startServer(t, t.TempDir())
	j := story(10)
	publish(t, s, j, 10)
	hour := time.Now().Add(time.Hour)
	staying, stayingFile := issue(t, hour)
	leaving, leavingFile := issue(t, hour)
	admit(t, s, staying, leaving)
	one, oneClosed := dial(t, s, stayingFile)
	_, twoClosed := dial(t, s, leavingFile)
	next := pullers(t, one)
	revokedAt := time.Now()
	admit(t, s, staying)
	within(t, time.Second, twoClosed, "the revoked reader's connection")
	t.Logf("closed after %v", time.Since(revokedAt))
	refusedAt(t, s, leavingFile, "revoked credentials")

	// Other readers see no gap and no duplicate, including in pending requests.
	p := run(t, j, s.Connect)
	j.add(5)
	eventually(t, "publishing", func() bool { return p.Published() == 15 })
	for name, next := range next {
		for n := uint64(11); n <= 15; n++ {
			if m, err := next(); err != nil || string(m) != string(j.message(n)) {
				t.Fatalf("%s: message %d: %q, %v", name, n, m, err)
			}
		}
	}
	select {
	case <-oneClosed:
		t.Error("the other reader was cut off too")
	default:
	}

	// The same credentials work when they are admitted again.
	admit(t, s, staying, leaving)
	nc, _ := dial(t, s, leavingFile)
	nc.Close()
}

// pullers starts a pull and a push consumer that wait for message 11.
func pullers(t *testing.T, nc *nats.Conn) map[string]func() ([]byte, error) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	c, err := js.CreateConsumer(ctx, Name, jetstream.ConsumerConfig{
		Durable: "pull", AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := c.Messages(jetstream.PullMaxMessages(100))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(messages.Stop)
	old, err := nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	sub, err := old.SubscribeSync(Subjects, nats.StartSequence(10), nats.AckNone())
	if err != nil {
		t.Fatal(err)
	}
	plain, err := nc.SubscribeSync(Subjects)
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	// Message 10 shows that both consumers wait for the next one.
	if _, err := messages.Next(jetstream.NextContext(ctx)); err != nil {
		t.Fatal(err)
	}
	if _, err := sub.NextMsgWithContext(ctx); err != nil {
		t.Fatal(err)
	}
	data := func(m *nats.Msg, err error) ([]byte, error) {
		if err != nil {
			return nil, err
		}
		return m.Data, nil
	}
	return map[string]func() ([]byte, error){
		"pull": func() ([]byte, error) {
			m, err := messages.Next(jetstream.NextContext(ctx))
			if err != nil {
				return nil, err
			}
			return m.Data(), nil
		},
		"push":  func() ([]byte, error) { return data(sub.NextMsgWithContext(ctx)) },
		"plain": func() ([]byte, error) { return data(plain.NextMsgWithContext(ctx)) },
	}
}

func TestOpenConnectionEndsWithTheCredentials(t *testing.T) {
	s := startServer(t, t.TempDir())
	key, file := issue(t, time.Now().Add(2*time.Second))
	admit(t, s, key)
	_, closed := dial(t, s, file)
	within(t, 10*time.Second, closed, "a reader whose credentials expired")
}

// A login in progress while the list changes can succeed, but its connection is
// closed by the next call.
func TestLoginDuringRevocationDoesNotSurvive(t *testing.T) {
	s := startServer(t, t.TempDir())
	for round := range 20 {
		key, file := issue(t, time.Now().Add(time.Hour))
		admit(t, s, key)
		start, done := make(chan struct{}), make(chan *nats.Conn, 8)
		for range cap(done) {
			go func() { // ends with its connection attempt
				<-start
				nc, err := nats.Connect(s.URL(), nats.UserCredentials(file), nats.NoReconnect())
				if err != nil {
					nc = nil
				}
				done <- nc
			}()
		}
		close(start)
		admit(t, s)
		var open []*nats.Conn
		for range cap(done) {
			if nc := <-done; nc != nil {
				open = append(open, nc)
			}
		}
		admit(t, s)
		for _, nc := range open {
			eventually(t, fmt.Sprintf("closing in round %d", round), nc.IsClosed)
		}
	}
}

func TestCredentialsNeedANameAndAnExpiry(t *testing.T) {
	if _, _, err := NewReader("", time.Now()); err == nil {
		t.Error("issued without a name")
	}
	if _, _, err := NewReader("siem", time.Time{}); err == nil {
		t.Error("issued without an expiry")
	}
}
