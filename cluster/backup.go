package cluster

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/events"
	"keyfob/events/journal"
	"keyfob/fsm"
)

// A backup begins with one readable line of JSON that describes it and contains
// the root key, sealed for the recovery key. A tar of the state and the journal's
// files follows, sealed under the root key. The hash of the line identifies the
// sealed stream, so if the line is changed, the rest does not open.

const (
	backupFormat    = 1
	maxBackupHeader = 64 << 10 // bytes

	entryState   = "state"
	entryJournal = "journal/" // and the name of a file
)

// BackupInfo describes a backup. It can be read without a key.
type BackupInfo struct {
	Format      int       `json:"keyfob_backup"`
	Cluster     string    `json:"cluster"`
	Node        string    `json:"node"`     // that wrote it
	Version     string    `json:"version"`  // of its program
	Sequence    uint64    `json:"sequence"` // of the last record in the state
	Taken       time.Time `json:"taken"`
	RecoveryKey string    `json:"recovery_key"` // short name of the key that opens the backup
	Root        []byte    `json:"root"`         // the root key, sealed for the recovery key
}

// Backup is a copy of everything that a node stores of its cluster, ready to be
// written.
type Backup struct {
	vault  *vault.Vault
	view   *fsm.View
	state  int64 // size in bytes
	pieces []journal.SegmentFile
	header []byte
}

// SetRecoveryKey sets the key that later backups are sealed for.
func (n *Node) SetRecoveryKey(ctx context.Context, o events.Origin, public []byte) error {
	if _, err := vault.ParseRecoveryPublic(public); err != nil {
		return &engine.Refusal{Code: engine.Invalid, Text: "this is not the public part of a recovery key"}
	}
	return n.Do(ctx, o, engine.SetRecoveryKey{Key: public})
}

// RecoveryKey is the short name of the recovery key, empty if there is none.
func (n *Node) RecoveryKey() string {
	public, err := vault.ParseRecoveryPublic(n.State().Cluster.RecoveryKey)
	if err != nil {
		return ""
	}
	return public.Name()
}

// Backup records that a backup is taken, and prepares it. It is a consistent copy;
// logins continue while it is written.
func (n *Node) Backup(ctx context.Context, o events.Origin) (*Backup, error) {
	if from, to := n.journal.Missing(); to != 0 {
		return nil, &engine.Refusal{Code: engine.Conflict, Text: fmt.Sprintf(
			"the journal of node %s is missing records %d to %d: use another node, or wait until it has fetched them", n.c.Node, from, to)}
	}
	if err := n.Do(ctx, o, engine.TakeBackup{Node: n.c.Node, RecoveryKey: n.RecoveryKey()}); err != nil {
		return nil, err
	}
	// The journal contains every record of the view and may contain later ones,
	// which are applied when the backup is restored.
	b := &Backup{vault: n.vault, view: n.replica.View()}
	var err error
	if b.pieces, err = n.journal.SegmentFiles(); err != nil {
		return nil, err
	}
	if b.header, err = n.backupHeader(ctx, b.view); err != nil {
		return nil, err
	}
	var size counter
	if err := fsm.Write(&size, b.view); err != nil {
		return nil, fmt.Errorf("computing the size of the state: %w", err)
	}
	b.state = int64(size)
	return b, nil
}

func (n *Node) backupHeader(ctx context.Context, v *fsm.View) ([]byte, error) {
	public, err := vault.ParseRecoveryPublic(v.State.Cluster.RecoveryKey)
	if err != nil {
		return nil, err
	}
	root, err := n.keychain.root(ctx)
	if err != nil {
		return nil, err
	}
	defer root.Wipe()
	sealed, err := root.SealToRecovery(public, n.id.Cluster)
	if err != nil {
		return nil, err
	}
	line, err := json.Marshal(BackupInfo{
		Format: backupFormat, Cluster: n.id.Cluster, Node: n.c.Node, Version: n.c.Version,
		Sequence: v.Sequence, Taken: n.c.Now().UTC().Truncate(time.Second), RecoveryKey: public.Name(), Root: sealed,
	})
	return append(line, '\n'), err
}

// Size is the approximate number of bytes that WriteTo writes, for progress
// displays.
func (b *Backup) Size() int64 {
	size := int64(len(b.header)) + b.state
	for _, p := range b.pieces {
		size += p.Size
	}
	return size
}

// WriteTo implements io.WriterTo. A backup whose writing failed cannot be
// restored, and Restore detects that.
func (b *Backup) WriteTo(w io.Writer) (int64, error) {
	var written counter
	w = io.MultiWriter(w, &written)
	if _, err := w.Write(b.header); err != nil {
		return int64(written), err
	}
	sealed := b.vault.SealWriter(w, vault.Snapshots, backupPlace(b.header))
	buffered := bufio.NewWriterSize(sealed, 64<<10)
	err := b.archive(tar.NewWriter(buffered))
	if err == nil {
		err = errors.Join(buffered.Flush(), sealed.Close())
	}
	if err != nil {
		err = fmt.Errorf("writing a backup: %w", err)
	}
	return int64(written), err
}

func (b *Backup) archive(out *tar.Writer) error {
	if err := out.WriteHeader(&tar.Header{Name: entryState, Mode: 0o600, Size: b.state}); err != nil {
		return err
	}
	if err := fsm.Write(out, b.view); err != nil {
		return err
	}
	for _, p := range b.pieces {
		if err := archivePiece(out, p); err != nil {
			return err
		}
	}
	return out.Close()
}

func archivePiece(out *tar.Writer, p journal.SegmentFile) error {
	if err := out.WriteHeader(&tar.Header{Name: entryJournal + p.Name, Mode: 0o600, Size: p.Size}); err != nil {
		return err
	}
	r, err := p.Open()
	if err != nil {
		return err
	}
	_, err = io.Copy(out, r)
	return errors.Join(err, r.Close())
}

// backupPlace binds the sealed part of a backup to its first line.
func backupPlace(header []byte) vault.Identity {
	sum := sha256.Sum256(header)
	return vault.Identity{Table: "backups", Record: hex.EncodeToString(sum[:]), Field: "tar"}
}

// counter counts the bytes written to it.
type counter int64

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// BackupFile is a backup that is being read.
type BackupFile struct {
	Info   BackupInfo
	header []byte
	rest   io.Reader
}

// ReadBackup reads the description of a backup.
func ReadBackup(r io.Reader) (*BackupFile, error) {
	in := bufio.NewReaderSize(r, maxBackupHeader)
	line, err := in.ReadSlice('\n')
	f := &BackupFile{header: bytes.Clone(line), rest: in}
	if err == nil {
		err = json.Unmarshal(f.header, &f.Info)
	}
	switch {
	case err != nil || f.Info.Format == 0:
		return nil, errors.New("this is not a keyfob backup")
	case f.Info.Format != backupFormat:
		return nil, fmt.Errorf("this backup has format %d, but this program reads format %d; it was written by version %.40s", f.Info.Format, backupFormat, f.Info.Version)
	}
	return f, nil
}

// openBackup is a backup that has been opened with its key.
type openBackup struct {
	root  vault.Root
	vault *vault.Vault
	plain io.Reader // the archive; trust it only after verify has returned nil
}

func (f *BackupFile) open(key vault.RecoveryKey, c vault.Config) (b openBackup, err error) {
	if name := key.Public().Name(); name != f.Info.RecoveryKey {
		return b, fmt.Errorf("this backup is sealed for recovery key %.16s, the key that was given is %s", f.Info.RecoveryKey, name)
	}
	if b.root, err = vault.OpenRootByRecovery(f.Info.Root, key, f.Info.Cluster); err != nil {
		return b, err
	}
	if b.vault, err = vault.Open(b.root, f.Info.Cluster, c); err != nil {
		return b, err
	}
	b.plain = b.vault.OpenReader(f.rest, vault.Snapshots, backupPlace(f.header))
	return b, nil
}

// verify reads to the end. Only then is the archive known to be complete and
// unchanged.
func (b openBackup) verify() error {
	_, err := io.Copy(io.Discard, b.plain)
	return err
}
