package link

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"
)

const (
	// A certificate begins to be good a little before it is made, so that a
	// node whose clock is behind accepts it at once.
	backdate = time.Hour

	caLifetime = 50 * 365 * 24 * time.Hour

	// What ends a node's right is its removal from the cluster, checked at each
	// handshake, not the end of its certificate. A short life would only add an
	// outage on the day when somebody forgot to renew.
	nodeLifetime = 10 * 365 * 24 * time.Hour
)

// A Key is a private key, PKCS #8 in DER. It prints as ***.
type Key []byte

// CA is the certificate authority of one cluster. It signs the certificates of
// nodes and nothing else. It holds its private key, and prints as ***.
type CA struct {
	cluster string
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
}

// NewCA makes the authority of a new cluster. The key is ECDSA P-256, which is
// allowed under FIPS 140 everywhere.
func NewCA(clusterID string, now time.Time) (*CA, error) {
	if err := checkClusterID(clusterID); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of the cluster's CA: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "keyfob cluster " + clusterID},
		URIs:                  []*url.URL{{Scheme: scheme, Host: clusterID}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLifetime),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing the certificate of the cluster's CA: %w", err)
	}
	return newCA(der, key)
}

// LoadCA puts an authority together again from what CertificateDER and
// PrivateKey gave.
func LoadCA(certDER []byte, key Key) (*CA, error) {
	private, err := key.parse()
	if err != nil {
		return nil, fmt.Errorf("reading the key of the cluster's CA: %w", err)
	}
	return newCA(certDER, private)
}

func newCA(certDER []byte, key *ecdsa.PrivateKey) (*CA, error) {
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of the cluster's CA: %w", err)
	}
	cluster, err := clusterOf(cert)
	if err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("the key of the cluster's CA does not belong to its certificate")
	}
	return &CA{cluster: cluster, cert: cert, key: key}, nil
}

// CertificateDER is the authority's own certificate, which is public.
func (ca *CA) CertificateDER() []byte { return ca.cert.Raw }

// PrivateKey is the authority's key, for the caller to seal and store. Whoever
// has it can name any machine a member's id.
func (ca *CA) PrivateKey() (Key, error) { return marshalKey(ca.key) }

// Issue signs a certificate that says that the holder of the request's key is
// the node nodeID. Of the request it takes the public key only: who a machine
// is, is decided by those who let it in, never by itself.
//
// Node ids must never be given out twice. An id that a new machine gets again
// after its first holder was removed would make the old certificate good again.
func (ca *CA) Issue(csrDER []byte, nodeID string, now time.Time) (certDER []byte, err error) {
	if err := checkNodeID(nodeID); err != nil {
		return nil, err
	}
	csr, err := x509.ParseCertificateRequest(csrDER)
	if err != nil {
		return nil, fmt.Errorf("reading certificate request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("checking the signature of the certificate request: %w", err)
	}
	public, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return nil, errors.New("certificate request: its key is not ECDSA P-256")
	}
	notAfter := now.Add(nodeLifetime)
	if notAfter.After(ca.cert.NotAfter) {
		notAfter = ca.cert.NotAfter
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: nodeID},
		URIs:                  []*url.URL{nodeURI(ca.cluster, nodeID)},
		NotBefore:             now.Add(-backdate),
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, public, ca.key)
	if err != nil {
		return nil, fmt.Errorf("signing the certificate of node %s: %w", nodeID, err)
	}
	return der, nil
}

// NewNodeKey makes the key of a node and the request for its certificate. The
// key stays on the node; the request goes to Issue.
func NewNodeKey() (key Key, csrDER []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making node key: %w", err)
	}
	csrDER, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, private)
	if err != nil {
		return nil, nil, fmt.Errorf("making certificate request: %w", err)
	}
	key, err = marshalKey(private)
	return key, csrDER, err
}

// Pin names a CA in an invitation: SHA-256 of its certificate, base64url
// without padding.
func Pin(caDER []byte) string {
	sum := sha256.Sum256(caDER)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func marshalKey(key *ecdsa.PrivateKey) (Key, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding private key: %w", err)
	}
	return der, nil
}

func (k Key) parse() (*ecdsa.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(k)
	if err != nil {
		return nil, errors.New("it is not a PKCS #8 key") // the cause may quote the key
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("it is a %T, not an ECDSA key", parsed)
	}
	return key, nil
}

const hidden = "***"

func (Key) String() string               { return hidden }
func (Key) GoString() string             { return hidden }
func (Key) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(hidden)) }
func (Key) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (Key) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }

func (*CA) String() string               { return hidden }
func (*CA) GoString() string             { return hidden }
func (*CA) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(hidden)) }
func (*CA) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (*CA) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }
