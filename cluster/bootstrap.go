package cluster

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"

	"keyfob/cluster/link"
	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/events"
)

const (
	adminTokenName   = "first"
	adminTokenPrefix = "kf_"
)

// Bootstrap creates the first node of a new cluster in c.Data: root key, CA,
// certificate, and a log whose first records are the cluster, the node and the
// first administrator. It returns that administrator's API token, which is stored
// only as a digest.
func Bootstrap(ctx context.Context, c Config) (adminToken string, err error) {
	if err := c.Validate(); err != nil {
		return "", err
	}
	if err := c.Vacant(); err != nil {
		return "", err
	}
	cluster, token, err := randomNames()
	if err != nil {
		return "", err
	}
	root, err := vault.NewRoot(rand.Reader)
	if err != nil {
		return "", err
	}
	defer root.Wipe()
	v, err := vault.Open(root, cluster, c.Vault)
	if err != nil {
		return "", err
	}
	ca, err := link.NewCA(cluster, c.Now())
	if err != nil {
		return "", err
	}
	keys, err := newNodeKeys()
	if err != nil {
		return "", err
	}
	id := identity{Format: identityFormat, Cluster: cluster, Node: c.Node, ID: nodeID(c.Node, keys.hash), Address: c.advertise(), CA: ca.CertificateDER()}
	if id.Certificate, err = ca.Issue(keys.csr, id.ID, c.Now()); err != nil {
		return "", err
	}
	caKey, err := ca.PrivateKey()
	if err != nil {
		return "", err
	}
	first := []events.Event{
		events.ClusterFounded{Cluster: cluster, Certificate: ca.CertificateDER(), Sealed: v.Seal(vault.CA, caPlace, caKey)},
		events.NodeJoined{Node: c.Node, Address: id.Address, Key: keys.hash, SealKey: keys.seal.Public().Bytes()},
		c.firstAdministrator(token),
	}
	if err := c.begin(ctx, id, keys, v, first); err != nil {
		return "", fmt.Errorf("bootstrapping the cluster: %w", err)
	}
	return token, c.settle(ctx, root, v, id, keys)
}

// begin runs the node alone until the first events are committed. Its log is
// empty or begins with a state that was restored.
func (c Config) begin(ctx context.Context, id identity, keys nodeKeys, v *vault.Vault, first []events.Event) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // nobody is to connect
	if err != nil {
		return err
	}
	c.BatchWait = 0
	n, err := assemble(c, id, keys, v, listener)
	if err != nil {
		return err
	}
	base := n.replica.View().Sequence
	n.leadership.first, n.leadership.base = first, base
	n.batcher.rotate = nil // the root key is saved afterwards
	if base == 0 {
		if err := n.replica.bootstrap(); err != nil {
			return errors.Join(err, n.Close())
		}
	}
	bound, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	running, stop := context.WithCancel(bound)
	done := make(chan error, 1)
	go func() { done <- n.Run(running) }()
	_, err = n.replica.machine.Wait(bound, base+uint64(len(first)))
	stop()
	return errors.Join(err, <-done)
}

// randomNames returns a cluster id, a UUID of version 4, and an API token.
func randomNames() (cluster, token string, err error) {
	var b [16]byte
	var secret [32]byte
	if _, err := io.ReadFull(rand.Reader, b[:]); err != nil {
		return "", "", err
	}
	if _, err := io.ReadFull(rand.Reader, secret[:]); err != nil {
		return "", "", err
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	cluster = fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	return cluster, adminTokenPrefix + base64.RawURLEncoding.EncodeToString(secret[:]), nil
}

// firstAdministrator is the API token that a new or restored cluster begins with.
func (c Config) firstAdministrator(token string) events.Event {
	return events.APITokenIssued{
		Name: adminTokenName, Digest: digestOf(token), Role: engine.RoleAdmin, Expires: events.At(c.Now().Add(engine.DefaultAPITokenTTL)),
	}
}

// digestOf is what is stored of an API token.
func digestOf(token string) events.Hash { return sha256.Sum256([]byte(token)) }
