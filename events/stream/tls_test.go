package stream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// certificate writes a certificate for 127.0.0.1 and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: text}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestServerWithCertificateAcceptsNoPlaintext(t *testing.T) {
	cert, key := certificate(t)
	config := ServerConfig{
		Name: "n1", Dir: t.TempDir(), Listen: "127.0.0.1:0", Cluster: cluster, TLSCert: cert, TLSKey: key, Log: slog.New(slog.DiscardHandler),
	}
	s, err := Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	admit(t, s)
	if !strings.HasPrefix(s.URL(), "tls://127.0.0.1:") {
		t.Fatal(s.URL())
	}
	j := story(10)
	publish(t, s, j, 10)
	creds := admitted(t, s)
	holds(t, connect(t, s.URL(), creds, nats.RootCAs(cert)), j, 10)
	if nc, err := nats.Connect(s.URL(), creds); err == nil {
		nc.Close()
		t.Error("a certificate of an unknown CA was accepted")
	}
	// A client without TLS.
	address := strings.TrimPrefix(s.URL(), "tls://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = conn.Write([]byte("CONNECT {\"verbose\":true}\r\nPING\r\n"))
	answer := make([]byte, 4096)
	for n := 0; ; {
		m, err := conn.Read(answer[n:])
		n += m
		if strings.Contains(string(answer[:n]), "PONG") {
			t.Fatal("answered in plaintext")
		}
		if err != nil {
			break
		}
	}

	config.Dir, config.TLSKey = t.TempDir(), cert
	if s, err := Start(config); err == nil {
		s.Close()
		t.Error("started with a certificate in place of the key")
	}
}
