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

// ErrNotMember says that a node has a good certificate of this cluster, but is
// not a member of it (any more).
var ErrNotMember = errors.New("not a member of the cluster")

// Membership is what the link must know of the cluster at this moment. It is
// asked at each handshake, from many goroutines, and must not block.
type Membership interface {
	// Address is where the member nodeID takes connections, as host:port.
	// ok is false if there is no such member. Members are those of the latest
	// configuration, committed or not: Raft itself counts that way, and a node
	// that has just been added must be let in for its addition to be committed.
	// A node that has just joined has no configuration yet; it answers from what
	// it was told when it joined.
	Address(nodeID string) (addr string, ok bool)
}

// Ids stand in certificates as parts of a URI, and as hosts in the URLs of RPC.
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

// nodeOf is the id in a certificate of a node of the cluster. The name must be
// the only one, and written as Issue writes it.
func nodeOf(cert *x509.Certificate, clusterID string) (string, error) {
	if len(cert.URIs) != 1 {
		return "", fmt.Errorf("certificate has %d URI names, a node's has one", len(cert.URIs))
	}
	nodeID := strings.TrimPrefix(cert.URIs[0].Path, nodePath)
	if checkNodeID(nodeID) != nil || cert.URIs[0].String() != nodeURI(clusterID, nodeID).String() {
		return "", fmt.Errorf("certificate of %q names no node of cluster %s", cert.URIs[0], clusterID)
	}
	return nodeID, nil
}

func clusterOf(ca *x509.Certificate) (string, error) {
	if !ca.IsCA || len(ca.URIs) != 1 || ca.URIs[0].Scheme != scheme || ca.URIs[0].Path != "" {
		return "", errors.New("certificate is not that of a cluster's CA")
	}
	return ca.URIs[0].Host, checkClusterID(ca.URIs[0].Host)
}

// verifier checks who is at the other end.
type verifier struct {
	cluster string
	now     func() time.Time
}

// node checks the chain shown in a handshake against the root, and gives the
// node's id. It stands in for crypto/tls' own check, which would want a host
// name and knows nothing of clusters.
func (v verifier) node(state tls.ConnectionState, root *x509.Certificate, usage x509.ExtKeyUsage) (string, error) {
	if len(state.PeerCertificates) == 0 {
		return "", errors.New("peer showed no certificate")
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
		return "", fmt.Errorf("checking the peer's certificate: %w", err)
	}
	return nodeOf(leaf, v.cluster)
}

// pinned finds the CA of an invitation among the certificates that a node
// showed. It proves nothing by itself: the node's own must chain to it.
func pinned(state tls.ConnectionState, pin string) (*x509.Certificate, error) {
	for _, cert := range state.PeerCertificates[min(1, len(state.PeerCertificates)):] {
		if Pin(cert.Raw) == pin {
			return cert, nil
		}
	}
	return nil, errors.New("the node does not belong to the cluster that invited: no certificate matches the pin")
}
