package cluster

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	fileLog = "raft.db"

	// A log that another process holds is an error, not a wait.
	lockTimeout = time.Second

	// Entries deleted in one transaction. Deleting a long prefix at once keeps
	// new entries waiting for seconds.
	deletePiece = 4096
)

// logStore is Raft's log on disk, with two habits of its own.
type logStore struct {
	*raftboltdb.BoltStore
	commits atomic.Uint64 // transactions that stored entries; each is two fsyncs

	// fail is told of an error of the disk. What a failed fsync left behind is
	// known to nobody, and a second one would say that all is well.
	fail func(error)
}

// openLog opens the log of a node, or creates it.
func (c Config) openLog(fail func(error)) (*logStore, error) {
	dir := c.file(dirRaft)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the data directory: %w", err)
	}
	return openLog(dir, fail)
}

func openLog(dir string, fail func(error)) (*logStore, error) {
	options := &bbolt.Options{
		Timeout: lockTimeout,
		// With the list of free pages written at each commit, a file that was
		// once large makes every commit slow for ever: 20 times, measured.
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
	}
	if bits.UintSize == 64 {
		options.InitialMmapSize = 1 << 30 // remapping stops all readers
	}
	path := filepath.Join(dir, fileLog)
	store, err := raftboltdb.New(raftboltdb.Options{
		Path:                    path,
		BoltOptions:             options,
		MsgpackUseNewTimeFormat: true, // as in the transport; never change
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%s is in use: another keyfob runs on this data directory", path)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the log %s: %w", path, err)
	}
	return &logStore{BoltStore: store, fail: fail}, nil
}

// StoreLog implements raft.LogStore.
func (s *logStore) StoreLog(entry *raft.Log) error { return s.StoreLogs([]*raft.Log{entry}) }

// StoreLogs implements raft.LogStore.
func (s *logStore) StoreLogs(entries []*raft.Log) error {
	s.commits.Add(1)
	return s.hurt(s.BoltStore.StoreLogs(entries))
}

func (s *logStore) hurt(err error) error {
	if err != nil {
		s.fail(fmt.Errorf("writing the log: %w", err))
	}
	return err
}

// DeleteRange implements raft.LogStore. A prefix, which Raft deletes behind a
// snapshot, goes in pieces from below: if the machine dies between two, a
// shorter prefix is gone. A suffix, which contradicts a new leader, goes at
// once or not at all.
func (s *logStore) DeleteRange(first, last uint64) error { return s.hurt(s.deleteRange(first, last)) }

func (s *logStore) deleteRange(first, last uint64) error {
	end, err := s.LastIndex()
	if err != nil {
		return err
	}
	if last < end {
		for ; last-first >= deletePiece; first += deletePiece {
			if err := s.BoltStore.DeleteRange(first, first+deletePiece-1); err != nil {
				return err
			}
		}
	}
	return s.BoltStore.DeleteRange(first, last)
}
