package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// elsewhere is an external NATS server, on which others have permissions too.
func elsewhere(t *testing.T) (url string, js jetstream.JetStream) {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, JetStream: true, StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(readyWithin) {
		t.Fatal("not ready")
	}
	return s.ClientURL(), connect(t, s.ClientURL())
}

func connect(t *testing.T, url string, options ...nats.Option) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func readerOf(t *testing.T, s *Server) jetstream.JetStream {
	t.Helper()
	return connect(t, s.URL(), admitted(t, s))
}

func TestStreamFollowsTheJournal(t *testing.T) {
	s := startServer(t, t.TempDir())
	j := story(5)
	p := run(t, j, s.Connect)
	for range 20 {
		j.add(61)
	}
	eventually(t, "publishing", func() bool { return p.Backlog() == 0 })
	if p.Published() != 1225 {
		t.Errorf("%d published", p.Published())
	}
	holds(t, readerOf(t, s), j, 1225)
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if p.Published() != 1225 {
		t.Errorf("%d published after the end", p.Published())
	}
}

func TestConsumerContinuesAtAnotherNode(t *testing.T) {
	j := story(40)
	one, two := startServer(t, t.TempDir()), startServer(t, t.TempDir())
	publish(t, one, j, 40)
	publish(t, two, j, 40)
	creds := admitted(t, one, two)
	last := uint64(0)
	for _, s := range []*Server{one, two} {
		st, err := connect(t, s.URL(), creds).Stream(t.Context(), Name)
		if err != nil {
			t.Fatal(err)
		}
		c, err := st.OrderedConsumer(t.Context(), jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: last + 1})
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			m, err := c.Next()
			if err != nil {
				t.Fatal(err)
			}
			meta, _ := m.Metadata()
			if meta.Sequence.Stream != last+1 || string(m.Data()) != string(j.message(last+1)) {
				t.Fatalf("message %d after %d", meta.Sequence.Stream, last)
			}
			last++
		}
	}
}

func TestRestartsLeaveNeitherGapsNorDuplicates(t *testing.T) {
	dir := t.TempDir()
	j := story(4000)
	s := startServer(t, dir)
	for i := uint64(1); i <= 5; i++ {
		p := run(t, j, s.Connect)
		eventually(t, "a piece", func() bool { return p.Published() >= min(i*700, 4000) })
		if i%2 == 0 { // the server goes away under it
			s.Close()
			_ = p.stop()
			s = startServer(t, dir)
			continue
		}
		if err := p.stop(); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, s, j, 4000)
	holds(t, readerOf(t, s), j, 4000)
}

func TestOutageBlocksNothingAndLosesNothing(t *testing.T) {
	dir := t.TempDir()
	var at atomic.Pointer[Server]
	at.Store(startServer(t, dir))
	j := story(100)
	p := run(t, j, func(ctx context.Context) (*nats.Conn, error) { return at.Load().Connect(ctx) })
	eventually(t, "publishing", func() bool { return p.Published() == 100 })
	at.Load().Close()
	j.add(900) // does not wait
	if p.Backlog() != 900 {
		t.Errorf("backlog %d", p.Backlog())
	}
	at.Store(startServer(t, dir))
	eventually(t, "publishing after the outage", func() bool { return p.Published() == 1000 })
	holds(t, readerOf(t, at.Load()), j, 1000)
}

func TestDeletedStreamIsRefilled(t *testing.T) {
	url, js := elsewhere(t)
	j := story(300)
	p := run(t, j, External(url, ""))
	eventually(t, "publishing", func() bool { return p.Published() == 300 })
	if err := js.DeleteStream(t.Context(), Name); err != nil {
		t.Fatal(err)
	}
	eventually(t, "noticing, without a new record", func() bool {
		_, err := js.Stream(t.Context(), Name)
		return err == nil
	})
	j.add(1)
	eventually(t, "healing", func() bool { return p.Published() == 301 })
	holds(t, js, j, 301)

	dir := t.TempDir()
	s := startServer(t, dir)
	publish(t, s, j, 301)
	s.Close()
	if err := os.RemoveAll(filepath.Join(dir, "nats")); err != nil {
		t.Fatal(err)
	}
	s = startServer(t, dir)
	publish(t, s, j, 301)
	holds(t, readerOf(t, s), j, 301)
}

func TestStreamRestoredToAnOlderStateIsRefilled(t *testing.T) {
	dir, backup := t.TempDir(), filepath.Join(t.TempDir(), "nats")
	j := story(200)
	s := startServer(t, dir)
	publish(t, s, j, 200)
	s.Close()
	if err := os.CopyFS(backup, os.DirFS(filepath.Join(dir, "nats"))); err != nil {
		t.Fatal(err)
	}
	s = startServer(t, dir)
	j.add(200)
	publish(t, s, j, 400)
	s.Close()
	if err := os.RemoveAll(filepath.Join(dir, "nats")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(backup, filepath.Join(dir, "nats")); err != nil {
		t.Fatal(err)
	}
	s = startServer(t, dir)
	holds(t, readerOf(t, s), j, 200)
	publish(t, s, j, 400)
	holds(t, readerOf(t, s), j, 400)
}

// JetStream forgets message IDs after a while, and would then store a duplicate
// if the expected sequence did not prevent it.
func TestDuplicateIsRejectedAfterTheDuplicateWindow(t *testing.T) {
	url, js := elsewhere(t)
	j := story(10)
	p := run(t, j, External(url, ""))
	eventually(t, "publishing", func() bool { return p.Published() == 10 })
	st, err := js.Stream(t.Context(), Name)
	if err != nil {
		t.Fatal(err)
	}
	config := st.CachedInfo().Config
	// Another message with the same ID is stored once JetStream has forgotten the ID.
	config.Subjects = []string{Subjects, "probe"}
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	_ = p.stop()
	repeat := &nats.Msg{Subject: "probe", Header: nats.Header{"Nats-Msg-Id": {"10"}}}
	count := uint64(0)
	eventually(t, "the id to be forgotten", func() bool {
		ack, err := js.PublishMsg(t.Context(), repeat)
		if err != nil {
			t.Fatal(err)
		}
		count = ack.Sequence
		return !ack.Duplicate
	})
	if count != 11 {
		t.Fatalf("the probe became message %d", count)
	}
	records, _ := j.Read(10, 1)
	again, err := js.PublishMsgAsync(message(cluster, records[0]), jetstream.WithRetryAttempts(0))
	if err != nil {
		t.Fatal(err)
	}
	select {
	case ack := <-again.Ok():
		t.Errorf("stored again as %d", ack.Sequence)
	case err := <-again.Err():
		if !errors.Is(publishError(10, err), errMoved) {
			t.Error(err)
		}
	}
}

// Only the last message of a batch is acknowledged. If an earlier one was not
// stored, the last one must be rejected.
func TestAcknowledgementCoversAllMessagesBeforeIt(t *testing.T) {
	url, js := elsewhere(t)
	j := story(10)
	p := run(t, j, External(url, ""))
	eventually(t, "publishing", func() bool { return p.Published() == 10 })
	_ = p.stop()
	more := story(20)
	records, _ := more.Read(11, 10)
	for _, r := range append(records[:4:4], records[5:9]...) { // the fifth is lost
		if err := js.Conn().PublishMsg(message(cluster, r)); err != nil {
			t.Fatal(err)
		}
	}
	last, err := js.PublishMsgAsync(message(cluster, records[9]), jetstream.WithRetryAttempts(0))
	if err != nil {
		t.Fatal(err)
	}
	select {
	case ack := <-last.Ok():
		t.Fatalf("stored as %d", ack.Sequence)
	case err := <-last.Err():
		if !errors.Is(publishError(20, err), errMoved) {
			t.Fatal(err)
		}
	}
	p = run(t, more, External(url, ""))
	eventually(t, "what was lost", func() bool { return p.Published() == 20 })
}

func TestTwoPublishersAtOnceAreHarmless(t *testing.T) {
	url, js := elsewhere(t)
	j := story(1)
	one, two, three := run(t, j, External(url, "")), run(t, j, External(url, "")), run(t, j, External(url, ""))
	for range 40 {
		j.add(50)
	}
	eventually(t, "publishing", func() bool { return one.Published() == 2001 || two.Published() == 2001 || three.Published() == 2001 })
	holds(t, js, j, 2001)
}

// TestStreamOfTheSiteThatDiffersIsNotTouched: its operator must look. The publisher
// goes on once the stream is gone.
func TestStreamOfTheSiteThatDiffersIsNotTouched(t *testing.T) {
	url, js := elsewhere(t)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: Name, Subjects: []string{Subjects}}); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if _, err := js.Publish(t.Context(), "keyfob.audit.hq.auth.accepted", []byte(fmt.Sprint("forged ", n))); err != nil {
			t.Fatal(err)
		}
	}
	j := story(10)
	p := run(t, j, External(url, ""))
	eventually(t, "failing", func() bool { return p.Health(time.Now()).Failures > 3 })
	if h := p.Health(time.Now()); h.State != Failing || !errors.Is(h.Err, ErrDiffers) || h.Differed != 1 || h.Rebuilt {
		t.Errorf("%+v", h)
	}
	st, err := js.Stream(t.Context(), Name)
	if err != nil || st.CachedInfo().State.LastSeq != 3 {
		t.Errorf("the stream was touched: %v", err)
	}
	if err := js.DeleteStream(t.Context(), Name); err != nil {
		t.Fatal(err)
	}
	eventually(t, "publishing", func() bool { return p.Published() == 10 && p.Health(time.Now()).State == Publishing })
	holds(t, js, j, 10)
}

func TestNothingIsPublishedWhileRecordsAreMissing(t *testing.T) {
	s := startServer(t, t.TempDir())
	j := story(20)
	j.setGap(true)
	p := run(t, j, func(ctx context.Context) (*nats.Conn, error) {
		if !j.Whole() {
			t.Error("connected while records are missing")
		}
		return s.Connect(ctx)
	})
	j.add(10)
	if p.Published() != 0 || p.Backlog() != 30 {
		t.Errorf("%d published", p.Published())
	}
	j.setGap(false)
	eventually(t, "publishing", func() bool { return p.Published() == 30 })
	holds(t, readerOf(t, s), j, 30)
}

func TestStreamCanStartAtALaterRecord(t *testing.T) {
	url, js := elsewhere(t)
	j := story(100)
	p, err := NewPublisher(PublisherConfig{Journal: j, Connect: External(url, ""), First: 61, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	eventually(t, "publishing", func() bool { return p.Published() == 100 })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	st, err := js.Stream(t.Context(), Name)
	if err != nil {
		t.Fatal(err)
	}
	if state := st.CachedInfo().State; state.FirstSeq != 61 || state.LastSeq != 100 || state.Msgs != 40 {
		t.Errorf("%+v", state)
	}
	if m, err := st.GetMsg(t.Context(), 61); err != nil || string(m.Data) != string(j.message(61)) {
		t.Errorf("message 61: %v", err)
	}
}

// A crash may lose the end of a journal, which the replicated log restores.
func TestPublisherWaitsForAJournalBehindTheStream(t *testing.T) {
	s := startServer(t, t.TempDir())
	publish(t, s, story(50), 50)
	j := story(30)
	p := run(t, j, s.Connect)
	j.add(15)
	j.add(15)
	eventually(t, "publishing", func() bool { return p.Published() == 60 })
	holds(t, readerOf(t, s), j, 60)
}

func BenchmarkPublish(b *testing.B) {
	s, err := Start(ServerConfig{Name: "n1", Dir: b.TempDir(), Listen: "127.0.0.1:0", Cluster: cluster, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	j := story(b.N)
	p, err := NewPublisher(PublisherConfig{Journal: j, Connect: s.Connect, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	b.ReportAllocs()
	b.ResetTimer()
	go func() { done <- p.Run(ctx) }()
	for p.Backlog() > 0 {
		select {
		case err := <-done:
			b.Fatal(err)
		case <-time.After(100 * time.Microsecond):
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	cancel()
	<-done
}
