// Package mailtest runs a real mail server for tests: Debian's python3-aiosmtpd, with
// a certificate made by the test, and a Maildir that the test reads.
package mailtest

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed"
	"encoding/pem"
	"io"
	"math/big"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The modes of a server.
const (
	StartTLS = "starttls" // accepts mail after STARTTLS and a password
	Implicit = "implicit" // TLS from the first byte, and a password
	Plain    = "plain"    // without TLS; accepts mail from anybody
)

// Who may send.
const (
	User     = "keyfob"
	Password = "sesame"
)

// python is the one that Debian's modules belong to.
const python = "/usr/bin/python3"

//go:embed server.py
var program string

// Server is a mail server that runs until the test ends. It refuses mail to nobody@…
// and defers mail to busy@… twice.
type Server struct {
	Port  int            // at localhost
	Roots *x509.CertPool // for its certificate
	CA    string         // file with the same

	box string
}

// Start starts a server, or skips the test if aiosmtpd is not installed.
func Start(t testing.TB, mode string) *Server {
	t.Helper()
	if err := exec.CommandContext(t.Context(), python, "-c", "import aiosmtpd").Run(); err != nil {
		t.Skip("needs aiosmtpd: apt-get install python3-aiosmtpd")
	}
	dir := t.TempDir()
	s := &Server{box: filepath.Join(dir, "box"), CA: filepath.Join(dir, "cert.pem")}
	key := filepath.Join(dir, "key.pem")
	s.Roots = makeCertificate(t, s.CA, key)
	server := exec.Command(python, "-c", program, s.CA, key, s.box, mode) //nolint:noctx // it ends with its standard input
	complaints := new(bytes.Buffer)
	server.Stderr = complaints
	in, err := server.StdinPipe()
	check(t, err)
	out, err := server.StdoutPipe()
	check(t, err)
	check(t, server.Start())
	t.Cleanup(func() {
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
	s.Port, err = strconv.Atoi(strings.TrimSpace(line))
	check(t, err)
	return s
}

// Letter is a mail that arrived.
type Letter struct {
	mail.Header
	Text string // with line ends of this machine
}

// Letters are the mails that have arrived, in no order.
func (s *Server) Letters(t testing.TB) []Letter {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(s.box, "new", "*"))
	check(t, err)
	var all []Letter
	for _, name := range names {
		data, err := os.ReadFile(name)
		check(t, err)
		letter, err := mail.ReadMessage(bytes.NewReader(data))
		check(t, err)
		text, err := io.ReadAll(letter.Body)
		check(t, err)
		all = append(all, Letter{letter.Header, strings.ReplaceAll(string(text), "\r\n", "\n")})
	}
	return all
}

// makeCertificate makes a certificate for localhost that signs itself.
func makeCertificate(t testing.TB, certFile, keyFile string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	check(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600))
	check(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	parsed, err := x509.ParseCertificate(certificate)
	check(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return roots
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
