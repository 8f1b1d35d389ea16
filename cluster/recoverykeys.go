package cluster

import (
	"context"
	"strings"

	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/events"
)

// RecoveryKey describes a key that backups are sealed for.
type RecoveryKey struct {
	Name string // short name, from its public half
	// Shares is into how many parts the private half was split, and Threshold how
	// many of them it takes; zero: it is whole.
	Shares, Threshold int
}

// RecoveryKeys are the keys that backups are sealed for. Each opens them.
func (n *Node) RecoveryKeys() []RecoveryKey {
	var keys []RecoveryKey
	for _, k := range n.State().Cluster.RecoveryKeys {
		if public, err := vault.ParseRecoveryPublic(k.Key); err == nil {
			keys = append(keys, RecoveryKey{Name: public.Name(), Shares: int(k.Shares), Threshold: int(k.Threshold)})
		}
	}
	return keys
}

func (n *Node) recoveryKeyNames() string {
	var names []string
	for _, k := range n.RecoveryKeys() {
		names = append(names, k.Name)
	}
	return strings.Join(names, ", ")
}

// SetRecoveryKey seals later backups for this key alone, AddRecoveryKey for this one
// too. Shares and threshold are for those who ask what to look for.
func (n *Node) SetRecoveryKey(ctx context.Context, o events.Origin, public []byte, shares, threshold uint8) error {
	return n.newRecoveryKey(ctx, o, public, engine.SetRecoveryKey{Key: public, Shares: shares, Threshold: threshold})
}

// AddRecoveryKey is described at SetRecoveryKey.
func (n *Node) AddRecoveryKey(ctx context.Context, o events.Origin, public []byte, shares, threshold uint8) error {
	return n.newRecoveryKey(ctx, o, public, engine.AddRecoveryKey{Key: public, Shares: shares, Threshold: threshold})
}

func (n *Node) newRecoveryKey(ctx context.Context, o events.Origin, public []byte, c engine.Command) error {
	if _, err := vault.ParseRecoveryPublic(public); err != nil {
		return &engine.Refusal{Code: engine.Invalid, Text: "this is not the public part of a recovery key"}
	}
	return n.Do(ctx, o, c)
}

// RemoveRecoveryKey no longer seals backups for the key with that short name. It
// still opens earlier ones.
func (n *Node) RemoveRecoveryKey(ctx context.Context, o events.Origin, name string) error {
	for _, k := range n.State().Cluster.RecoveryKeys {
		if public, err := vault.ParseRecoveryPublic(k.Key); err == nil && public.Name() == name {
			return n.Do(ctx, o, engine.RemoveRecoveryKey{Key: k.Key})
		}
	}
	return n.Do(ctx, o, engine.RemoveRecoveryKey{})
}
