package cluster

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"keyfob/cluster/vault"
)

// faulty is a provider whose answers can be bad.
type faulty struct {
	vault.KeyFile
	wrapErr, unwrapErr error
}

func (f faulty) Wrap(ctx context.Context, key, aad []byte) ([]byte, error) {
	if f.wrapErr != nil {
		return nil, f.wrapErr
	}
	return f.KeyFile.Wrap(ctx, key, aad)
}

func (f faulty) Unwrap(ctx context.Context, wrapped, aad []byte) ([]byte, error) {
	if f.unwrapErr != nil {
		return nil, f.unwrapErr
	}
	return f.KeyFile.Unwrap(ctx, wrapped, aad)
}

func TestResealMovesTheRootKeyOrChangesNothing(t *testing.T) {
	r := newCluster(t, 1)
	n := r.nodes[0]
	r.kill(n)
	before, err := os.ReadFile(n.config.file(fileRoot))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kek")
	if err := vault.CreateKeyFile(path, bytes.NewReader(bytes.Repeat([]byte{9}, 32))); err != nil {
		t.Fatal(err)
	}
	old, next := n.config.provider(), n.config
	broken := errors.New("broken")
	for name, to := range map[string]faulty{
		"cannot wrap":                   {vault.NewKeyFile(path), broken, nil},
		"cannot unwrap what it wrapped": {vault.NewKeyFile(path), nil, broken},
	} {
		next.Seal = to
		if err := Reseal(t.Context(), next, old); !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
		if now, err := os.ReadFile(n.config.file(fileRoot)); err != nil || !bytes.Equal(now, before) {
			t.Errorf("%s: the root key file was changed: %v", name, err)
		}
	}
	next.Seal = vault.NewKeyFile(path)
	if err := Reseal(t.Context(), next, next.Seal); err == nil {
		t.Error("moved from a provider that it was not wrapped with")
	}
	if err := Reseal(t.Context(), next, old); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(n.config.file(fileRoot) + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the trial is left behind: %v", err)
	}
	if _, err := vault.LoadRoot(t.Context(), n.config.file(fileRoot), old, n.Cluster()); err == nil {
		t.Error("the old seal key still unwraps the root key")
	}
	if err := os.Remove(n.config.file(fileSeal)); err != nil {
		t.Fatal(err)
	}
	n.config = next
	r.start(n)
	r.ready(1)
}
