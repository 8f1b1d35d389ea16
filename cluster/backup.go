package cluster

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"keyfob/cluster/vault"
	"keyfob/engine"
	"keyfob/events"
	"keyfob/events/journal"
	"keyfob/fsm"
)

// A backup begins with one readable line of JSON that describes it and contains
// the random key of this backup, sealed for each recovery key. A tar of the root
// key, the state and the journal's files follows, sealed under that random key.
// The hash of the line identifies the sealed stream, so if the line is changed, the
// rest does not open.
//
// In format 1 the tar was sealed under the root key, which every node has, and the
// root key for the recovery key. It is read, and no longer written.

const (
	backupFormat    = 2
	formatUnderRoot = 1
	maxBackupHeader = 64 << 10 // bytes

	entryRoot    = "root"
	entryState   = "state"
	entryJournal = "journal/" // and the name of a file
)

// BackupInfo describes a backup. It can be read without a key.
type BackupInfo struct {
	Format   int         `json:"keyfob_backup"`
	Cluster  string      `json:"cluster"`
	Node     string      `json:"node"`     // that wrote it
	Version  string      `json:"version"`  // of its program
	Sequence uint64      `json:"sequence"` // of the last record in the state
	Taken    time.Time   `json:"taken"`
	Keys     []BackupKey `json:"recovery_keys,omitempty"` // each opens the backup

	// Of format 1: the short name of the recovery key, and the root key, sealed for it.
	RecoveryKey string `json:"recovery_key,omitempty"`
	Root        []byte `json:"root,omitempty"`
}

// BackupKey is the key of a backup, sealed for one recovery key.
type BackupKey struct {
	Name   string `json:"name"` // short name of the recovery key
	Sealed []byte `json:"sealed"`
}

// RecoveryKeys are the short names of the keys that open the backup.
func (i BackupInfo) RecoveryKeys() string {
	if i.Format == formatUnderRoot {
		return i.RecoveryKey
	}
	names := make([]string, len(i.Keys))
	for at, key := range i.Keys {
		names[at] = key.Name
	}
	return strings.Join(names, ", ")
}

// Backup is a copy of everything that a node stores of its cluster, ready to be
// written once.
type Backup struct {
	key    vault.BackupKey
	root   vault.Root
	view   *fsm.View
	state  int64 // size in bytes
	pieces []journal.SegmentFile
	header []byte
}

// Backup records that a backup is taken, and prepares it. It is a consistent copy;
// logins continue while it is written.
func (n *Node) Backup(ctx context.Context, o events.Origin) (*Backup, error) {
	if from, to := n.journal.Missing(); to != 0 {
		return nil, &engine.Refusal{Code: engine.Conflict, Text: fmt.Sprintf(
			"the journal of node %s is missing records %d to %d: use another node, or wait until it has fetched them", n.c.Node, from, to)}
	}
	if err := n.Do(ctx, o, engine.TakeBackup{Node: n.c.Node, RecoveryKey: n.recoveryKeyNames()}); err != nil {
		return nil, err
	}
	// The journal contains every record of the view and may contain later ones,
	// which are applied when the backup is restored.
	b := &Backup{view: n.replica.View()}
	var err error
	if b.pieces, err = n.journal.SegmentFiles(); err != nil {
		return nil, err
	}
	var size counter
	if err := fsm.Write(&size, b.view); err != nil {
		return nil, fmt.Errorf("computing the size of the state: %w", err)
	}
	b.state = int64(size)
	if b.key, err = vault.NewBackupKey(rand.Reader, n.id.Cluster); err != nil {
		return nil, err
	}
	if b.header, err = n.backupHeader(b.key, b.view); err != nil {
		return nil, err
	}
	b.root, err = n.keychain.root(ctx)
	return b, err
}

// backupHeader returns the first line of a backup. After it, nothing else can be
// sealed for the key.
func (n *Node) backupHeader(key vault.BackupKey, v *fsm.View) ([]byte, error) {
	defer key.Wipe()
	info := BackupInfo{
		Format: backupFormat, Cluster: n.id.Cluster, Node: n.c.Node, Version: n.c.Version,
		Sequence: v.Sequence, Taken: n.c.Now().UTC().Truncate(time.Second),
	}
	for _, k := range v.State.Cluster.RecoveryKeys {
		public, err := vault.ParseRecoveryPublic(k.Key)
		if err != nil {
			return nil, err
		}
		sealed, err := key.SealTo(public)
		if err != nil {
			return nil, err
		}
		info.Keys = append(info.Keys, BackupKey{Name: public.Name(), Sealed: sealed})
	}
	if len(info.Keys) == 0 { // removed since the backup was recorded
		return nil, errors.New("no recovery key is set to seal the backup for")
	}
	line, err := json.Marshal(info)
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
	defer b.root.Wipe()
	var written counter
	w = io.MultiWriter(w, &written)
	if _, err := w.Write(b.header); err != nil {
		return int64(written), err
	}
	sealed := b.key.SealWriter(w, backupPlace(b.header))
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
	if err := out.WriteHeader(&tar.Header{Name: entryRoot, Mode: 0o600, Size: b.root.Size()}); err != nil {
		return err
	}
	if _, err := b.root.WriteTo(out); err != nil {
		return err
	}
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
