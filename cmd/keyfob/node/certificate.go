package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"keyfob/cmd/keyfob/cli"
)

// certificate is the certificate of the pages and the API. It can be reloaded
// while it is in use.
type certificate struct {
	cert, key string // files
	current   atomic.Pointer[tls.Certificate]
}

// openCertificate reads the certificate that the configuration names. If it names
// none, a self-signed one is made once, in the data directory.
func openCertificate(c Config, now time.Time) (cert *certificate, selfSigned bool, err error) {
	cert = &certificate{cert: c.Web.TLS.Cert, key: c.Web.TLS.Key}
	if cert.cert == "" {
		selfSigned = true
		cert.cert, cert.key = filepath.Join(c.Data, "web.crt"), filepath.Join(c.Data, "web.key")
		if _, err := os.Stat(cert.cert); errors.Is(err, fs.ErrNotExist) {
			if err := makeSelfSigned(cert.cert, cert.key, c.Cluster.Advertise, now); err != nil {
				return nil, false, err
			}
		}
	}
	return cert, selfSigned, cert.reload()
}

// reload reads the files again. If they are invalid, the previous certificate
// stays in use.
func (c *certificate) reload() error {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("reading certificate %s with key %s: %w", c.cert, c.key, err)
	}
	c.current.Store(&pair)
	return nil
}

// config returns the TLS configuration of a listener.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}

func makeSelfSigned(cert, key, advertise string, now time.Time) error {
	host, _, err := net.SplitHostPort(advertise)
	if err != nil {
		host = advertise
	}
	pair, err := Issue(Issuer{}, []string{host, "localhost", "127.0.0.1"}, now)
	if err != nil {
		return fmt.Errorf("making a self-signed certificate: %w", err)
	}
	return pair.Save(cert, key)
}

// Issuer signs certificates. The zero value makes self-signed ones.
type Issuer struct {
	Cert *x509.Certificate
	Key  *ecdsa.PrivateKey
}

// pair is a certificate and its key, in PEM.
type pair struct{ cert, key []byte }

const certificateLife = 397 * 24 * time.Hour // what browsers accept

// Issue makes a certificate for hosts, or, without hosts, that of a CA.
func Issue(by Issuer, hosts []string, now time.Time) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return pair{}, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(certificateLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if by.Cert != nil { // nodes and the RadSec client of a dev cluster
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	if len(hosts) == 0 {
		template.Subject = pkix.Name{CommonName: "keyfob dev CA"}
		template.IsCA, template.MaxPathLenZero = true, true
		template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		template.ExtKeyUsage = nil // usages of a CA bound those of its certificates
	} else {
		template.Subject = pkix.Name{CommonName: hosts[0]}
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	parent, signer := by.Cert, by.Key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return pair{}, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, err
	}
	return pair{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
	}, nil
}

func (p pair) Save(cert, key string) error {
	if err := cli.WriteFile(key, p.key, 0o600); err != nil {
		return err
	}
	return cli.WriteFile(cert, p.cert, 0o644)
}

func ParseCertificate(b []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New("no PEM certificate found")
	}
	return x509.ParseCertificate(block.Bytes)
}
