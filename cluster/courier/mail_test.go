package courier

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mailServer is a real one: Debian's python3-aiosmtpd.
type mailServer struct {
	port  int
	roots *x509.CertPool
	box   string
}

// startMailServer starts it in a mode: starttls, implicit or plain.
func startMailServer(t *testing.T, mode string) *mailServer {
	t.Helper()
	const python = "/usr/bin/python3" // the one that Debian's modules belong to
	if err := exec.CommandContext(t.Context(), python, "-c", "import aiosmtpd").Run(); err != nil {
		t.Skip("needs aiosmtpd: apt-get install python3-aiosmtpd")
	}
	dir := t.TempDir()
	s := &mailServer{box: filepath.Join(dir, "box"), roots: makeCertificate(t, dir)}
	server := exec.CommandContext(context.WithoutCancel(t.Context()), python, "testdata/server.py",
		filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), s.box, mode)
	complaints := new(bytes.Buffer)
	server.Stderr = complaints
	in, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // it ends with its standard input
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		if err := server.Wait(); err != nil || t.Failed() {
			t.Logf("mail server: %v\n%s", err, complaints)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("mail server did not say its port: %v", err)
	}
	if s.port, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
		t.Fatal(err)
	}
	return s
}

// makeCertificate makes cert.pem and key.pem for localhost, and the roots that
// trust them.
func makeCertificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"},
		IsCA:     true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: certificate}, "key.pem": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return roots
}

func (s *mailServer) config(tls string) Mail {
	m := DefaultConfig().Mail
	m.Host, m.Port, m.TLS, m.Roots = "localhost", s.port, tls, s.roots
	m.User, m.Password, m.From = "keyfob", "sesame", "Example Travel <noreply@example.com>"
	return m
}

// letters are the mails that arrived.
func (s *mailServer) letters(t *testing.T) []*mail.Message {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(s.box, "new", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var all []*mail.Message
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		letter, err := mail.ReadMessage(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, letter)
	}
	return all
}

var olga = message{to: "olga@example.com", code: "40713286", minutes: 10}

func attempt(t *testing.T, m Mail, to message) error {
	t.Helper()
	c := config()
	c.Mail = m
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return newMailer(m, defaultService, 10*time.Second).send(ctx, to)
}

func TestMailArrives(t *testing.T) {
	for _, mode := range []string{StartTLS, Implicit} {
		t.Run(mode, func(t *testing.T) {
			s := startMailServer(t, mode)
			if err := attempt(t, s.config(mode), olga); err != nil {
				t.Fatal(err)
			}
			letters := s.letters(t)
			if len(letters) != 1 {
				t.Fatalf("%d mails arrived, want 1", len(letters))
			}
			text, err := io.ReadAll(letters[0].Body)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]string{
				"To": "<olga@example.com>", "From": `"Example Travel" <noreply@example.com>`, "Subject": "Your tokencode",
				"Auto-Submitted": "auto-generated", "X-Rcptto": "olga@example.com",
			} {
				if got := letters[0].Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			for _, want := range []string{"Your tokencode is 40713286\r\n", "for 10 minutes, for your company VPN connection."} {
				if !strings.Contains(strings.ReplaceAll(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n", "\r\n"), want) {
					t.Errorf("%q is not in\n%s", want, text)
				}
			}
		})
	}
}

func TestNothingIsSaidToAServerThatCannotBeTrusted(t *testing.T) {
	s, plain := startMailServer(t, StartTLS), startMailServer(t, "plain")
	change := func(m Mail, f func(*Mail)) Mail { f(&m); return m }
	for name, try := range map[string]struct {
		mail Mail
		says string
	}{
		"a stranger's certificate": {change(s.config(StartTLS), func(m *Mail) { m.Roots = x509.NewCertPool() }), "unknown authority"},
		"another name":             {change(s.config(StartTLS), func(m *Mail) { m.Host = "127.0.0.1" }), "cannot validate certificate for 127.0.0.1"},
		"no STARTTLS":              {plain.config(StartTLS), "it offers no STARTTLS"},
		"no TLS at all":            {plain.config(Implicit), "does not speak TLS"},
	} {
		if err := attempt(t, try.mail, olga); err == nil || !strings.Contains(err.Error(), try.says) {
			t.Errorf("%s: %v, want %q", name, err, try.says)
		}
	}
	if n := len(s.letters(t)) + len(plain.letters(t)); n != 0 {
		t.Errorf("%d mails arrived", n)
	}
}

func TestOpportunisticTLSIsWhatTheConfigurationMustSay(t *testing.T) {
	s := startMailServer(t, "plain")
	m := s.config(Opportunistic)
	c := config()
	if c.Mail = m; c.Validate() == nil {
		t.Error("a password may go over a connection that need not be TLS")
	}
	m.User, m.Password = "", ""
	if err := attempt(t, m, olga); err != nil {
		t.Fatal(err)
	}
	if n := len(s.letters(t)); n != 1 {
		t.Errorf("%d mails arrived", n)
	}
}

// TestRefusalOfAMailServerTellsNoSecret: its words hold the address.
func TestRefusalOfAMailServerTellsNoSecret(t *testing.T) {
	s := startMailServer(t, StartTLS)
	wrong := s.config(StartTLS)
	wrong.Password = "open up"
	for name, try := range map[string]struct {
		mail  Mail
		to    string
		says  string
		final bool
	}{
		"unknown address": {s.config(StartTLS), "nobody@example.com", "answered 550", true},
		"put off":         {s.config(StartTLS), "busy@example.com", "answered 450", false},
		"wrong password":  {wrong, "olga@example.com", "answered 535", true},
	} {
		err := attempt(t, try.mail, message{to: try.to, code: "40713286", minutes: 1})
		if err == nil || !strings.Contains(err.Error(), try.says) || errors.Is(err, errFinal) != try.final {
			t.Errorf("%s: %v, want %q, final %v", name, err, try.says, try.final)
			continue
		}
		for _, secret := range []string{"40713286", "example.com", "open up", "sesame"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestSilentMailServerHoldsNobodyUp: it takes connections and says nothing.
func TestSilentMailServerHoldsNobodyUp(t *testing.T) {
	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	m := (&mailServer{port: silent.Addr().(*net.TCPAddr).Port}).config(StartTLS)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	err = newMailer(m, defaultService, time.Minute).send(ctx, olga)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want that time is over", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}
