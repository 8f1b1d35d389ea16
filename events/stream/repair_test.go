package stream

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
)

// tend runs a publisher that has its server repaired.
func tend(t *testing.T, s *Server, j *list) running {
	t.Helper()
	p, err := NewPublisher(PublisherConfig{Journal: j, Connect: s.Connect, Repair: s.Repair, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return begin(t, p)
}

// alone runs the test in a process of its own, because full affects all files of a
// process. It reports whether this is that process.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv("KEYFOB_TEST_ALONE") == t.Name() {
		return true
	}
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	c.Env = append(os.Environ(), "KEYFOB_TEST_ALONE="+t.Name())
	if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// full makes all writes of files beyond size fail until the returned function is
// called, as a full disk would.
func full(t *testing.T, size uint64) (empty func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	now := before
	now.Cur = size
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &now); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Error(err)
		}
	}
}

func (r running) state() State { return r.Health(time.Now()).State }

func TestPublishingResumesWhenTheDiskAcceptsWritesAgain(t *testing.T) {
	if !alone(t) {
		return
	}
	s := startServer(t, t.TempDir())
	j := story(10)
	p := tend(t, s, j)
	eventually(t, "publishing", func() bool { return p.Published() == 10 && p.state() == Publishing })
	empty := full(t, 8<<10)
	j.add(500)
	eventually(t, "the failure to show", func() bool { return p.state() == Failing })
	eventually(t, "its reason", func() bool {
		err := p.Health(time.Now()).Err
		return err != nil && strings.Contains(err.Error(), "accepts no writes")
	})
	empty()
	eventually(t, "publishing again", func() bool { return p.Published() == 510 && p.state() == Publishing })
	holds(t, readerOf(t, s), j, 510)
	if h := p.Health(time.Now()); h.Err != nil || h.Failures == 0 || h.Differed != 0 {
		t.Errorf("%+v", h)
	}
}

func TestServerStartsWithAFullDisk(t *testing.T) {
	if !alone(t) {
		return
	}
	empty := full(t, 0)
	s := startServer(t, t.TempDir())
	j := story(10)
	p := tend(t, s, j)
	eventually(t, "the failure to show", func() bool { return p.state() == Failing })
	empty()
	eventually(t, "publishing", func() bool { return p.Published() == 10 })
	admit(t, s)
	holds(t, readerOf(t, s), j, 10)
}

// JetStream stops for good when it runs out of space.
func TestPublishingResumesAfterJetStreamHasStopped(t *testing.T) {
	s := startServer(t, t.TempDir())
	j := story(10)
	p := tend(t, s, j)
	eventually(t, "publishing", func() bool { return p.Published() == 10 })
	if err := s.embedded.ShutdownJetStream(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the failure to show", func() bool { return p.Health(time.Now()).Failures > 0 }) // without a new record
	j.add(5)
	eventually(t, "publishing again", func() bool { return p.Published() == 15 && p.state() == Publishing })
	holds(t, readerOf(t, s), j, 15)
}

// TestStreamThatDiffersIsRebuilt changes the stream with rights that nobody has, on
// a server without protection.
func TestStreamThatDiffersIsRebuilt(t *testing.T) {
	for what, do := range map[string]func(context.Context, jetstream.JetStream) error{
		"its configuration was changed": func(ctx context.Context, js jetstream.JetStream) error {
			st, err := js.Stream(ctx, Name)
			if err != nil {
				return err
			}
			config := st.CachedInfo().Config
			config.MaxAge = time.Hour
			_, err = js.UpdateStream(ctx, config)
			return err
		},
		"message 21 is not record 21": func(ctx context.Context, js jetstream.JetStream) error {
			_, err := js.Publish(ctx, "keyfob.audit.hq.auth.accepted", []byte("forged"))
			return err
		},
		"messages 1 to 20 are missing": func(ctx context.Context, js jetstream.JetStream) error {
			st, err := js.Stream(ctx, Name)
			if err != nil {
				return err
			}
			config := st.CachedInfo().Config
			config.FirstSeq = 21
			return errors.Join(js.DeleteStream(ctx, Name), second(js.CreateStream(ctx, config)))
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := startServer(t, t.TempDir())
			j := story(20)
			publish(t, s, j, 20)
			r := withDurable(t, s)
			s.Close()
			unprotected(t, s.c, func(js jetstream.JetStream) error {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				return do(ctx, js)
			})
			rebuilt(t, s.c, j, what, r)
		})
	}
}

// credentialed is a reader.
type credentialed struct{ key, file string }

// withDurable lets a reader in whose durable consumer has read five messages.
func withDurable(t *testing.T, s *Server) (r credentialed) {
	t.Helper()
	r.key, r.file = issue(t, time.Now().Add(time.Hour))
	admit(t, s, r.key)
	c := durable(t, connect(t, s.URL(), nats.UserCredentials(r.file)), "siem")
	for range 5 {
		m, err := c.Next()
		if err == nil {
			err = m.DoubleAck(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func second[T any](_ T, err error) error { return err }

// rebuilt starts a server whose stream is not the journal's, and fails unless it
// becomes so.
func rebuilt(t *testing.T, c ServerConfig, j *list, what string, r credentialed) {
	t.Helper()
	s, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	admit(t, s, r.key)
	j.add(1)
	last, _ := j.Last()
	p := tend(t, s, j)
	eventually(t, "a rebuild", func() bool {
		h := p.Health(time.Now())
		return h.Differed > 0 && h.State == Publishing && h.Published == last
	})
	admit(t, s, r.key)
	js := connect(t, s.URL(), nats.UserCredentials(r.file))
	holds(t, js, j, last)
	if h := p.Health(time.Now()); h.Differed != 1 || !h.Rebuilt || !strings.Contains(h.What, what) {
		t.Errorf("%+v", h)
	}
	if _, err := os.Stat(filepath.Join(c.store(), asideDir, "streams", Name)); err != nil {
		t.Errorf("not set aside: %v", err)
	}
	siem, err := js.Consumer(t.Context(), Name, "siem")
	if errors.Is(err, jetstream.ErrConsumerNotFound) && strings.Contains(what, "are missing") {
		return // it was deleted with the stream
	}
	if err != nil {
		t.Fatal(err)
	}
	if m, err := siem.Next(); err != nil || string(m.Data()) != string(j.message(6)) {
		t.Errorf("the durable consumer continues with %v, %v", m, err)
	}
}

// unprotected runs a NATS server that blocks nothing on a server's files.
func unprotected(t *testing.T, c ServerConfig, do func(jetstream.JetStream) error) {
	t.Helper()
	a, _, _, err := newAuthority(c.Cluster)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	public, err := signer.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, claims := range []*jwt.AccountClaims{a.systemClaims(), a.streamClaims(public)} {
		claims.Mappings = nil
		if _, err := a.add(claims); err != nil {
			t.Fatal(err)
		}
	}
	creds, err := a.insider("almighty", []string{">"}, []string{">"}, signer)
	if err != nil {
		t.Fatal(err)
	}
	o, err := options(c, a)
	if err != nil {
		t.Fatal(err)
	}
	n, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := launch(n, nil); err != nil {
		t.Fatal(err)
	}
	defer func() { n.Shutdown(); n.WaitForShutdown() }()
	nc, err := (&embedded{Server: n}).connect("almighty", creds)()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err == nil {
		err = do(js)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestStreamMustBeAWholeCopy(t *testing.T) {
	own := &Publisher{c: PublisherConfig{First: 1, Replicas: 1, Repair: func(context.Context, error) error { return nil }}}
	site := &Publisher{c: PublisherConfig{First: 1, Replicas: 1}}
	with := func(change func(*jetstream.StreamConfig)) jetstream.StreamConfig {
		c := own.streamConfig()
		change(&c)
		return c
	}
	created := own.streamConfig()
	for name, c := range map[string]struct {
		p      *Publisher
		config jetstream.StreamConfig
		state  jetstream.StreamState
		ok     bool
	}{
		"empty":                          {own, created, jetstream.StreamState{}, true},
		"whole":                          {own, created, jetstream.StreamState{FirstSeq: 1, LastSeq: 9, Msgs: 9}, true},
		"purged":                         {own, created, jetstream.StreamState{FirstSeq: 10, LastSeq: 9}, false},
		"without its beginning":          {own, created, jetstream.StreamState{FirstSeq: 4, LastSeq: 9, Msgs: 6}, false},
		"with a hole":                    {own, created, jetstream.StreamState{FirstSeq: 1, LastSeq: 9, Msgs: 8}, false},
		"that may be purged":             {own, with(func(c *jetstream.StreamConfig) { c.DenyPurge = false }), jetstream.StreamState{}, false},
		"that may be deleted from":       {own, with(func(c *jetstream.StreamConfig) { c.DenyDelete = false }), jetstream.StreamState{}, false},
		"that is limited":                {own, with(func(c *jetstream.StreamConfig) { c.MaxMsgs = 5 }), jetstream.StreamState{}, false},
		"with other subjects":            {own, with(func(c *jetstream.StreamConfig) { c.Subjects = []string{">"} }), jetstream.StreamState{}, false},
		"of the site, purged":            {site, created, jetstream.StreamState{FirstSeq: 10, LastSeq: 9}, false},
		"of the site, with a hole":       {site, created, jetstream.StreamState{FirstSeq: 1, LastSeq: 9, Msgs: 8}, false},
		"of the site, begun later":       {site, created, jetstream.StreamState{FirstSeq: 4, LastSeq: 9, Msgs: 6}, true},
		"of the site, limited by itself": {site, with(func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }), jetstream.StreamState{FirstSeq: 10, LastSeq: 9}, true},
	} {
		err := c.p.verify(&jetstream.StreamInfo{Config: c.config, State: c.state})
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrDiffers) {
			t.Errorf("a stream %s: %v", name, err)
		}
	}
}

func TestFilesOfFormerAccountsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	account, err := accountName("another", streamLabel)
	if err != nil {
		t.Fatal(err)
	}
	former := filepath.Join(dir, "nats", "jetstream", account)
	if err := os.MkdirAll(filepath.Join(former, "streams", Name), 0o700); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, dir)
	publish(t, s, story(3), 3)
	if _, err := os.Stat(former); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("files of a former account: %v", err)
	}
	holds(t, readerOf(t, s), story(3), 3)
}
