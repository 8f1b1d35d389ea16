package stream

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

const (
	asideDir  = "differing" // in the directory of the server
	probeSize = 64 << 10
)

// accounts is the directory of the accounts' files.
func (c ServerConfig) accounts() string { return filepath.Join(c.store(), server.JetStreamStoreDir) }

// removeStrangers removes the files of accounts other than the stream's. They are
// those of former versions, which nobody can read any more.
func (c ServerConfig) removeStrangers(stream string) error {
	dirs, err := os.ReadDir(c.accounts())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, dir := range dirs {
		if dir.Name() == stream || !nkeys.IsValidPublicAccountKey(dir.Name()) {
			continue
		}
		path := filepath.Join(c.accounts(), dir.Name())
		err = errors.Join(err, os.RemoveAll(path))
		c.Log.Info("files of a former account of the NATS server removed", "directory", path, "err", err)
	}
	if err != nil {
		return fmt.Errorf("removing files of former accounts: %w", err)
	}
	return nil
}

// setAside moves the stream's files to a directory of their own, for somebody to
// look at. It keeps one copy, the latest.
func (c ServerConfig) setAside() error {
	stream, err := accountName(c.Cluster, streamLabel)
	if err != nil {
		return err
	}
	aside := filepath.Join(c.store(), asideDir)
	if err := os.RemoveAll(aside); err != nil {
		return err
	}
	err = os.Rename(filepath.Join(c.accounts(), stream), aside)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// writable returns why the disk of the server accepts no writes, nil if it does.
func (c ServerConfig) writable() error {
	if err := os.MkdirAll(c.store(), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(c.store(), ".probe-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(make([]byte, probeSize))
	return errors.Join(err, f.Sync(), f.Close())
}
