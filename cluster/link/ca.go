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
	// A certificate is valid from before its creation, so that a node whose clock
	// is behind accepts it immediately.
	backdate = time.Hour

	caLifetime = 50 * 365 * 24 * time.Hour

	// A node loses its access by its removal from the cluster, which is checked in
	// each handshake, not by the expiry of its certificate. A short lifetime would
	// only cause an outage if a renewal was forgotten.
	nodeLifetime = 10 * 365 * 24 * time.Hour
)

// Key is a private key, PKCS #8 in DER. It prints as ***.
type Key []byte

// CA is the certificate authority of one cluster, with its private key. It signs
// only the certificates of nodes. It prints as ***.
type CA struct {
	cluster string
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
}

// NewCA creates the CA of a new cluster. The key is ECDSA P-256, which FIPS 140
// permits.
func NewCA(clusterID string, now time.Time) (*CA, error) {
	if err := checkClusterID(clusterID); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("creating the key of the cluster's CA: %w", err)
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

// LoadCA returns the CA with the results of CertificateDER and PrivateKey.
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

// CertificateDER is the CA's certificate, which is public.
func (ca *CA) CertificateDER() []byte { return ca.cert.Raw }

// PrivateKey is the CA's key, for the caller to seal and store. Anybody who has it
// can issue certificates with the id of any member.
func (ca *CA) PrivateKey() (Key, error) { return marshalKey(ca.key) }

// Issue signs a certificate for the node nodeID with the public key of the request.
// It uses nothing else of the request: a machine does not choose its own identity.
//
// Node ids must never be reused. If a new machine got the id of a removed one, the
// old certificate would become valid again.
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
		return nil, errors.New("the key of the certificate request is not ECDSA P-256")
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

// NewNodeKey creates the key of a node and the request for its certificate. The key
// stays on the node; the request is for Issue.
func NewNodeKey() (key Key, csrDER []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("creating the node's key: %w", err)
	}
	csrDER, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, private)
	if err != nil {
		return nil, nil, fmt.Errorf("creating the certificate request: %w", err)
	}
	key, err = marshalKey(private)
	return key, csrDER, err
}

// Request returns another request for a certificate of the key.
func (k Key) Request() (csrDER []byte, err error) {
	private, err := k.parse()
	if err == nil {
		csrDER, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, private)
	}
	if err != nil {
		return nil, fmt.Errorf("creating the certificate request: %w", err)
	}
	return csrDER, nil
}

// RequestKey returns the SHA-256 of the public key (SubjectPublicKeyInfo) in a
// certificate request, which must be signed with that key.
func RequestKey(csrDER []byte) (hash [32]byte, err error) {
	csr, err := x509.ParseCertificateRequest(csrDER)
	if err != nil {
		return hash, fmt.Errorf("reading certificate request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return hash, fmt.Errorf("checking the signature of the certificate request: %w", err)
	}
	return sha256.Sum256(csr.RawSubjectPublicKeyInfo), nil
}

// Pin identifies a CA in an invitation: SHA-256 of its certificate, in base64url
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
		return nil, errors.New("it is not a PKCS #8 key") // the original error may quote the key
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
