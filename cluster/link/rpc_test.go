package link

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestRequestReachesItsNodeAndNamesItsSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, newPipes())
		n1, n2, n3 := s.link("n1"), s.link("n2"), s.link("n3")
		for name, l := range map[string]*Link{"n1": n1, "n2": n2, "n3": n3} {
			s.run(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, Peer(r.Context())+" to "+name)
			}), nil)
		}
		for _, c := range []struct {
			from *Link
			url  string
			want string
		}{
			{n1, "https://n2/x", "n1 to n2"},
			{n2, "https://n1/x", "n2 to n1"},
			{n3, "https://n1/x", "n3 to n1"},
			{n1, "https://n2/x", "n1 to n2"},
		} {
			if got, err := ask(c.from.Client(), c.url); got != c.want || err != nil {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		}
	})
}

// counting counts what is dialled.
func counting(c *Config) *atomic.Int32 {
	var n atomic.Int32
	dial := c.Dial
	c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		n.Add(1)
		return dial(ctx, network, addr)
	}
	return &n
}

func TestConnectionsAreReusedAndReplacedWhenBroken(t *testing.T) {
	s := newSite(t, loopback{})
	config := s.config("n1")
	n1, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	stop := s.run(n1, http.HandlerFunc(whoami), nil)
	caller := s.config("n2")
	dials := counting(&caller)
	n2, err := New(caller)
	if err != nil {
		t.Fatal(err)
	}
	post := func() (string, error) {
		req, err := http.NewRequest(http.MethodPost, "https://n1/decide", bytes.NewReader([]byte("evidence")))
		if err != nil {
			return "", err
		}
		req.Header.Set("Idempotency-Key", "4711")
		resp, err := n2.Client().Do(req)
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		who, err := io.ReadAll(resp.Body)
		return string(who), err
	}
	for range 5 {
		if who, err := post(); who != "n2" || err != nil {
			t.Fatalf("answer %q, %v", who, err)
		}
	}
	if n := dials.Load(); n != 1 {
		t.Errorf("5 requests in a row took %d connections", n)
	}

	stop() // and the node comes back at the same address
	addr := config.Listener.Addr().String()
	config.Listener, err = net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	again, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	s.run(again, http.HandlerFunc(whoami), nil)
	if who, err := post(); who != "n2" || err != nil {
		t.Errorf("after the node's restart: %q, %v", who, err)
	}
	if n := dials.Load(); n != 2 {
		t.Errorf("%d connections after the node's restart", n)
	}
}

func TestNodesDoNotSpeakPlaintext(t *testing.T) {
	s := newSite(t, loopback{})
	n1, n2 := s.link("n1"), s.link("n2")
	s.run(n1, http.RedirectHandler("http://n1/plain", http.StatusTemporaryRedirect), nil)

	if _, err := ask(n2.Client(), "http://n1/"); !errors.Is(err, errPlaintext) {
		t.Errorf("http: %v", err)
	}
	resp, err := n2.Client().Get("https://n1/")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusTemporaryRedirect {
		t.Errorf("the redirect to http was followed: %s", resp.Status)
	}
	addr := s.members.Address("n1")
	if resp, err := http.Get("http://" + addr + "/"); err == nil {
		_ = resp.Body.Close()
		t.Errorf("the port answers plain HTTP: %s", resp.Status)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	s := newSite(t, loopback{})
	n1, n2 := s.link("n1"), s.link("n2")
	measure := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	})
	s.run(n1, measure, measure)
	for _, c := range []struct {
		name   string
		client *http.Client
		size   int
		want   int
	}{
		{"request at the bound", n2.Client(), maxRPCBody, http.StatusOK},
		{"request above", n2.Client(), maxRPCBody + 1, http.StatusRequestEntityTooLarge},
		{"join at the bound", s.joiner(Pin(s.ca.CertificateDER())), maxJoinBody, http.StatusOK},
		{"join above", s.joiner(Pin(s.ca.CertificateDER())), maxJoinBody + 1, http.StatusRequestEntityTooLarge},
	} {
		resp, err := c.client.Post("https://n1/", "text/plain", bytes.NewReader(make([]byte, c.size)))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s: %s", c.name, resp.Status)
		}
	}
}

func (s *site) joiner(pin string) *http.Client {
	addr := s.members.Address("n1")
	return JoinClient(JoinConfig{Addr: addr, Pin: pin, ClusterID: "blue", Now: now, Dial: s.net.dial})
}

func TestJoiningMachineReachesOnlyTheJoinHandler(t *testing.T) {
	s := newSite(t, loopback{})
	s.run(s.link("n1"),
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "rpc") }),
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "join "+r.URL.Path+" by "+Peer(r.Context()))
		}))
	client := s.joiner(Pin(s.ca.CertificateDER()))
	for _, path := range []string{"/join", "/decide", "/"} {
		if got, err := ask(client, "https://invited"+path); got != "join "+path+" by " || err != nil {
			t.Errorf("%s: answered %q, %v", path, got, err)
		}
	}
}

func TestNoJoinWithoutAJoinHandler(t *testing.T) {
	s := newSite(t, loopback{})
	s.run(s.link("n1"), http.HandlerFunc(whoami), nil)
	if got, err := ask(s.joiner(Pin(s.ca.CertificateDER())), "https://n1/join"); err == nil {
		t.Errorf("answered %q", got)
	}
}

func TestJoiningMachineTrustsOnlyThePinnedCA(t *testing.T) {
	pinned := mustCA(t, "blue")
	pin := Pin(pinned.CertificateDER())
	twin := mustCA(t, "blue")
	s := newSite(t, loopback{})
	s.ca = pinned
	for _, c := range []struct {
		name  string
		spoil func(*tls.Certificate)
		ok    bool
	}{
		{"another CA", func(c *tls.Certificate) { *c = forged(t, twin, named("n1")) }, false},
		{"another CA, showing the pinned one", func(c *tls.Certificate) {
			*c = forged(t, twin, named("n1"))
			c.Certificate[1] = pinned.CertificateDER()
		}, false},
		{"the pinned one's certificate as its own", func(c *tls.Certificate) {
			c.Certificate = [][]byte{pinned.CertificateDER(), pinned.CertificateDER()}
		}, false},
		{"no CA shown", func(c *tls.Certificate) { c.Certificate = c.Certificate[:1] }, false},
		{"a node of another cluster", func(c *tls.Certificate) {
			other := named("n1")
			other.URIs[0].Host = "red"
			*c = forged(t, pinned, other)
		}, false},
		{"no node", func(c *tls.Certificate) {
			client := named("n1")
			client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
			*c = forged(t, pinned, client)
		}, false},
		{"an expired certificate", func(c *tls.Certificate) {
			der, err := pinned.Issue(s.members.key(t, "n1").csr, "n1", birth.Add(-nodeLifetime-backdate))
			if err != nil {
				t.Fatal(err)
			}
			c.Certificate[0] = der
		}, false},
		{"the pinned CA", func(*tls.Certificate) {}, true},
	} {
		l := s.link("n1")
		shows := *l.self.Load()
		shows.Certificate = slices.Clone(shows.Certificate)
		c.spoil(&shows)
		l.self.Store(&shows)
		s.run(l, http.HandlerFunc(whoami), http.HandlerFunc(whoami))
		if _, err := ask(s.joiner(pin), "https://n1/join"); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestRequestsShareALimitedNumberOfConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, newPipes())
		n1 := s.link("n1")
		s.run(n1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Millisecond)
			whoami(w, r)
		}), nil)
		caller := s.config("n2")
		dials := counting(&caller)
		n2, err := New(caller)
		if err != nil {
			t.Fatal(err)
		}
		const burst = 4 * maxCalls
		failed := make(chan error, burst)
		for range burst {
			go func() {
				_, err := ask(n2.Client(), "https://n1/"+strings.Repeat("x", 10))
				failed <- err
			}()
		}
		for range burst {
			if err := <-failed; err != nil {
				t.Error(err)
			}
		}
		if n := dials.Load(); n > maxCalls {
			t.Errorf("%d requests at once opened %d connections", burst, n)
		}
		n2.Client().CloseIdleConnections()
	})
}
