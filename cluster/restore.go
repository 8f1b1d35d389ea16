package cluster

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/raft"

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
// The first new record is events.ClusterRestored, which invalidates everything
// that may have been used since the backup.
func Restore(ctx context.Context, c Config, f *BackupFile, key vault.RecoveryKey, survivor string) (r Restored, err error) {
	if err := c.Validate(); err != nil {
		return r, err
	}
	if err := c.Vacant(); err != nil {
		return r, err
	}
	defer func() {
		if err != nil { // these directories are new
			err = errors.Join(err, os.RemoveAll(c.file(dirRaft)), os.RemoveAll(c.file(dirJournal)))
		}
	}()
	backup, err := f.open(key, c.Vault)
	if err != nil {
		return r, err
	}
	defer backup.root.Wipe()
	view, err := c.unpack(tar.NewReader(backup.plain), survivor)
	if err == nil {
		err = backup.verify()
	}
	if err != nil {
		return r, fmt.Errorf("reading the backup: %w", err)
	}
	if id := view.State.Cluster.ID; id != f.Info.Cluster {
		return r, fmt.Errorf("the backup of cluster %s contains the state of cluster %s", f.Info.Cluster, id)
	}
	r.Backup = view.Sequence
	if err := c.catchUp(ctx, view); err != nil {
		return r, err
	}
	r.Records, r.Until, r.Epoch = view.Sequence, view.Time.Std(), view.State.Cluster.Epoch+1
	if now := c.Now(); events.At(now) < view.Time {
		return r, fmt.Errorf("this machine's clock shows %s, but the last record is from %s: set the clock, or used tokencodes would become valid again",
			now.UTC().Format(time.RFC3339), r.Until.UTC().Format(time.RFC3339))
	}
	r.Token, err = c.revive(ctx, backup, view, f.Info)
	return r, err
}

// unpack writes the files of an archive to the data directory and returns the
// state.
func (c Config) unpack(archive *tar.Reader, survivor string) (view *fsm.View, err error) {
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		name, ofJournal := strings.CutPrefix(h.Name, entryJournal)
		switch {
		case h.Name == entryState && view == nil:
			view, err = fsm.Read(archive)
		case ofJournal && survivor == "":
			err = journal.WriteSegmentFile(c.file(dirJournal), name, archive)
		case ofJournal:
		default:
			err = fmt.Errorf("it contains %.80q, which this version does not know", h.Name)
		}
		if err != nil {
			return nil, err
		}
	}
	if view == nil {
		return nil, errors.New("it contains no state")
	}
	if survivor == "" {
		return view, nil
	}
	return view, c.adopt(survivor)
}

// adopt copies the journal of a node that is not running.
func (c Config) adopt(dir string) error {
	pieces, err := journal.SegmentFilesIn(dir)
	if err != nil {
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

// catchUp applies the records in the journal that come after the state.
func (c Config) catchUp(ctx context.Context, view *fsm.View) error {
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
			err = view.Follow(record)
		}
		if err != nil {
			return fmt.Errorf("applying record %d: %w", record.Sequence, err)
		}
	}
	return ctx.Err()
}

// revive creates the node: a new key with a certificate of the cluster's CA, a log
// that begins with the state, and the records of the restore.
func (c Config) revive(ctx context.Context, b openBackup, view *fsm.View, of BackupInfo) (token string, err error) {
	state := view.State.Cluster
	keys, err := newNodeKeys()
	if err != nil {
		return "", err
	}
	id := identity{Format: identityFormat, Cluster: state.ID, Node: c.Node, ID: nodeID(c.Node, keys.hash), Address: c.advertise(), CA: state.Certificate}
	if id.Certificate, err = issue(b.vault, state, keys.csr, id.ID, c.Now()); err != nil {
		return "", err
	}
	if err := c.logFrom(b.vault, view, id); err != nil {
		return "", fmt.Errorf("creating the log: %w", err)
	}
	if _, token, err = randomNames(); err != nil {
		return "", err
	}
	first := []events.Event{
		events.ClusterRestored{
			Epoch: state.Epoch + 1, Node: c.Node, Address: id.Address, Backup: of.Sequence, Taken: events.At(of.Taken),
			Key: keys.hash, SealKey: keys.seal.Public().Bytes(),
		},
		c.firstAdministrator(token),
	}
	if err := c.begin(ctx, id, keys, b.vault, first); err != nil {
		return "", fmt.Errorf("recording the restore: %w", err)
	}
	return token, c.settle(ctx, b.root, b.vault, id, keys)
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
