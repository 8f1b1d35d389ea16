package link

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var birth = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func mustCA(t *testing.T, clusterID string) *CA {
	t.Helper()
	ca, err := NewCA(clusterID, birth)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func TestCertificateContainsTheIssuersNodeID(t *testing.T) {
	ca := mustCA(t, "blue")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: "n9"},
		URIs:     []*url.URL{nodeURI("blue", "n9")},
		DNSNames: []string{"n9"},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := ca.Issue(csr, "n2", birth)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := nodeOf(cert, "blue"); id != "n2" || err != nil {
		t.Errorf("certificate is for %q, %v; want n2", id, err)
	}
	if cert.Subject.CommonName != "n2" || len(cert.DNSNames) != 0 || cert.IsCA {
		t.Errorf("certificate has name %q, DNS names %q, CA %v", cert.Subject.CommonName, cert.DNSNames, cert.IsCA)
	}
	if !cert.NotBefore.Before(birth) {
		t.Errorf("good from %s: a node whose clock is behind must accept it at %s", cert.NotBefore, birth)
	}
}

func TestCertificatesDoNotOutliveTheCA(t *testing.T) {
	ca := mustCA(t, "blue")
	_, csr, err := NewNodeKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := ca.Issue(csr, "n1", ca.cert.NotAfter.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if !cert.NotAfter.Equal(ca.cert.NotAfter) {
		t.Errorf("certificate ends %s, CA %s", cert.NotAfter, ca.cert.NotAfter)
	}
}

func TestLoadedCAIssuesUnderTheSameRoot(t *testing.T) {
	made := mustCA(t, "blue")
	key, err := made.PrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadCA(made.CertificateDER(), key)
	if err != nil {
		t.Fatal(err)
	}
	if Pin(loaded.CertificateDER()) != Pin(made.CertificateDER()) {
		t.Error("another pin after loading")
	}
	_, csr, err := NewNodeKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := loaded.Issue(csr, "n1", birth)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := cert.CheckSignatureFrom(made.cert); err != nil {
		t.Error(err)
	}
}

func TestLoadCARefusesAForeignKey(t *testing.T) {
	blue, red := mustCA(t, "blue"), mustCA(t, "red")
	blueKey, err := blue.PrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	nodeKey, csr, err := NewNodeKey()
	if err != nil {
		t.Fatal(err)
	}
	node, err := blue.Issue(csr, "n1", birth)
	if err != nil {
		t.Fatal(err)
	}
	for name, given := range map[string]struct {
		cert []byte
		key  Key
	}{
		"another CA's key":     {red.CertificateDER(), blueKey},
		"a node's certificate": {node, nodeKey},
		"garbage for a key":    {blue.CertificateDER(), Key("garbage")},
		"garbage for a CA":     {[]byte("garbage"), blueKey},
		"nothing":              {nil, nil},
	} {
		if _, err := LoadCA(given.cert, given.key); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestIssueRefuses(t *testing.T) {
	ca := mustCA(t, "blue")
	_, good, err := NewNodeKey()
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	otherKind, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, edwards)
	if err != nil {
		t.Fatal(err)
	}
	tampered := bytes.Clone(good)
	tampered[len(tampered)-1] ^= 1
	for name, given := range map[string]struct {
		csr []byte
		id  string
	}{
		"no id":                  {good, ""},
		"an id with a slash":     {good, "n1/n2"},
		"an id with an at sign":  {good, "n1@n2"},
		"an id with a space":     {good, "n 1"},
		"an id with a newline":   {good, "n1\n"},
		"an id that is too long": {good, strings.Repeat("n", 64)},
		"a broken signature":     {tampered, "n1"},
		"a key of another kind":  {otherKind, "n1"},
		"garbage":                {[]byte("garbage"), "n1"},
	} {
		if _, err := ca.Issue(given.csr, given.id, birth); err == nil {
			t.Errorf("%s: issued", name)
		}
	}
	if _, err := ca.Issue(good, "n1", birth); err != nil {
		t.Errorf("a good request: %v", err)
	}
}

func TestNodeURIMustBeExact(t *testing.T) {
	for _, c := range []struct {
		names []string
		want  string
	}{
		{[]string{"keyfob://blue/node/n1"}, "n1"},
		{[]string{"keyfob://blue/node/vpn-1.example_net"}, "vpn-1.example_net"},
		{nil, ""},
		{[]string{"keyfob://blue/node/n1", "keyfob://blue/node/n2"}, ""},
		{[]string{"keyfob://red/node/n1"}, ""},
		{[]string{"keyfob://BLUE/node/n1"}, ""},
		{[]string{"https://blue/node/n1"}, ""},
		{[]string{"keyfob://blue/user/n1"}, ""},
		{[]string{"keyfob://blue/n1"}, ""},
		{[]string{"keyfob://blue/node/"}, ""},
		{[]string{"keyfob://blue/node/n1/"}, ""},
		{[]string{"keyfob://blue/node/%6e1"}, ""},
		{[]string{"keyfob://blue/node/n1?n2"}, ""},
		{[]string{"keyfob://blue/node/n1#n2"}, ""},
		{[]string{"keyfob://u@blue/node/n1"}, ""},
		{[]string{"keyfob://blue:1/node/n1"}, ""},
	} {
		cert := &x509.Certificate{}
		for _, name := range c.names {
			u, err := url.Parse(name)
			if err != nil {
				t.Fatal(err)
			}
			cert.URIs = append(cert.URIs, u)
		}
		got, err := nodeOf(cert, "blue")
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: node %q, %v; want %q", c.names, got, err, c.want)
		}
	}
}

func TestPrivateKeysPrintAsStars(t *testing.T) {
	ca := mustCA(t, "blue")
	key, err := ca.PrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []any{key, ca} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if got := fmt.Sprintf(verb, secret); got != hidden {
				t.Errorf("%T with %s prints %s", secret, verb, got)
			}
		}
		text, err := json.Marshal(map[string]any{"it": secret})
		if diff := cmp.Diff(`{"it":"***"}`, string(text)); diff != "" || err != nil {
			t.Errorf("%T as JSON: %v\n%s", secret, err, diff)
		}
		var logged strings.Builder
		slog.New(slog.NewTextHandler(&logged, nil)).Info("made", "it", secret)
		if !strings.Contains(logged.String(), "it=***\n") {
			t.Errorf("%T in a log: %s", secret, logged.String())
		}
	}
}
