package link

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
)

const (
	scheme   = "keyfob"
	nodePath = "/node/"
)

// ErrNotMember means that a node is not a member of the cluster, or no longer, or that
// its key is not the member's.
var ErrNotMember = errors.New("not a member of the cluster")

// Membership tells the link who is a member now. It is called in each handshake, from
// many goroutines, and must not block.
type Membership interface {
	// Member returns the member of that id. ok is false if there is none, or none
	// whose key is known. Members are those of the latest configuration,
	// committed or not: Raft counts them that way, and a new node must be able to
	// connect before its addition can be committed. A node that has just joined
	// has no configuration yet and uses the members that it was told when it
	// joined.
	Member(nodeID string) (m Member, ok bool)
}

// Member is what is known of a member.
type Member struct {
	Address string   // where it accepts connections, as host:port
	Key     [32]byte // SHA-256 of its public key, as returned by RequestKey
}

// Ids are parts of a URI in certificates, and hosts in the URLs of requests.
var (
	clusterIDForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
	nodeIDForm    = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
)

func checkClusterID(id string) error {
	if !clusterIDForm.MatchString(id) {
		return fmt.Errorf("cluster id %q: want 1 to 63 letters, digits and inner hyphens", id)
	}
	return nil
}

func checkNodeID(id string) error {
	if !nodeIDForm.MatchString(id) {
		return fmt.Errorf("node id %q: want 1 to 63 letters, digits, and inner dots, hyphens and underscores", id)
	}
	return nil
}

func nodeURI(clusterID, nodeID string) *url.URL {
	return &url.URL{Scheme: scheme, Host: clusterID, Path: nodePath + nodeID}
}

// nodeOf returns the node id in a certificate of the cluster. The certificate must
// have exactly one URI, in the form that Issue writes.
func nodeOf(cert *x509.Certificate, clusterID string) (string, error) {
	if len(cert.URIs) != 1 {
		return "", fmt.Errorf("the certificate has %d URIs, want one", len(cert.URIs))
	}
	nodeID := strings.TrimPrefix(cert.URIs[0].Path, nodePath)
	if checkNodeID(nodeID) != nil || cert.URIs[0].String() != nodeURI(clusterID, nodeID).String() {
		return "", fmt.Errorf("the certificate for %q does not name a node of cluster %s", cert.URIs[0], clusterID)
	}
	return nodeID, nil
}

func clusterOf(ca *x509.Certificate) (string, error) {
	if !ca.IsCA || len(ca.URIs) != 1 || ca.URIs[0].Scheme != scheme || ca.URIs[0].Path != "" {
		return "", errors.New("the certificate does not belong to the CA of a cluster")
	}
	return ca.URIs[0].Host, checkClusterID(ca.URIs[0].Host)
}

// shown returns the id that a peer claims in a handshake, and the hash of the key
// that it has proven to hold. Membership says whether the two belong together.
//
// That is the whole check of a member. The CA's signature would add nothing: a
// removed node has had the CA's key, and a node that was down while the CA changed
// must still reach the others.
func shown(state tls.ConnectionState, cluster string) (id string, key [32]byte, err error) {
	if len(state.PeerCertificates) == 0 {
		return "", key, errors.New("the peer showed no certificate")
	}
	leaf := state.PeerCertificates[0]
	id, err = nodeOf(leaf, cluster)
	return id, sha256.Sum256(leaf.RawSubjectPublicKeyInfo), err
}

// issuedBy verifies that the CA of the cluster issued a node's certificate, and
// returns the node's id.
func issuedBy(root, leaf *x509.Certificate, cluster string, now time.Time) (string, error) {
	roots := x509.NewCertPool()
	roots.AddCert(root)
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:       roots,
		CurrentTime: now,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return "", fmt.Errorf("verifying the node's certificate: %w", err)
	}
	return nodeOf(leaf, cluster)
}

// pinned finds the CA of an invitation among the certificates that a node showed.
// This alone proves nothing: the node's own certificate must chain to it.
func pinned(state tls.ConnectionState, pin string) (*x509.Certificate, error) {
	for _, cert := range state.PeerCertificates[min(1, len(state.PeerCertificates)):] {
		if Pin(cert.Raw) == pin {
			return cert, nil
		}
	}
	return nil, errors.New("the node does not belong to the cluster of the invitation: no certificate matches the pin")
}
