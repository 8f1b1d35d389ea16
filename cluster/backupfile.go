package cluster

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"keyfob/cluster/vault"
	"keyfob/fsm"
)

// BackupFile is a backup that is being read.
type BackupFile struct {
	Info   BackupInfo
	header []byte
	file   io.ReadSeeker
}

// ReadBackup reads the description of a backup.
func ReadBackup(file io.ReadSeeker) (*BackupFile, error) {
	line, err := bufio.NewReaderSize(file, maxBackupHeader).ReadSlice('\n')
	f := &BackupFile{header: bytes.Clone(line), file: file}
	if err == nil {
		err = json.Unmarshal(f.header, &f.Info)
	}
	switch {
	case err != nil || f.Info.Format == 0:
		return nil, errors.New("this is not a keyfob backup")
	case f.Info.Format > backupFormat:
		return nil, fmt.Errorf("this backup has format %d, but this program reads format %d; it was written by version %.40s", f.Info.Format, backupFormat, f.Info.Version)
	}
	return f, nil
}

// openBackup is a backup that has been opened with its key.
type openBackup struct {
	*BackupFile
	key  opener
	root vault.Root // the cluster's, of a backup of format 1; otherwise in the archive
}

// opener opens the sealed part of a backup.
type opener interface {
	OpenReader(r io.Reader, id vault.Identity) io.Reader
}

func (f *BackupFile) open(key vault.RecoveryKey, c vault.Config) (openBackup, error) {
	name := key.Public().Name()
	if f.Info.Format == formatUnderRoot && name == f.Info.RecoveryKey {
		root, err := vault.OpenRootByRecovery(f.Info.Root, key, f.Info.Cluster)
		if err != nil {
			return openBackup{}, err
		}
		v, err := vault.Open(root, f.Info.Cluster, c)
		return openBackup{f, underRoot{v}, root}, err
	}
	for _, k := range f.Info.Keys {
		if k.Name != name {
			continue
		}
		opened, err := vault.OpenBackupKey(k.Sealed, key, c.Random, f.Info.Cluster)
		return openBackup{BackupFile: f, key: opened}, err
	}
	return openBackup{}, fmt.Errorf("this backup is sealed for recovery key %.100s, the key that was given is %s", f.Info.RecoveryKeys(), name)
}

// underRoot opens a backup of format 1.
type underRoot struct{ vault *vault.Vault }

// OpenReader implements opener.
func (u underRoot) OpenReader(r io.Reader, id vault.Identity) io.Reader {
	return u.vault.OpenReader(r, vault.Snapshots, id)
}

// walk reads the whole archive, from its beginning. Only when it has returned nil is
// what visit saw known to be complete and unchanged.
func (b openBackup) walk(visit func(name string, size int64, r io.Reader) error) error {
	if _, err := b.file.Seek(int64(len(b.header)), io.SeekStart); err != nil {
		return err
	}
	plain := b.key.OpenReader(b.file, backupPlace(b.header))
	archive := tar.NewReader(plain)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = visit(h.Name, h.Size, archive)
		}
		if err != nil {
			return err
		}
	}
	_, err := io.Copy(io.Discard, plain)
	return err
}

// contents is what a backup holds besides the journal.
type contents struct {
	root    vault.Root
	view    *fsm.View
	journal int64 // size of its files in bytes
}

// check reads a backup and writes nothing.
func (b openBackup) check() (c contents, err error) {
	c.root = b.root
	err = b.walk(func(name string, size int64, r io.Reader) (err error) {
		switch {
		case name == entryRoot && c.root.Size() == 0:
			c.root, err = vault.ReadRoot(r)
		case name == entryState && c.view == nil:
			c.view, err = fsm.Read(r)
		case strings.HasPrefix(name, entryJournal):
			c.journal += size
		default:
			err = fmt.Errorf("it contains %.80q, which this version does not know", name)
		}
		return err
	})
	switch {
	case err != nil:
	case c.view == nil:
		err = errors.New("it contains no state")
	case c.root.Size() == 0:
		err = errors.New("it contains no root key")
	case c.view.State.Cluster.ID != b.Info.Cluster:
		err = fmt.Errorf("the backup of cluster %s contains the state of cluster %s", b.Info.Cluster, c.view.State.Cluster.ID)
	}
	return c, err
}
