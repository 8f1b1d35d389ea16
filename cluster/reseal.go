package cluster

import (
	"context"

	"keyfob/cluster/vault"
)

// Reseal wraps the root key of a node that is not running with the provider of c. It
// replaces the file only after it has unwrapped the new one. from is the provider
// that it is wrapped with.
func Reseal(ctx context.Context, c Config, from vault.Provider) error {
	id, err := c.loadIdentity()
	if err != nil {
		return err
	}
	root, err := vault.LoadRoot(ctx, c.file(fileRoot), from, id.Cluster)
	if err != nil {
		return err
	}
	defer root.Wipe()
	if err := c.makeSealKey(); err != nil {
		return err
	}
	return root.Move(ctx, c.file(fileRoot), c.provider(), id.Cluster)
}
