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

// firstTerm is the term in which a restored state is said to have been
// committed.
const firstTerm = 1

// Restored is what became of a backup.
type Restored struct {
	Token   string    // the first administrator's again: all others are over
	Epoch   uint64    // how often the cluster has been restored
	Backup  uint64    // the last record of the backup's state
	Records uint64    // the last record that was there at all
	Until   time.Time // when that was made: what came after it is lost
}

// Restore makes, in c.Data, the first node of the cluster that a backup was
// taken of. Its members are gone: they join anew, with empty data directories.
//
// A surviving journal, the directory of a node that died later, takes the place
// of the backup's own: what it holds behind the backup is folded in, so that
// nothing that it saw is lost.
//
// The first record of the new life is events.ClusterRestored, which makes
// worthless whatever may have been used since.
func Restore(ctx context.Context, c Config, f *BackupFile, key vault.RecoveryKey, survivor string) (r Restored, err error) {
	if err := c.Validate(); err != nil {
		return r, err
	}
	if err := c.Vacant(); err != nil {
		return r, err
	}
	defer func() {
		if err != nil { // nothing was there before
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
		err = backup.whole()
	}
	if err != nil {
		return r, fmt.Errorf("reading the backup: %w", err)
	}
	if id := view.State.Cluster.ID; id != f.Info.Cluster {
		return r, fmt.Errorf("the backup of cluster %s holds the state of %s", f.Info.Cluster, id)
	}
	r.Backup = view.Sequence
	if err := c.catchUp(ctx, view); err != nil {
		return r, err
	}
	r.Records, r.Until, r.Epoch = view.Sequence, view.Time.Std(), view.State.Cluster.Epoch+1
	if now := c.Now(); events.At(now) < view.Time {
		return r, fmt.Errorf("this machine's clock says %s, but the last record is of %s: set the clock, or tokencodes that were used would be good again",
			now.UTC().Format(time.RFC3339), r.Until.UTC().Format(time.RFC3339))
	}
	r.Token, err = c.revive(ctx, backup, view, f.Info)
	return r, err
}

// unpack puts the files of an archive into the data directory, but for the
// state, which it reads.
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
			err = fmt.Errorf("it holds %.80q, which this version does not know", h.Name)
		}
		if err != nil {
			return nil, err
		}
	}
	if view == nil {
		return nil, errors.New("it holds no state")
	}
	if survivor == "" {
		return view, nil
	}
	return view, c.adopt(survivor)
}

// adopt copies the journal of a node that does not run.
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

// catchUp folds in what the journal holds behind the state.
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
		return fmt.Errorf("the journal ends at record %d, the state of the backup at %d: do without that journal", last, view.Sequence)
	case to != 0:
		return fmt.Errorf("the journal lacks records %d to %d: do without it, or take another node's", from, to)
	}
	if err := j.Restored(view.Sequence, view.Head); err != nil { // compares
		return fmt.Errorf("the journal and the backup are not of one past: %w", err)
	}
	for record, err := range j.Records(ctx, view.Sequence+1, false) {
		if err == nil {
			err = view.Follow(record)
		}
		if err != nil {
			return fmt.Errorf("folding in record %d: %w", record.Sequence, err)
		}
	}
	return ctx.Err()
}

// revive makes the node: a new key and a certificate by the cluster's own CA, a
// log that begins with the state, and the records that say so.
func (c Config) revive(ctx context.Context, b openBackup, view *fsm.View, of BackupInfo) (token string, err error) {
	state := view.State.Cluster
	key, csr, err := link.NewNodeKey()
	if err != nil {
		return "", err
	}
	id := identity{Format: identityFormat, Cluster: state.ID, Node: c.Node, ID: nodeID(c.Node, csr), Address: c.advertise(), CA: state.Certificate}
	if id.Certificate, err = issue(b.vault, state, csr, id.ID, c.Now()); err != nil {
		return "", err
	}
	if err := c.logFrom(b.vault, view, id); err != nil {
		return "", fmt.Errorf("making the log: %w", err)
	}
	if _, token, err = randomNames(); err != nil {
		return "", err
	}
	first := []events.Event{
		events.ClusterRestored{Epoch: state.Epoch + 1, Node: c.Node, Address: id.Address, Backup: of.Sequence, Taken: events.At(of.Taken)},
		events.APITokenIssued{Name: adminTokenName, Digest: digestOf(token), Role: adminRole},
	}
	if err := c.begin(ctx, id, key, b.vault, first); err != nil {
		return "", fmt.Errorf("beginning anew: %w", err)
	}
	return token, c.settle(ctx, b.root, b.vault, id, key)
}

// issue has the cluster's CA, whose key is opened for this moment only, sign a
// node's certificate.
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

// logFrom makes a log that begins with a state, as if a snapshot of it had just
// been taken, in a cluster of this node alone.
func (c Config) logFrom(v *vault.Vault, view *fsm.View, id identity) error {
	if err := c.emptyLog(firstTerm); err != nil {
		return err
	}
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(c.file(dirRaft), snapshotsKept, raftlog.NewLogger(c.Log))
	if err != nil {
		return err
	}
	self := raft.Configuration{Servers: []raft.Server{{ID: raft.ServerID(id.ID), Address: raft.ServerAddress(id.Address)}}}
	_, addresses := raft.NewInmemTransport("") // spells addresses in an old field
	sink, err := snapshots.Create(raft.SnapshotVersionMax, view.Index, firstTerm, self, view.Index, addresses)
	if err != nil {
		return err
	}
	sealed := v.SealWriter(sink, vault.Snapshots, snapshotPlace)
	err = fsm.Write(sealed, view)
	if err == nil {
		err = sealed.Close()
	}
	if err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}
