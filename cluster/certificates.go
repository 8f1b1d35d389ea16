package cluster

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"keyfob/cluster/link"
	"keyfob/cluster/vault"
	"keyfob/events"
)

// certificates keeps this node's certificate issued by the present CA. Members know
// each other by their keys, so a node may renew its certificate at any time, and also
// long after the others.
type certificates struct {
	*self
	replica  *replica
	link     *link.Link
	vault    *vault.Vault
	key      link.Key
	caughtUp func() error // an older state may name an older CA
}

// run renews the certificate after each change of the CA, until ctx ends.
func (c *certificates) run(ctx context.Context) {
	tick := time.NewTicker(c.c.HeartbeatInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := c.renew(); err != nil {
			c.log.WarnContext(ctx, "certificate not renewed", "err", err)
		}
	}
}

// renew issues this node a certificate, for its present key, if another CA issued the
// one that it has.
func (c *certificates) renew() error {
	if c.caughtUp() != nil {
		return nil
	}
	of := c.replica.state().Cluster
	if len(of.Certificate) == 0 || bytes.Equal(of.Certificate, c.file.now().CA) {
		return nil
	}
	request, err := c.key.Request()
	if err != nil {
		return err
	}
	issued, err := issue(c.vault, of, request, c.id.ID, c.c.Now())
	if err != nil {
		return err
	}
	err = c.file.change(func(id *identity) { id.Certificate, id.CA = issued, of.Certificate })
	if err != nil {
		return err
	}
	c.log.Info("certificate renewed by a new CA", "ca", link.Pin(of.Certificate))
	return c.link.Renew(issued, of.Certificate)
}

// rotateCA replaces the cluster's CA. Each node issues itself a new certificate when
// it applies the record. Open invitations name the former CA and end.
func (l *leadership) rotateCA(ctx context.Context) error {
	ca, err := link.NewCA(l.id.Cluster, l.c.Now())
	if err != nil {
		return err
	}
	key, err := ca.PrivateKey()
	if err != nil {
		return err
	}
	defer clear(key)
	_, err = l.record(ctx, events.CARotated{
		Certificate: ca.CertificateDER(), Sealed: l.vault.Seal(vault.CA, caPlace, key),
	})
	if err != nil {
		return fmt.Errorf("replacing the cluster's CA: %w", err)
	}
	return nil
}
