// Package raftlog stores Raft's log of entries on disk and passes Raft's messages
// on to the log of the program.
package raftlog

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

// File is the name of the log in its directory.
const File = "raft.db"

const (
	// How long Open waits for a log that another process holds.
	lockTimeout = time.Second

	// Entries deleted in one transaction. Deleting a long prefix at once delays
	// new entries by seconds.
	deleteBatch = 4096
)

// Log is Raft's log on disk. It reports disk errors and deletes long prefixes in
// batches.
type Log struct {
	*raftboltdb.BoltStore
	commits atomic.Uint64
	fail    func(error)
}

// Open opens the log in a directory, or creates both. fail is called for disk
// errors: after a failed fsync nobody knows what is on the disk, and a second
// fsync would report success.
func Open(dir string, fail func(error)) (*Log, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the log directory: %w", err)
	}
	options := &bbolt.Options{
		Timeout: lockTimeout,
		// Writing the list of free pages at each commit would make every commit
		// slow once the file has been large: 20 times, measured.
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
	}
	if bits.UintSize == 64 {
		options.InitialMmapSize = 1 << 30 // remapping blocks all readers
	}
	path := filepath.Join(dir, File)
	store, err := raftboltdb.New(raftboltdb.Options{
		Path:                    path,
		BoltOptions:             options,
		MsgpackUseNewTimeFormat: true, // as in the transport; must not change
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%s is in use: another keyfob runs on this data directory", path)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the log %s: %w", path, err)
	}
	return &Log{BoltStore: store, fail: fail}, nil
}

// Commits is the number of transactions that stored entries. Each is two fsyncs.
func (s *Log) Commits() uint64 { return s.commits.Load() }

// StoreLog implements raft.LogStore.
func (s *Log) StoreLog(entry *raft.Log) error { return s.StoreLogs([]*raft.Log{entry}) }

// StoreLogs implements raft.LogStore.
func (s *Log) StoreLogs(entries []*raft.Log) error {
	s.commits.Add(1)
	return s.check(s.BoltStore.StoreLogs(entries))
}

// check reports a disk error.
func (s *Log) check(err error) error {
	if err != nil {
		s.fail(fmt.Errorf("writing the log: %w", err))
	}
	return err
}

// DeleteRange implements raft.LogStore. A prefix, which Raft deletes after a
// snapshot, is deleted in batches from the start: a crash in between leaves a
// shorter log. A suffix, which conflicts with a new leader, is deleted in one
// transaction.
func (s *Log) DeleteRange(first, last uint64) error { return s.check(s.deleteRange(first, last)) }

func (s *Log) deleteRange(first, last uint64) error {
	end, err := s.LastIndex()
	if err != nil {
		return err
	}
	if last < end {
		for ; last-first >= deleteBatch; first += deleteBatch {
			if err := s.BoltStore.DeleteRange(first, first+deleteBatch-1); err != nil {
				return err
			}
		}
	}
	return s.BoltStore.DeleteRange(first, last)
}
