package radius

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// authority issues certificates.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.certificate = a.sign(t, template, template, a.key)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) sign(t *testing.T, template, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// issue makes a certificate with DNS names, or with a common name alone.
func (a *authority) issue(t *testing.T, commonName string, dns ...string) tls.Certificate {
	t.Helper()
	key := newKey(t)
	c := a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: commonName}, DNSNames: dns,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.certificate, key)
	return tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key, Leaf: c}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

func startRadSec(t *testing.T, a *authority, node Node) *Server {
	t.Helper()
	return start(t, node, func(c *Config) {
		c.RadSec = []string{"127.0.0.1:0"}
		c.TLS = &tls.Config{Certificates: []tls.Certificate{a.issue(t, "n1")}, ClientCAs: a.pool()} //nolint:gosec // the server sets the version
	})
}

func connect(t *testing.T, s *Server, a *authority, certificates ...tls.Certificate) *tls.Conn {
	t.Helper()
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: a.pool(), Certificates: certificates, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(t.Context(), "tcp", s.RadSecAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn.(*tls.Conn) //nolint:errcheck,forcetypeassert // what the dialer makes
}

// over sends packets over a connection and reads as many responses.
func over(t *testing.T, conn *tls.Conn, packets ...Packet) map[byte]Packet {
	t.Helper()
	for _, p := range packets {
		if _, err := conn.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	answers := make(map[byte]Packet)
	for range packets {
		var buffer [maxPacket]byte
		n, err := readPacket(conn, &buffer)
		if err != nil {
			t.Fatal(err)
		}
		p := mustParse(t, buffer[:n])
		answers[p.ID()] = p
	}
	return answers
}

func streamPackets(signed bool) *packets {
	m := newPackets(signed)
	m.secret = newSharedSecret(radsecSecret)
	return m
}

func TestOneConnectionServesEverything(t *testing.T) {
	a := newAuthority(t)
	node := newFakeNode(vpn("vpn1.example.com", "192.0.2.1/32", "rsa", "require"))
	s := startRadSec(t, a, node)
	conn := connect(t, s, a, a.issue(t, "ignored", "vpn1.example.com"))
	signed, unsigned := streamPackets(true), streamPackets(false)
	unsigned.id = 100
	answers := over(t, conn,
		signed.login("alice", "1234123456"),
		signed.login("alice", "0000000000"),
		signed.make(StatusServer, func(*Request) {}),
		signed.make(AccountingRequest, func(r *Request) { r.AddUint32(AcctStatusType, 1) }),
		unsigned.login("alice", "1234123456", with(ProxyState, "via a proxy")),
	)
	for id, want := range map[byte]Code{1: AccessAccept, 2: AccessReject, 3: AccessAccept, 4: AccountingResponse, 101: AccessAccept} {
		if got := answers[id]; got == nil || got.Code() != want {
			t.Errorf("answer to %d is %v, want %v", id, got, want)
		}
	}
	if got := node.Attempts()[0].Origin; got.Client != "vpn1.example.com" || got.SourceIP != "127.0.0.1" {
		t.Errorf("origin is %+v", got)
	}
	if len(s.findings) != 0 {
		t.Error("an address was recorded as signing over TLS")
	}
}

func TestRadSecDoesNotUseTheSharedSecret(t *testing.T) {
	a := newAuthority(t)
	node := newFakeNode(vpn("vpn1.example.com", "192.0.2.1/32", "rsa", "require"))
	node.applyAt(events.At(time.Now()), events.ClientSecretRotated{
		Client: "vpn1.example.com", Sealed: []byte(newSecret.Reveal()), Revision: 1, OldUntil: events.At(time.Now().Add(overlap)),
	})
	s := startRadSec(t, a, node)
	signed, unsigned := streamPackets(true), streamPackets(false)
	unsigned.id = 100
	conn := connect(t, s, a, a.issue(t, "ignored", "vpn1.example.com"))
	for id, answer := range over(t, conn, signed.login("alice", "1234123456"), unsigned.login("alice", "1234123456")) {
		if answer.Code() != AccessAccept {
			t.Errorf("answer to %d is %v", id, answer.Code())
		}
	}
	for _, secret := range []engine.Secret{oldSecret, newSecret} {
		conn := connect(t, s, a, a.issue(t, "ignored", "vpn1.example.com"))
		if _, err := conn.Write(packetsUnder(secret, true).login("alice", "1234123456")); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, maxPacket)); err == nil {
			t.Errorf("%d bytes came back under %q", n, secret.Reveal())
		}
	}
	if got := node.State().Client("vpn1.example.com"); !got.Seen.IsZero() || len(got.OldSecret) == 0 {
		t.Error("a login over TLS counts as use of the new secret")
	}
}

func TestCertificateMustNameAClient(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	s := startRadSec(t, a, newFakeNode(vpn("vpn1", "127.0.0.0/8", "rsa", "allow")))
	for name, certificates := range map[string][]tls.Certificate{
		"none":                    nil,
		"of another CA":           {stranger.issue(t, "vpn1")},
		"of nobody":               {a.issue(t, "vpn2")},
		"with another DNS name":   {a.issue(t, "vpn1", "vpn2")},
		"with the name of a node": {a.issue(t, "n1")},
	} {
		t.Run(name, func(t *testing.T) {
			dialer := tls.Dialer{Config: &tls.Config{RootCAs: a.pool(), Certificates: certificates, MinVersion: tls.VersionTLS12}}
			conn, err := dialer.DialContext(t.Context(), "tcp", s.RadSecAddr().String())
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = conn.Write(streamPackets(true).login("alice", "1234123456"))
			if n, err := conn.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
				t.Errorf("read %d bytes, %v", n, err)
			}
		})
	}
	conn := connect(t, s, a, a.issue(t, "vpn1"))
	if got := over(t, conn, streamPackets(true).login("alice", "1234123456")); got[1].Code() != AccessAccept {
		t.Errorf("the client itself gets %v", got[1].Code())
	}
}

func TestInvalidPacketEndsTheConnection(t *testing.T) {
	a := newAuthority(t)
	s := startRadSec(t, a, newFakeNode(vpn("vpn1", "127.0.0.0/8", "rsa", "allow")))
	wrong := newPackets(true).login("alice", "1234123456") // under the secret of UDP
	for name, nonsense := range map[string][]byte{
		"too short":      {1, 1, 0, 19},
		"too long":       {1, 1, 0xff, 0xff},
		"malformed":      append([]byte{1, 1, 0, 22}, make([]byte, 18)...),
		"wrongly signed": wrong,
	} {
		t.Run(name, func(t *testing.T) {
			conn := connect(t, s, a, a.issue(t, "vpn1"))
			over(t, conn, streamPackets(true).login("alice", "1234123456"))
			if _, err := conn.Write(nonsense); err != nil {
				t.Fatal(err)
			}
			if n, err := conn.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
				t.Errorf("read %d bytes, %v", n, err)
			}
		})
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	a := newAuthority(t)
	s := start(t, newFakeNode(vpn("vpn1", "127.0.0.0/8", "rsa", "allow")), func(c *Config) {
		c.RadSec, c.Connections = []string{"127.0.0.1:0"}, 4
		c.TLS = &tls.Config{Certificates: []tls.Certificate{a.issue(t, "n1")}, ClientCAs: a.pool()} //nolint:gosec // as above
	})
	conn := connect(t, s, a, a.issue(t, "vpn1"))
	over(t, conn, streamPackets(true).login("alice", "1234123456"))
	second, err := net.Dial("tcp", s.RadSecAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.Close() }()
	_ = second.SetDeadline(time.Now().Add(10 * time.Second))
	if n, err := second.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("read %d bytes, %v", n, err)
	}
	_ = conn.Close()
	until(t, func() bool {
		s.radsec[0].mu.Lock()
		defer s.radsec[0].mu.Unlock()
		return len(s.radsec[0].sessions) == 0
	})
}

// TestSilentConnectionsKeepNoRadSecClientOut: strangers take all connections, from
// more addresses than one share, and a client still gets in and stays.
func TestSilentConnectionsKeepNoRadSecClientOut(t *testing.T) {
	a := newAuthority(t)
	s := start(t, newFakeNode(vpn("vpn1", "127.0.0.0/8", "rsa", "allow")), func(c *Config) {
		c.RadSec, c.Connections = []string{"127.0.0.1:0"}, 8
		c.TLS = &tls.Config{Certificates: []tls.Certificate{a.issue(t, "n1")}, ClientCAs: a.pool()} //nolint:gosec // as above
	})
	fallSilent := func(from byte) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 9, from)}}
		conn, err := d.DialContext(t.Context(), "tcp", s.RadSecAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	flood := func() {
		for i := range byte(40) {
			fallSilent(1 + i%20)
		}
		for range 10 {
			fallSilent(99) // the share of one address
		}
	}
	flood()
	conn := connect(t, s, a, a.issue(t, "vpn1"))
	m := streamPackets(true)
	over(t, conn, m.login("alice", "1234123456"))
	flood()
	over(t, conn, m.login("alice", "1234123456"))
	s.radsec[0].mu.Lock()
	defer s.radsec[0].mu.Unlock()
	if n := len(s.radsec[0].sessions); n > 8 {
		t.Errorf("%d sessions, want at most 8", n)
	}
}

func TestConnectionEndsWithItsClient(t *testing.T) {
	a := newAuthority(t)
	node := newFakeNode(vpn("vpn1", "127.0.0.0/8", "rsa", "allow"))
	s := startRadSec(t, a, node)
	conn := connect(t, s, a, a.issue(t, "vpn1"))
	m := streamPackets(true)
	over(t, conn, m.login("alice", "1234123456"))
	node.apply(events.ClientRemoved{Client: "vpn1"})
	until(t, func() bool { _, known := s.clients.named("vpn1", time.Now()); return !known })
	_, _ = conn.Write(m.login("alice", "1234123456"))
	if n, err := conn.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

func TestConnectionGetsItsResponsesBeforeTheServerStops(t *testing.T) {
	a := newAuthority(t)
	node := newFakeNode(vpn("vpn1", "127.0.0.0/8", "rsa", "allow"))
	admitted, goOn := make(chan struct{}), make(chan struct{})
	node.Decide = func(engine.Attempt) (engine.Outcome, error) {
		close(admitted)
		<-goOn
		return engine.Outcome{Verdict: engine.Accept}, nil
	}
	cfg := DefaultConfig()
	cfg.Listen, cfg.Accounting, cfg.RadSec = nil, nil, []string{"127.0.0.1:0"}
	cfg.TLS = &tls.Config{Certificates: []tls.Certificate{a.issue(t, "n1")}, ClientCAs: a.pool()} //nolint:gosec // as above
	s, err := New(cfg, node, discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	conn := connect(t, s, a, a.issue(t, "vpn1"))
	p := streamPackets(true).login("alice", "1234123456")
	if _, err := conn.Write(p); err != nil {
		t.Fatal(err)
	}
	<-admitted
	stop()
	until(t, func() bool { _, err := net.Dial("tcp", s.RadSecAddr().String()); return err != nil })
	close(goOn)
	var buffer [maxPacket]byte
	n, err := readPacket(conn, &buffer)
	if err != nil || Packet(buffer[:n]).Code() != AccessAccept {
		t.Errorf("answer is %x, %v", buffer[:n], err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestRadsecproxyConnectsUDPClients: radsecproxy turns UDP into TLS for a VPN that
// supports only UDP.
func TestRadsecproxyConnectsUDPClients(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("radsecproxy")
	if err != nil {
		t.Skip("radsecproxy is missing (Debian: radsecproxy)")
	}
	a := newAuthority(t)
	s := startRadSec(t, a, newFakeNode(vpn("proxy", "192.0.2.1/32", "rsa", "auto")))
	dir, port := t.TempDir(), freePort(t)
	certificate := a.issue(t, "proxy")
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"ca.crt":     {Type: "CERTIFICATE", Bytes: a.certificate.Raw},
		"client.crt": {Type: "CERTIFICATE", Bytes: certificate.Leaf.Raw},
		"client.key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := fmt.Sprintf(`
ListenUDP 127.0.0.1:%[1]d
tls default {
  CACertificateFile %[2]s/ca.crt
  CertificateFile %[2]s/client.crt
  CertificateKeyFile %[2]s/client.key
}
client localhost {
  host 127.0.0.1
  type udp
  secret %[3]s
}
server node1 {
  host 127.0.0.1
  type tls
  port %[4]d
  secret radsec
  CertificateNameCheck off
  StatusServer on
}
realm * {
  server node1
  accountingServer node1
}
`, port, dir, testSecret.Reveal(), s.RadSecAddr().Port())
	file := filepath.Join(dir, "radsecproxy.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &strings.Builder{}
	cmd := exec.CommandContext(t.Context(), path, "-f", "-d", "2", "-c", file) //nolint:gosec // a test
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("radsecproxy:\n%s", log)
		}
	}()
	address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
	for _, tc := range []struct {
		command, want string
		attributes    []string
	}{
		{"auth", "Received Access-Accept", []string{"User-Name = alice", "User-Password = 1234123456", signed}},
		{"auth", "Received Access-Reject", []string{"User-Name = alice", "User-Password = 0"}},
		{"acct", "Received Accounting-Response", []string{"User-Name = alice", "Acct-Status-Type = Start", "Acct-Session-Id = 1"}},
	} {
		var out string
		until(t, func() bool {
			out = radclient(t, address, tc.command, tc.attributes...)
			return !strings.Contains(out, "No reply") // until the proxy is ready
		})
		if !strings.Contains(out, tc.want) {
			t.Errorf("radclient does not say %q:\n%s", tc.want, out)
		}
	}
}

// freePort returns a port of 127.0.0.1 for another program to listen on. It is
// below the range from which the kernel takes ports by itself (ip(7),
// ip_local_port_range), so it stays free.
func freePort(t *testing.T) uint16 {
	t.Helper()
	for range 100 {
		port := 10_000 + mathrand.N[uint16](20_000)
		address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port).String()
		stream, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		packets, err := net.ListenPacket("udp", address)
		_ = stream.Close()
		if err == nil {
			_ = packets.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}
