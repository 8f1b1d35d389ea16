package cluster

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/fsm"
)

// A thief has a backup and the whole directory of a node, with its seal key.
func TestBackupDoesNotOpenWithANodesDirectory(t *testing.T) {
	r := newCluster(t, 3)
	r.recoveryKey()
	backup := r.backup(r.leader())
	line := bytes.IndexByte(backup, '\n') + 1
	for _, n := range r.nodes {
		root, err := vault.LoadRoot(t.Context(), n.config.file(fileRoot), n.config.provider(), n.Cluster())
		if err != nil {
			t.Fatal(err)
		}
		v, err := vault.Open(root, n.Cluster(), n.config.Vault)
		if err != nil {
			t.Fatal(err)
		}
		if tar, err := io.ReadAll(v.OpenReader(bytes.NewReader(backup[line:]), vault.Snapshots, backupPlace(backup[:line]))); err == nil {
			t.Errorf("the root key of %s opens %d bytes of the backup", n.name, len(tar))
		}
	}
}

// Each of several recovery keys opens a backup, a removed one only earlier backups.
func TestBackupOpensWithEachRecoveryKeyOfItsTime(t *testing.T) {
	r := newCluster(t, 1)
	first, n := r.recoveryKey(), r.leader()
	second, err := vault.NewRecoveryKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.AddRecoveryKey(t.Context(), admin(), second.Public().Bytes(), 3, 2); err != nil {
		t.Fatal(err)
	}
	both := r.backup(n)
	if err := n.RemoveRecoveryKey(t.Context(), admin(), first.Public().Name()); err != nil {
		t.Fatal(err)
	}
	later := r.backup(n)
	for name, c := range map[string]struct {
		backup []byte
		key    vault.RecoveryKey
		opens  bool
	}{
		"the first, while it was set":  {both, first, true},
		"the second, beside the first": {both, second, true},
		"the first, after its removal": {later, first, false},
		"the second, alone":            {later, second, true},
	} {
		f, err := ReadBackup(bytes.NewReader(c.backup))
		if err != nil {
			t.Fatal(err)
		}
		var in contents
		opened, err := f.open(c.key, vault.DefaultConfig())
		if err == nil {
			in, err = opened.check()
		}
		if (err == nil) != c.opens {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && in.view.State.Cluster.ID != n.Cluster() {
			t.Errorf("%s: the state is another", name)
		}
	}
	if keys := n.RecoveryKeys(); len(keys) != 1 || keys[0].Name != second.Public().Name() || keys[0].Shares != 3 || keys[0].Threshold != 2 {
		t.Errorf("the keys are %+v", keys)
	}
	var refusal *engine.Refusal
	if err := n.RemoveRecoveryKey(t.Context(), admin(), second.Public().Name()); !errors.As(err, &refusal) {
		t.Errorf("the last key was removed: %v", err)
	}
	if err := n.RemoveRecoveryKey(t.Context(), admin(), "01234567"); !errors.As(err, &refusal) {
		t.Errorf("a key that is not set was removed: %v", err)
	}
	if err := n.AddRecoveryKey(t.Context(), admin(), second.Public().Bytes(), 0, 0); !errors.As(err, &refusal) {
		t.Errorf("a key was added twice: %v", err)
	}
}

// Nothing of a restore that failed is left, wherever it failed.
func TestFailedRestoreLeavesNothing(t *testing.T) {
	r := newCluster(t, 1)
	key := r.recoveryKey()
	backup := r.backup(r.leader())
	restore := func(ctx context.Context, t *testing.T, c Config) error {
		t.Helper()
		f, err := ReadBackup(bytes.NewReader(backup))
		if err != nil {
			t.Fatal(err)
		}
		_, err = Restore(ctx, c, f, key, "")
		return err
	}
	empty := func(t *testing.T, dir string) {
		t.Helper()
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("it left behind: %v %v", left, err)
		}
	}
	t.Run("full disk", func(t *testing.T) {
		c := r.config("n8")
		if err := unix.Mount("tmpfs", c.Data, "tmpfs", 0, "size=1m"); err != nil {
			t.Skipf("needs root, to mount a small disk: %v", err)
		}
		defer func() { _ = unix.Unmount(c.Data, unix.MNT_DETACH) }()
		if err := restore(t.Context(), t, c); err == nil || !strings.Contains(err.Error(), "1 MiB free") {
			t.Errorf("a disk of 1 MiB: %v", err)
		}
		empty(t, c.Data)
	})
	t.Run("root key cannot be wrapped", func(t *testing.T) {
		c := r.config("n8")
		c.Seal = vault.NewKeyFile(filepath.Join(t.TempDir(), "missing"))
		if err := restore(t.Context(), t, c); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("without a seal key: %v", err)
		}
		empty(t, c.Data)
	})
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		c := r.config("n8")
		if err := restore(ctx, t, c); !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted: %v", err)
		}
		empty(t, c.Data)
	})
}

// underRootKey writes a backup as format 1 did.
func underRootKey(t *testing.T, n *testNode, key vault.RecoveryKey) []byte {
	t.Helper()
	root, err := vault.LoadRoot(t.Context(), n.config.file(fileRoot), n.config.provider(), n.Cluster())
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := root.SealToRecovery(key.Public(), n.Cluster())
	if err != nil {
		t.Fatal(err)
	}
	line, err := json.Marshal(map[string]any{
		"keyfob_backup": 1, "cluster": n.Cluster(), "node": n.name, "version": "old", "sequence": n.replica.View().Sequence,
		"taken": time.Now(), "recovery_key": key.Public().Name(), "root": sealed,
	})
	if err != nil {
		t.Fatal(err)
	}
	out := bytes.NewBuffer(append(line, '\n'))
	w := n.vault.SealWriter(out, vault.Snapshots, backupPlace(out.Bytes()))
	archive := tar.NewWriter(w)
	var state bytes.Buffer
	if err := fsm.Write(&state, n.replica.View()); err != nil {
		t.Fatal(err)
	}
	if err := archive.WriteHeader(&tar.Header{Name: entryState, Size: int64(state.Len())}); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Write(state.Bytes()); err != nil {
		t.Fatal(err)
	}
	pieces, err := n.Journal().SegmentFiles()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pieces {
		if err := archivePiece(archive, p); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestOlderBackupIsRestored(t *testing.T) {
	r := newCluster(t, 1)
	key := r.recoveryKey()
	ada := r.fob("ada")
	backup := underRootKey(t, r.nodes[0], key)
	r.disaster()
	r.nodes = nil
	n, done := r.restore("n1", backup, key, "")
	r.ready(1)
	if done.Epoch != 1 || n.State().Token(ada.serial) == nil {
		t.Errorf("restored as %+v, without ada's token", done)
	}
}

// A journal that outlived a rotation of the root key is restored: the recovery key
// opens the new version.
func TestJournalWithARotationIsApplied(t *testing.T) {
	r := newCluster(t, 1)
	key := r.recoveryKey()
	backup := r.backup(r.leader())
	if err := r.leader().Do(t.Context(), admin(), engine.RotateKeys{}); err != nil {
		t.Fatal(err)
	}
	r.rotated(2)
	ada := r.fob("ada") // its seed is sealed under the new version
	data := r.nodes[0].config.Data
	r.disaster()
	r.nodes = nil
	n, _ := r.restore("n9", backup, key, filepath.Join(data, dirJournal))
	r.ready(1)
	r.advance("", 2*time.Minute)
	if out := r.outcome(n, "ada", ada.passcode(r.clock(""), 0)); out.Verdict != engine.Accept {
		t.Errorf("a token of after the rotation: %v %s", out.Verdict, out.Reason)
	}
}
