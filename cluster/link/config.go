package link

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// Config configures a link.
type Config struct {
	Listener    net.Listener // for connections from other nodes; Run closes it
	Advertise   string       // host:port that others dial; default: the listener's address
	ClusterID   string
	NodeID      string
	Certificate []byte // this node's, DER, from CA.Issue
	Key         Key    // of Certificate, from NewNodeKey
	CA          []byte // the certificate of the CA that issued Certificate, DER
	Membership  Membership
	Now         func() time.Time
	Log         *slog.Logger

	// Dial opens a connection to another node. Nil means TCP. Tests cut the network
	// here.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Validate reports all errors in c, including a certificate that has expired or
// belongs to another node or CA.
func (c Config) Validate() error {
	var errs []error
	need := func(ok bool, name string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s is missing", name))
		}
	}
	need(c.Listener != nil, "listener")
	need(c.Membership != nil, "membership")
	need(c.Now != nil, "clock")
	need(c.Log != nil, "logger")
	if c.Advertise != "" {
		if _, _, err := net.SplitHostPort(c.Advertise); err != nil {
			errs = append(errs, fmt.Errorf("advertised address: %w", err))
		}
	}
	errs = append(errs, checkClusterID(c.ClusterID), checkNodeID(c.NodeID))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cluster link: %w", err)
	}
	if _, err := c.identity(); err != nil {
		return fmt.Errorf("cluster link: %w", err)
	}
	return nil
}

// identity returns what this node shows in handshakes. It shows the CA too, for
// machines that know only its digest.
func (c Config) identity() (tls.Certificate, error) {
	none := tls.Certificate{}
	root, err := x509.ParseCertificate(c.CA)
	if err != nil {
		return none, fmt.Errorf("reading the CA's certificate: %w", err)
	}
	if cluster, err := clusterOf(root); err != nil {
		return none, err
	} else if cluster != c.ClusterID {
		return none, fmt.Errorf("the CA belongs to cluster %s, not to %s", cluster, c.ClusterID)
	}
	leaf, err := x509.ParseCertificate(c.Certificate)
	if err != nil {
		return none, fmt.Errorf("reading the node's certificate: %w", err)
	}
	key, err := c.Key.parse()
	if err != nil {
		return none, fmt.Errorf("reading the node's key: %w", err)
	}
	if !key.PublicKey.Equal(leaf.PublicKey) {
		return none, errors.New("the node's key does not belong to its certificate")
	}
	id, err := issuedBy(root, leaf, c.ClusterID, c.Now())
	if err != nil {
		return none, err
	}
	if id != c.NodeID {
		return none, fmt.Errorf("the certificate belongs to node %s, not to %s", id, c.NodeID)
	}
	return tls.Certificate{
		Certificate: [][]byte{bytes.Clone(c.Certificate), bytes.Clone(c.CA)},
		PrivateKey:  key,
		Leaf:        leaf,
	}, nil
}
