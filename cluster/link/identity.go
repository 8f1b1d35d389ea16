package link

import (
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

// ErrNotMember means that a node has a valid certificate of this cluster but is not a
// member, or no longer.
var ErrNotMember = errors.New("not a member of the cluster")

// Membership tells the link who is a member now. It is called in each handshake, from
// many goroutines, and must not block.
type Membership interface {
	// Address returns where the member nodeID accepts connections, as host:port.
	// ok is false if there is no such member. Members are those of the latest
	// configuration, committed or not: Raft counts them that way, and a new node
	// must be able to connect before its addition can be committed. A node that
	// has just joined has no configuration yet and uses the members that it was
	// told when it joined.
	Address(nodeID string) (addr string, ok bool)
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

// verifier verifies the peer of a connection.
type verifier struct {
	cluster string
	now     func() time.Time
}

// node verifies the certificates of a handshake against the root and returns the
// node's id. It replaces the check of crypto/tls, which needs a host name and does
// not know about clusters.
func (v verifier) node(state tls.ConnectionState, root *x509.Certificate, usage x509.ExtKeyUsage) (string, error) {
	if len(state.PeerCertificates) == 0 {
		return "", errors.New("the peer showed no certificate")
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	leaf := state.PeerCertificates[0]
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:       roots,
		CurrentTime: v.now(),
		KeyUsages:   []x509.ExtKeyUsage{usage},
	})
	if err != nil {
		return "", fmt.Errorf("verifying the certificate of the peer: %w", err)
	}
	return nodeOf(leaf, v.cluster)
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
