package demo

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyfob/cmd/keyfob/cli"
)

// certificates makes the files of a dev cluster of one node and returns its
// directory.
func certificates(t *testing.T) string {
	t.Helper()
	d := &Cluster{Env: &cli.Environment{Now: time.Now}, Dir: t.TempDir(), Base: defaultBasePort}
	d.Nodes = []*Node{newDevNode(d, 1)}
	if err := d.Prepare(); err != nil {
		t.Fatal(err)
	}
	return d.Dir
}

func roots(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		t.Fatal("ca.pem contains no certificate")
	}
	return pool
}

func load(t *testing.T, cert, key string) tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// serveRadSec accepts TLS connections as the RadSec listener of a node does, and
// answers with the name of the client.
func serveRadSec(t *testing.T, dir string) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{load(t, filepath.Join(dir, "n1", "tls.crt"), filepath.Join(dir, "n1", "tls.key"))},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: roots(t, dir),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			answer(conn)
		}
	}()
	return l.Addr().String()
}

func answer(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	c, ok := conn.(*tls.Conn)
	if !ok || c.Handshake() != nil {
		return
	}
	_, _ = io.WriteString(c, c.ConnectionState().PeerCertificates[0].DNSNames[0]+"\n")
}

func TestDevCertificatesServeBothEndsOfRadSec(t *testing.T) {
	dir := certificates(t)
	client := load(t, filepath.Join(dir, "radsec.crt"), filepath.Join(dir, "radsec.key"))
	conn, err := tls.Dial("tcp", serveRadSec(t, dir), &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: roots(t, dir), Certificates: []tls.Certificate{client},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	said, err := io.ReadAll(conn)
	if err != nil || strings.TrimSpace(string(said)) != RADIUSClient {
		t.Errorf("the server says %q, %v; want %s", said, err, RADIUSClient)
	}
}

func TestOpenSSLAcceptsTheDevCertificates(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("needs openssl")
	}
	dir := certificates(t)
	ca, client, server := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "radsec.crt"), filepath.Join(dir, "n1", "tls.crt")
	for _, args := range [][]string{
		{"verify", "-x509_strict", "-CAfile", ca, "-purpose", "sslclient", client},
		{"verify", "-x509_strict", "-CAfile", ca, "-purpose", "sslserver", server},
		{
			"s_client", "-connect", serveRadSec(t, dir), "-CAfile", ca, "-verify_return_error", "-verify_hostname", "localhost",
			"-cert", client, "-key", filepath.Join(dir, "radsec.key"), "-quiet",
		},
	} {
		c := exec.CommandContext(t.Context(), "openssl", args...)
		stdin, open, err := os.Pipe() // s_client ends with its input, or with the server
		if err != nil {
			t.Fatal(err)
		}
		c.Stdin = stdin
		out, err := c.CombinedOutput()
		_, _ = stdin.Close(), open.Close()
		if err != nil {
			t.Errorf("openssl %s: %v\n%s", args[0], err, out)
		}
		if args[0] == "s_client" && !strings.Contains(string(out), RADIUSClient+"\n") {
			t.Errorf("openssl s_client got no answer:\n%s", out)
		}
	}
}
