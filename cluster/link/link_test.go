package link

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// whoami answers with the id of the node that asks.
func whoami(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, Peer(r.Context())) }

func ask(client *http.Client, url string) (string, error) {
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestConfigReportsEveryProblem(t *testing.T) {
	_, err := New(Config{Advertise: "n1", ClusterID: "b l u e"})
	if err == nil {
		t.Fatal("an empty configuration is valid")
	}
	for _, want := range []string{"listener", "membership", "clock", "logger", "advertised address", "cluster id", "node id"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not reported in: %v", want, err)
		}
	}
}

func TestLinkRefusesAForeignIdentity(t *testing.T) {
	s := newSite(t, newPipes())
	red := mustCA(t, "red")
	twin := mustCA(t, "blue")
	other := s.config("n2")
	for name, spoil := range map[string]func(*Config){
		"another node's certificate": func(c *Config) { c.Certificate, c.Key = other.Certificate, other.Key },
		"another node's key":         func(c *Config) { c.Key = other.Key },
		"another cluster's CA":       func(c *Config) { c.CA = red.CertificateDER() },
		"a CA of the same name":      func(c *Config) { c.CA = twin.CertificateDER() },
		"another cluster's id":       func(c *Config) { c.ClusterID = "red" },
		"no key":                     func(c *Config) { c.Key = nil },
		"an expired certificate":     func(c *Config) { c.Now = func() time.Time { return birth.Add(nodeLifetime + time.Hour) } },
	} {
		c := s.config("n1")
		spoil(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := New(s.config("n1")); err != nil {
		t.Errorf("its own: %v", err)
	}
}

// hello connects to n1 with a TLS configuration and sends a request. In TLS 1.3 a
// client learns only then whether it was accepted.
func (s *site) hello(config *tls.Config) (string, error) {
	addr := s.members.Address("n1")
	raw, err := s.net.dial(context.Background(), "tcp", addr)
	if err != nil {
		return "", err
	}
	defer func() { _ = raw.Close() }()
	_ = raw.SetDeadline(time.Now().Add(time.Minute))
	tc := tls.Client(raw, config)
	if err := tc.Handshake(); err != nil {
		return "", err
	}
	if _, err := io.WriteString(tc, "GET / HTTP/1.1\r\nHost: n1\r\nConnection: close\r\n\r\n"); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(tc)
	return string(answer), err
}

// as is the certificate of a node, for its own key.
func (s *site) as(id string) tls.Certificate {
	return certificate(s.t, s.ca, named(id), s.members.key(s.t, id))
}

func named(id string) *x509.Certificate {
	return &x509.Certificate{
		URIs:        []*url.URL{nodeURI("blue", id)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// intruders are peers that must be refused: T-32 of the threat model.
func (s *site) intruders() map[string]*tls.Config {
	foreign := forged(s.t, mustCA(s.t, "blue"), named("n2"))
	foreign.Certificate[1] = s.ca.CertificateDER() // shows the real CA, which did not sign it
	nameless := certificate(s.t, s.ca, &x509.Certificate{DNSNames: []string{"n2"}}, s.members.key(s.t, "n2"))
	with := func(proto string, certs ...tls.Certificate) *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{proto}, Certificates: certs, MinVersion: tls.VersionTLS12}
	}
	member := s.as("n2")
	old := with(protoRPC, member)
	old.MaxVersion = tls.VersionTLS12
	two := with(protoJoin, member)
	two.NextProtos = []string{protoJoin, protoRPC}
	none := with("", member)
	none.NextProtos = nil
	return map[string]*tls.Config{
		"no certificate":               with(protoRPC),
		"another CA's certificate":     with(protoRPC, foreign),
		"the CA's, for another key":    with(protoRPC, forged(s.t, s.ca, named("n2"))),
		"a removed node's certificate": with(protoRPC, s.as("n7")),
		"a removed node's key":         with(protoRPC, certificate(s.t, s.ca, named("n2"), s.members.key(s.t, "n7"))),
		"a certificate without a node": with(protoRPC, nameless),
		"an unknown protocol":          with("h2", member),
		"no protocol":                  none,
		"joining and more":             two,
		"TLS 1.2":                      old,
	}
}

func TestIntrudersDoNotReachTheHandlers(t *testing.T) {
	s := newSite(t, loopback{})
	reached := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "reached") })
	s.run(s.link("n1"), reached, http.NotFoundHandler())
	s.members.add(t, "n2", "n2:7400")
	for name, config := range s.intruders() {
		if answer, err := s.hello(config); err == nil {
			t.Errorf("%s: answered %q", name, answer)
		}
	}
	member := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protoRPC}, Certificates: []tls.Certificate{s.as("n2")}}
	if answer, err := s.hello(member); err != nil || !strings.HasSuffix(answer, "reached") {
		t.Errorf("a member's certificate: %q, %v", answer, err)
	}
}

func TestNodeConnectsOnlyToTheNodeItDialed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, newPipes())
		l := s.link("n1")
		at := s.net.listen(t, "n2")
		s.members.add(t, "n2", at.Addr().String())
		s.members.add(t, "n3", "n3:7400")
		twin := mustCA(t, "blue")
		foreign := forged(t, twin, named("n2"))
		foreign.Certificate[1] = s.ca.CertificateDER()
		for _, c := range []struct {
			name  string
			cert  tls.Certificate
			proto string
			ok    bool
		}{
			{"another member", s.as("n3"), protoRPC, false},
			{"another member in its name", certificate(t, s.ca, named("n2"), s.members.key(t, "n3")), protoRPC, false},
			{"the CA's certificate for another key", forged(t, s.ca, named("n2")), protoRPC, false},
			{"another CA's certificate", foreign, protoRPC, false},
			{"no protocol", s.as("n2"), "", false},
			{"the node", s.as("n2"), protoRPC, true},
			{"the node, after the CA has changed", certificate(t, twin, named("n2"), s.members.key(t, "n2")), protoRPC, true},
		} {
			config := &tls.Config{Certificates: []tls.Certificate{c.cert}}
			if c.proto != "" {
				config.NextProtos = []string{c.proto}
			}
			answered := make(chan struct{})
			go func() {
				defer close(answered)
				raw, err := at.Accept()
				if err != nil {
					return
				}
				_ = tls.Server(raw, config).Handshake()
				_, _ = io.Copy(io.Discard, raw)
				_ = raw.Close()
			}()
			got, err := l.dial(t.Context(), "n2", "n2:7400", protoRPC)
			if (err == nil) != c.ok {
				t.Errorf("%s answers: %v", c.name, err)
			}
			if err == nil {
				_ = got.Close()
			}
			<-answered
		}
	})
}

func TestNodeDoesNotDialNonmembers(t *testing.T) {
	s := newSite(t, newPipes())
	l := s.link("n1")
	if _, err := l.dial(t.Context(), "n2", "n1:7400", protoRaft); !errors.Is(err, ErrNotMember) {
		t.Errorf("raft: %v", err)
	}
	if _, err := ask(l.Client(), "https://n2/"); !errors.Is(err, ErrNotMember) {
		t.Errorf("request: %v", err)
	}
}

func TestUnfinishedHandshakesAreBoundedAndDoNotBlockMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, newPipes())
		n1, n2 := s.link("n1"), s.link("n2")
		s.run(n1, http.HandlerFunc(whoami), nil)
		halfOpen := func() int { return n1.conns.count(func(p slot) bool { return p.kind == handshaking }) }
		before := runtime.NumGoroutine()
		for i := range 10_000 {
			if _, err := s.net.dial(t.Context(), "tcp", "n1:7400"); err != nil {
				t.Fatal(err)
			}
			if i%1000 != 999 {
				continue
			}
			n2.Client().CloseIdleConnections()
			if who, err := ask(n2.Client(), "https://n1/"); who != "n2" || err != nil {
				t.Fatalf("a member among %d unfinished handshakes: %q, %v", i+1, who, err)
			}
			synctest.Wait()
			if n := halfOpen(); n > maxHandshakes {
				t.Fatalf("%d unfinished handshakes, the limit is %d", n, maxHandshakes)
			}
			// A handshake uses two goroutines, one for its timeout.
			if n := runtime.NumGoroutine() - before; n > 2*maxHandshakes+50 {
				t.Fatalf("%d goroutines for %d unfinished handshakes", n, halfOpen())
			}
		}
		if n := halfOpen(); n == 0 {
			t.Fatal("no unfinished handshake: the test proves nothing")
		}
		time.Sleep(handshakeTimeout + time.Second) // the bubble's clock
		synctest.Wait()
		if n := halfOpen(); n != 0 {
			t.Errorf("%d unfinished handshakes after the timeout", n)
		}
	})
}

func TestSlowRequestsAreCutOff(t *testing.T) {
	parts := map[string]string{
		"headers": "GET / HTTP/1.1\r\nHost: n1\r\nX-Long: ",
		"body":    "POST / HTTP/1.1\r\nHost: n1\r\nContent-Length: 10000\r\n\r\n",
	}
	patient := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	for _, proto := range []string{protoRPC, protoJoin} {
		for part, beginning := range parts {
			t.Run(proto+" "+part, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newSite(t, newPipes())
					s.run(s.link("n1"), patient, patient)
					s.members.add(t, "n2", "n2:7400")
					raw, err := s.net.dial(t.Context(), "tcp", "n1:7400")
					if err != nil {
						t.Fatal(err)
					}
					config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{proto}}
					if proto == protoRPC {
						config.Certificates = []tls.Certificate{s.as("n2")}
					}
					tc := tls.Client(raw, config)
					_, err = io.WriteString(tc, beginning)
					if err != nil {
						t.Fatal(err)
					}
					go func() { _, _ = io.Copy(io.Discard, tc) }()
					began := time.Now()
					for err == nil { // one byte per second, forever
						_, err = io.WriteString(tc, "G")
						time.Sleep(time.Second)
					}
					if took := time.Since(began); took > 40*time.Second {
						t.Errorf("an endless request was read for %s", took)
					}
				})
			})
		}
	}
}

func TestConnectionsOfOnePeerAreBounded(t *testing.T) {
	var b connections
	everywhere := func(slot) bool { return true }
	var first net.Conn
	for range maxPerPeer + 1 {
		near, far := net.Pipe()
		if _, ok := b.enter(slot{kind: inbound, peer: "n2"}, far); !ok {
			t.Fatal("refused")
		}
		if first == nil {
			first = near
		}
	}
	if n := b.count(everywhere); n != maxPerPeer {
		t.Errorf("%d connections of one peer, the limit is %d", n, maxPerPeer)
	}
	if _, err := first.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the oldest connection was not closed: %v", err)
	}
	near, far := net.Pipe()
	if _, ok := b.enter(slot{kind: inbound, peer: "n3"}, far); !ok || b.count(everywhere) != maxPerPeer+1 {
		t.Error("the connections of one peer count against another")
	}

	b.close()
	if _, err := near.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("open after closing: %v", err)
	}
	late, far := net.Pipe()
	if _, ok := b.enter(slot{kind: inbound, peer: "n2"}, far); ok {
		t.Error("entered after closing")
	}
	if _, err := late.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("refused, but not closed: %v", err)
	}
}

func TestRecheckClosesOnlyConnectionsWithRemovedNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, newPipes())
		n1, n2, n3 := s.link("n1"), s.link("n2"), s.link("n3")
		for _, l := range []*Link{n1, n2, n3} {
			s.run(l, http.HandlerFunc(whoami), nil)
		}
		connect := func(from *Link, to string) *conn {
			addr := s.members.Address(to)
			c, err := from.dial(t.Context(), to, addr, protoRPC)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		removed := map[string]*conn{"it dialled us": connect(n2, "n1"), "we dialled it": connect(n1, "n2")}
		kept := map[string]*conn{"it dialled us": connect(n3, "n1"), "we dialled it": connect(n1, "n3")}
		synctest.Wait()

		n1.Recheck() // changes nothing
		s.members.remove("n2")
		n1.Recheck()
		closed := func(c *conn) bool {
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			_, err := c.Read(make([]byte, 1))
			var late net.Error
			return !errors.As(err, &late) || !late.Timeout()
		}
		for how, c := range removed {
			if !closed(c) {
				t.Errorf("removed, %s: the connection is open", how)
			}
		}
		for how, c := range kept {
			if closed(c) {
				t.Errorf("not removed, %s: the connection is closed", how)
			}
			_ = c.Close()
		}
	})
}

func TestNodeRemovedDuringItsHandshakeIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, newPipes())
		n1 := s.link("n1")
		s.run(n1, http.HandlerFunc(whoami), nil)
		s.members.add(t, "n2", "n2:7400")
		var times int
		s.members.asked = func(nodeID string) {
			if times++; nodeID == "n2" && times == 2 {
				s.members.remove("n2") // after the handshake looked
				n1.Recheck()           // and before the connection is known
			}
		}
		addr := "n1:7400"
		raw, err := s.net.dial(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		tc := tls.Client(raw, &tls.Config{
			InsecureSkipVerify: true, NextProtos: []string{protoRPC},
			Certificates: []tls.Certificate{s.as("n2")},
		})
		_, _ = io.WriteString(tc, "GET / HTTP/1.1\r\nHost: n1\r\n\r\n")
		answer, _ := io.ReadAll(io.LimitReader(tc, 12))
		if len(answer) != 0 {
			t.Errorf("answered %q", answer)
		}
		if times < 2 {
			t.Errorf("membership was checked %d times", times)
		}
	})
}

func TestOnlyRefusedNodesOfTheClusterAreLoggedAsWarnings(t *testing.T) {
	s := newSite(t, loopback{})
	lines := make(chan string, 100)
	c := s.config("n1")
	c.Log = slog.New(slog.NewTextHandler(lineWriter(lines), &slog.HandlerOptions{Level: slog.LevelWarn}))
	l, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	stop := s.run(l, http.HandlerFunc(whoami), nil)
	s.members.add(t, "n2", "n2:7400")
	for _, config := range s.intruders() {
		_, _ = s.hello(config)
	}
	stop()
	close(lines)
	warned := map[string]int{"node n7: not a member": 0, "itself node n2 has another key": 0}
	for line := range lines {
		known := false
		for text := range warned {
			if strings.Contains(line, text) && strings.Contains(line, "the cluster's CA issued the certificate") {
				warned[text]++
				known = true
			}
		}
		if !known {
			t.Errorf("want no warning about a stranger: %s", line)
		}
	}
	for text, count := range warned {
		if count == 0 {
			t.Errorf("no warning with %q", text)
		}
	}
}

// lineWriter passes on a log, line by line.
type lineWriter chan<- string

func (w lineWriter) Write(line []byte) (int, error) {
	w <- string(line)
	return len(line), nil
}

func TestRunFinishesRequestsAndClosesAllConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, newPipes())
		n1, n2 := s.link("n1"), s.link("n2")
		begun := make(chan struct{})
		stop := s.run(n1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(begun)
			time.Sleep(shutdownGrace / 2)
			whoami(w, r)
		}), nil)
		type answer struct {
			who string
			err error
		}
		answers := make(chan answer, 1)
		go func() {
			who, err := ask(n2.Client(), "https://n1/")
			answers <- answer{who, err}
		}()
		<-begun
		stop()
		if a := <-answers; a.who != "n2" || a.err != nil {
			t.Errorf("the request in progress got %q, %v", a.who, a.err)
		}
		if n := n1.conns.count(func(slot) bool { return true }); n != 0 {
			t.Errorf("%d connections left", n)
		}
		if _, err := n1.dial(t.Context(), "n2", "n2:7400", protoRPC); err == nil {
			t.Error("dialed after the end")
		}
	})
}
