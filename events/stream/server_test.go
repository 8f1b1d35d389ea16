package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func startServer(t *testing.T, dir string) *Server {
	t.Helper()
	s, err := Start(ServerConfig{Name: "n1", Dir: dir, Listen: "127.0.0.1:0", Cluster: cluster, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	admit(t, s)
	return s
}

// issue issues credentials and returns the file that a consumer has.
func issue(t *testing.T, expires time.Time) (key, file string) {
	t.Helper()
	key, creds, err := NewReader("siem", expires)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "siem.creds")
	if err := os.WriteFile(file, creds, 0o600); err != nil {
		t.Fatal(err)
	}
	return key, file
}

// admitted issues credentials that the servers accept.
func admitted(t *testing.T, servers ...*Server) nats.Option {
	t.Helper()
	key, file := issue(t, time.Now().Add(time.Hour))
	for _, s := range servers {
		admit(t, s, append(s.readers, key)...)
	}
	return nats.UserCredentials(file)
}

func admit(t *testing.T, s *Server, keys ...string) {
	t.Helper()
	if err := s.SetReaders(keys); err != nil {
		t.Fatal(err)
	}
}

// reader is a consumer's connection from outside.
func reader(t *testing.T, s *Server) (*nats.Conn, *refused) {
	t.Helper()
	r := &refused{all: make(chan error, 100)}
	nc, err := nats.Connect(s.URL(), admitted(t, s),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { r.all <- err }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, r
}

// refused collects the permission errors of a connection.
type refused struct{ all chan error }

func (r *refused) one(t *testing.T, what string) {
	t.Helper()
	select {
	case err := <-r.all:
		if !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("%s: %v", what, err)
		}
	case <-time.After(5 * time.Second):
		t.Errorf("%s was not refused", what)
	}
}

func TestReaderReadsInEveryWay(t *testing.T) {
	s := startServer(t, t.TempDir())
	j := story(50)
	publish(t, s, j, 50)
	nc, r := reader(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()

	old, err := nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	for name, options := range map[string][]nats.SubOpt{
		"push":    {nats.DeliverAll()},
		"ordered": {nats.OrderedConsumer()},
		"durable": {nats.Durable("siem-push"), nats.ManualAck(), nats.AckExplicit()},
	} {
		sub, err := old.SubscribeSync(Subjects, options...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for n := range 50 {
			m, err := sub.NextMsgWithContext(ctx)
			if err != nil {
				t.Fatalf("%s: message %d: %v", name, n+1, err)
			}
			if want := j.message(uint64(n + 1)); !bytes.Equal(m.Data, want) {
				t.Fatalf("%s: message %d is %s, want %s", name, n+1, m.Data, want)
			}
			if name == "durable" {
				if err := m.AckSync(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := sub.Unsubscribe(); err != nil {
			t.Error(err)
		}
	}

	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	st, err := js.Stream(ctx, Name)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := st.GetMsg(ctx, 17); err != nil || !bytes.Equal(m.Data, j.message(17)) {
		t.Errorf("single message: %v", err)
	}
	ordered, err := st.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	durable, err := st.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{Durable: "siem", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]jetstream.Consumer{"ordered": ordered, "durable": durable} {
		for n := range 50 {
			m, err := c.Next(jetstream.FetchMaxWait(10 * time.Second))
			if err != nil {
				t.Fatalf("%s: message %d: %v", name, n+1, err)
			}
			meta, _ := m.Metadata()
			if meta.Sequence.Stream != uint64(n+1) || m.Headers().Get("Nats-Msg-Id") != fmt.Sprint(n+1) || m.Headers().Get("Content-Type") != contentType {
				t.Fatalf("%s: message %d has sequence %d, headers %v", name, n+1, meta.Sequence.Stream, m.Headers())
			}
			if err := m.DoubleAck(ctx); name == "durable" && err != nil {
				t.Fatal(err)
			}
		}
	}
	select {
	case err := <-r.all:
		t.Errorf("refused: %v", err)
	default:
	}
}

func TestReaderCannotWrite(t *testing.T) {
	s := startServer(t, t.TempDir())
	j := story(10)
	publish(t, s, j, 10)
	nc, r := reader(t, s)
	for _, subject := range []string{
		"keyfob.audit.hq.auth.accepted", "keyfob.audit.x", "anything",
		"$JS.API.STREAM.DELETE." + Name, "$JS.API.STREAM.PURGE." + Name, "$JS.API.STREAM.UPDATE." + Name,
		"$JS.API.STREAM.CREATE.OTHER", "$JS.API.STREAM.MSG.DELETE." + Name, "$JS.API.STREAM.RESTORE." + Name,
		"$JS.API.STREAM.SNAPSHOT." + Name, "$JS.API.CONSUMER.CREATE.OTHER.x", "$SYS.REQ.SERVER.PING",
		"$JS.API.STREAM.LIST", privateInbox + ".x",
	} {
		if err := nc.Publish(subject, nil); err != nil {
			t.Fatal(err)
		}
		r.one(t, "publishing on "+subject)
	}
	for _, subject := range []string{">", "$SYS.>", "$JS.API.>", privateInbox + ".>"} {
		if _, err := nc.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		_ = nc.Flush()
		r.one(t, "subscribing to "+subject)
	}
	stillThere(t, s, j, 10)
}

// TestConsumerCannotDeliverWhereReadersMayNotPublish creates consumers with
// harmful deliver subjects. The server delivers with its own permissions, and
// sends an empty message for a consumer of headers only.
func TestConsumerCannotDeliverWhereReadersMayNotPublish(t *testing.T) {
	s := startServer(t, t.TempDir())
	j := story(10)
	publish(t, s, j, 10)
	nc, _ := reader(t, s)
	old, err := nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	for i, subject := range []string{
		"$JS.API.STREAM.DELETE." + Name, "$JS.API.STREAM.PURGE." + Name, "$JS.API.STREAM.UPDATE." + Name,
		"$JS.API.STREAM.MSG.DELETE." + Name, "$JS.API.STREAM.CREATE." + Name, "$JS.API.STREAM.CREATE.OTHER",
		"$JS.API.STREAM.RESTORE." + Name, "$JS.API.STREAM.RESTORE.OTHER", "$JS.API.STREAM.SNAPSHOT." + Name,
		"$JS.API.STREAM.PEER.REMOVE." + Name, "$JS.API.STREAM.LEADER.STEPDOWN." + Name, "$JS.API.ACCOUNT.PURGE.x",
		"$JS.API.CONSUMER.CREATE." + Name, "$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.SERVER.PING", "$SYS.REQ.CLAIMS.DELETE",
		"$SYS.REQ.SERVER.RELOAD", "$JS.API.CONSUMER.MSG.NEXT." + Name + ".victim", "keyfob.audit.hq.auth.accepted",
	} {
		for _, headersOnly := range []bool{false, true} {
			_, err := old.AddConsumer(Name, &nats.ConsumerConfig{
				Durable: fmt.Sprintf("weapon-%d-%v", i, headersOnly), DeliverSubject: subject, AckPolicy: nats.AckNonePolicy,
				HeadersOnly: headersOnly, FlowControl: false,
			})
			if err == nil {
				continue
			}
			var api *nats.APIError
			if !errors.As(err, &api) {
				t.Errorf("%s: %v", subject, err)
			}
		}
	}
	if sub, err := old.PullSubscribe(Subjects, "victim"); err != nil {
		t.Error(err)
	} else if m, err := sub.Fetch(10, nats.MaxWait(10*time.Second)); err != nil || len(m) != 10 {
		t.Errorf("%d messages for somebody else: %v", len(m), err)
	}
	stillThere(t, s, j, 10)
}

// TestReplyCannotGoWhereReadersMayNotPublish sends requests with harmful reply
// subjects, which the server does not check.
func TestReplyCannotGoWhereReadersMayNotPublish(t *testing.T) {
	s := startServer(t, t.TempDir())
	j := story(10)
	publish(t, s, j, 10)
	nc, _ := reader(t, s)
	old, err := nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	for _, headersOnly := range []bool{false, true} {
		name := fmt.Sprintf("pull-%v", headersOnly)
		if _, err := old.AddConsumer(Name, &nats.ConsumerConfig{Durable: name, AckPolicy: nats.AckExplicitPolicy, HeadersOnly: headersOnly}); err != nil {
			t.Fatal(err)
		}
		for _, reply := range []string{
			"keyfob.audit.hq.auth.accepted", "$JS.API.STREAM.DELETE." + Name, "$JS.API.STREAM.PURGE." + Name,
			"$JS.API.STREAM.CREATE.OTHER", "$JS.API.STREAM.UPDATE." + Name, "$JS.API.CONSUMER.DELETE." + Name + "." + name,
			privateInbox + ".x", "$JS.ACK." + Name + "." + name + ".1.1.1.1.1", "$SYS.REQ.SERVER.PING",
		} {
			for _, request := range []string{
				"$JS.API.STREAM.INFO." + Name, "$JS.API.STREAM.MSG.GET." + Name, "$JS.API.CONSUMER.MSG.NEXT." + Name + "." + name,
				"$JS.API.CONSUMER.INFO." + Name + "." + name,
			} {
				payload := ""
				if strings.Contains(request, "MSG.GET") {
					payload = `{"seq":3}`
				}
				if err := nc.PublishRequest(request, reply, []byte(payload)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if _, err := old.AccountInfo(); err != nil { // all requests sent before it have been handled
		t.Fatal(err)
	}
	stillThere(t, s, j, 10)
	p := run(t, j, s.Connect)
	j.add(5)
	eventually(t, "publishing after the attack", func() bool { return p.Published() == 15 })
	stillThere(t, s, j, 15)
}

// TestStrangersCannotFillTheLog with logins that are refused.
func TestStrangersCannotFillTheLog(t *testing.T) {
	var log bytes.Buffer
	s, err := Start(ServerConfig{
		Name: "n1", Dir: t.TempDir(), Listen: "127.0.0.1:0", Cluster: cluster, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	admit(t, s)
	for range 5 * maxClientLines {
		if nc, err := nats.Connect(s.URL(), nats.UserInfo("admin", "admin")); err == nil {
			nc.Close()
			t.Error("connected")
		}
	}
	s.Close()
	// On a slow machine the test may take part of a second period.
	if lines := strings.Count(log.String(), "authentication error"); lines < maxClientLines || lines > 2*maxClientLines {
		t.Errorf("%d refused logins made %d lines:\n%s", 5*maxClientLines, lines, log.String())
	}
	newLogger(slog.New(slog.NewTextHandler(&log, nil))).Errorf("disk is full")
	if !strings.Contains(log.String(), "disk is full") {
		t.Error("the server's own errors are not logged")
	}
}

func stillThere(t *testing.T, s *Server, j *list, n uint64) {
	t.Helper()
	nc, _ := reader(t, s)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	holds(t, js, j, n)
}

func TestConfigReportsEverythingThatIsWrong(t *testing.T) {
	err := ServerConfig{Listen: "x:99999", TLSCert: "c"}.Validate()
	for _, want := range []string{"no name", "no directory", "99999", "TLS", "no cluster", "no log"} {
		if err == nil || !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}
