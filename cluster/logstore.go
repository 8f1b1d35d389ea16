package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/bits"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
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

// raftLog gives Raft a logger that writes to ours, two levels lower: a peer that
// does not answer is an error to Raft, a hundred times a second. What an
// operator should act on, the node itself says once.
func raftLog(log *slog.Logger) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Level: hclog.Info, Output: io.Discard})
	l.RegisterSink(&raftSink{log: log, next: make(map[string]time.Time)})
	return l
}

// raftEvery is how often the same complaint of Raft's is logged.
const raftEvery = time.Minute

type raftSink struct {
	log *slog.Logger

	mu   sync.Mutex           // guards next
	next map[string]time.Time // by message, of which Raft has a few dozen
}

// Accept implements hclog.SinkAdapter.
func (s *raftSink) Accept(name string, level hclog.Level, msg string, args ...any) {
	to := slog.LevelDebug
	if level >= hclog.Error && s.due(msg, time.Now()) {
		to = slog.LevelInfo
	}
	s.log.Log(context.Background(), to, "raft", append([]any{"part", name, "said", msg}, args...)...)
}

func (s *raftSink) due(msg string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.next[msg]) {
		return false
	}
	s.next[msg] = now.Add(raftEvery)
	return true
}
