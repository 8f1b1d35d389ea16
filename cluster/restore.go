package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"keyfob/cluster/atomicfile"
	"keyfob/cluster/link"
	"keyfob/cluster/raftlog"
	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/events"
	"keyfob/events/journal"
	"keyfob/fsm"
)

// firstTerm is the Raft term of a restored state.
const firstTerm = 1

// Restored is the result of Restore.
type Restored struct {
	Token   string    // a new API token of the first administrator; all others are revoked
	Epoch   uint64    // how often the cluster has been restored
	Backup  uint64    // the last record of the backup's state
	Records uint64    // the last record that was found
	Until   time.Time // when that was written; everything later is lost
}

// Restore creates, in c.Data, the first node of the cluster in a backup. The other
// members must join again, with empty data directories.
//
// survivor is the journal directory of a node that failed after the backup was
// taken. It replaces the journal in the backup, and its later records are applied,
// so nothing that it contains is lost.
//
// The whole backup is read and checked before anything is written. If anything
// fails, what was written is removed.
//
// The first new record is events.ClusterRestored, which invalidates everything
// that may have been used since the backup.
func Restore(ctx context.Context, c Config, f *BackupFile, key vault.RecoveryKey, survivor string) (r Restored, err error) {
	if err := c.Validate(); err != nil {
		return r, err
	}
	if err := c.Vacant(); err != nil {
		return r, err
	}
	undo := c.undo()
	defer func() {
		if err != nil {
			err = errors.Join(err, undo())
		}
	}()
	backup, err := f.open(key, c.Vault)
	if err != nil {
		return r, err
	}
	in, err := backup.check()
	if err != nil {
		return r, fmt.Errorf("reading the backup: %w", err)
	}
	defer in.root.Wipe()
	view := in.view
	r.Backup = view.Sequence
	if err := c.restoreJournal(backup, in, survivor); err != nil {
		return r, fmt.Errorf("restoring the journal: %w", err)
	}
	keys := rotations{root: in.root, recovery: key}
	if keys.vault, err = vault.Open(in.root, f.Info.Cluster, c.Vault); err != nil {
		return r, err
	}
	if err := c.catchUp(ctx, view, &keys); err != nil {
		return r, err
	}
	defer keys.root.Wipe()
	r.Records, r.Until, r.Epoch = view.Sequence, view.Time.Std(), view.State.Cluster.Epoch+1
	if now := c.Now(); events.At(now) < view.Time {
		return r, fmt.Errorf("this machine's clock shows %s, but the last record is from %s: set the clock, or used tokencodes would become valid again",
			now.UTC().Format(time.RFC3339), r.Until.UTC().Format(time.RFC3339))
	}
	r.Token, err = c.revive(ctx, keys, view, f.Info)
	return r, err
}

// undo returns a function that removes what a restore created in the data
// directory.
func (c Config) undo() func() error {
	created := []string{fileIdentity, fileRoot, dirRaft, dirJournal} // Vacant: they are not there
	if _, err := os.Lstat(c.file(fileSeal)); errors.Is(err, fs.ErrNotExist) {
		created = append(created, fileSeal)
	}
	return func() error {
		var errs []error
		for _, name := range created {
			errs = append(errs, os.RemoveAll(c.file(name)))
		}
		return errors.Join(errs...)
	}
}

// restoreJournal writes the journal of the backup to the data directory, or in its
// place that of a node that is not running.
func (c Config) restoreJournal(b openBackup, in contents, survivor string) error {
	if survivor != "" {
		return c.adopt(survivor)
	}
	if err := c.room(in.journal); err != nil {
		return err
	}
	return b.walk(func(name string, _ int64, r io.Reader) error {
		piece, ok := strings.CutPrefix(name, entryJournal)
		if !ok {
			return nil
		}
		return journal.WriteSegmentFile(c.file(dirJournal), piece, r)
	})
}

// adopt copies the journal of a node that is not running.
func (c Config) adopt(dir string) error {
	pieces, err := journal.SegmentFilesIn(dir)
	if err != nil {
		return err
	}
	var size int64
	for _, p := range pieces {
		size += p.Size
	}
	if err := c.room(size); err != nil {
		return err
	}
	for _, p := range pieces {
		r, err := p.Open()
		if err != nil {
			return err
		}
		if err := errors.Join(journal.WriteSegmentFile(c.file(dirJournal), p.Name, r), r.Close()); err != nil {
			return err
		}
	}
	return nil
}

// room returns an error if the disk cannot hold a journal of that size, and as much
// again for the log.
func (c Config) room(journal int64) error {
	const spare = 64 << 20
	free, err := atomicfile.Free(c.Data)
	if err != nil {
		return err
	}
	if need := 2*uint64(journal) + spare; free < need {
		return fmt.Errorf("%s has %d MiB free, but %d MiB are needed: make room, or choose another data directory", c.Data, free>>20, need>>20)
	}
	return nil
}

// rotations follows the root key through the records that come after the backup.
type rotations struct {
	root     vault.Root
	vault    *vault.Vault
	recovery vault.RecoveryKey
}

// follow opens the box that a rotation has for the recovery key.
func (r *rotations) follow(e events.Event) error {
	rotated, ok := e.(events.RootKeyRotated)
	if !ok {
		return nil
	}
	name := r.recovery.Public().Name()
	i := slices.IndexFunc(rotated.Recovery, func(b events.KeyBox) bool { return b.For == name })
	if i < 0 {
		return fmt.Errorf("the root key was rotated, and version %d is not sealed for recovery key %s: use another recovery key, or restore without --journal", rotated.Version, name)
	}
	next, err := r.vault.OpenRecoveryBox(rotated.Recovery[i].Sealed, r.recovery, rotated.Version)
	if err != nil {
		return err
	}
	r.root = r.root.With(next)
	return r.vault.Add(next)
}

// catchUp applies the records in the journal that come after the state.
func (c Config) catchUp(ctx context.Context, view *fsm.View, keys *rotations) error {
	j, err := journal.Open(c.file(dirJournal), journal.Options{Cluster: view.State.Cluster.ID, Log: c.Log})
	if err != nil {
		return err
	}
	defer func() { _ = j.Close() }()
	last, _ := j.Last()
	from, to := j.Missing()
	switch {
	case last < view.Sequence:
		return fmt.Errorf("the journal ends at record %d, the state of the backup at %d: restore without that journal", last, view.Sequence)
	case to != 0:
		return fmt.Errorf("the journal is missing records %d to %d: restore without it, or use another node's", from, to)
	}
	if err := j.Restored(view.Sequence, view.Head); err != nil { // compares
		return fmt.Errorf("the journal and the backup have different histories: %w", err)
	}
	for record, err := range j.Records(ctx, view.Sequence+1, false) {
		if err == nil {
			err = errors.Join(view.Follow(record), keys.follow(record.Event))
		}
		if err != nil {
			return fmt.Errorf("applying record %d: %w", record.Sequence, err)
		}
	}
	return ctx.Err()
}

// revive creates the node: a new key with a certificate of the cluster's CA, a log
// that begins with the state, and the records of the restore.
func (c Config) revive(ctx context.Context, with rotations, view *fsm.View, of BackupInfo) (token string, err error) {
	state, v := view.State.Cluster, with.vault
	keys, err := newNodeKeys()
	if err != nil {
		return "", err
	}
	id := identity{Format: identityFormat, Cluster: state.ID, Node: c.Node, ID: nodeID(c.Node, keys.hash), Address: c.advertise(), CA: state.Certificate}
	if id.Certificate, err = issue(v, state, keys.csr, id.ID, c.Now()); err != nil {
		return "", err
	}
	if err := c.logFrom(v, view, id); err != nil {
		return "", fmt.Errorf("creating the log: %w", err)
	}
	if _, token, err = randomNames(); err != nil {
		return "", err
	}
	first := []events.Event{
		events.ClusterRestored{
			Epoch: state.Epoch + 1, Node: c.Node, Address: id.Address, Backup: of.Sequence, Taken: events.At(of.Taken),
			Key: keys.hash, SealKey: keys.seal.Public().Bytes(), RecoveryKey: with.recovery.Public().Name(),
		},
		c.firstAdministrator(token),
	}
	if err := c.begin(ctx, id, keys, v, first); err != nil {
		return "", fmt.Errorf("recording the restore: %w", err)
	}
	return token, c.settle(ctx, with.root, v, id, keys)
}

// issue signs a node's certificate with the cluster's CA. The CA's key is open only
// during the call.
func issue(v *vault.Vault, of engine.Cluster, csr []byte, nodeID string, now time.Time) ([]byte, error) {
	key, err := v.Open(vault.CA, caPlace, of.CAKey)
	if err != nil {
		return nil, fmt.Errorf("opening the CA's key: %w", err)
	}
	defer clear(key)
	ca, err := link.LoadCA(of.Certificate, key)
	if err != nil {
		return nil, err
	}
	return ca.Issue(csr, nodeID, now)
}

// logFrom creates a log that begins with a snapshot of the state, for a cluster of
// this node alone.
func (c Config) logFrom(v *vault.Vault, view *fsm.View, id identity) error {
	if err := c.emptyLog(firstTerm); err != nil {
		return err
	}
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(c.file(dirRaft), snapshotsKept, raftlog.NewLogger(c.Log))
	if err != nil {
		return err
	}
	self := raft.Configuration{Servers: []raft.Server{{ID: raft.ServerID(id.ID), Address: raft.ServerAddress(id.Address)}}}
	_, addresses := raft.NewInmemTransport("") // encodes addresses for an old field
	sink, err := snapshots.Create(raft.SnapshotVersionMax, view.Index, firstTerm, self, view.Index, addresses)
	if err != nil {
		return err
	}
	sealed := (&keychain{vault: v, keys: view.State.Cluster.Keys}).sealSnapshot(sink)
	err = fsm.Write(sealed, view)
	if err == nil {
		err = sealed.Close()
	}
	if err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}
