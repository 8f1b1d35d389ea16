// Package journal stores a node's records on disk, in order and for ever. It is
// the evidence of what happened, and the outbox of the audit stream.
//
// # Files
//
// A directory holds segments, each named after the number of its first record.
// A segment starts with a header, which states where the chain stood before it,
// followed by frames of length, CRC-32C and record. A finished ("sealed")
// segment ends with a footer: an index of record offsets, the last number and
// the last hash. Only the last segment grows.
//
// # Durability
//
// Append writes to the operating system and does not wait for the disk. Until
// Sync returns, the replicated log still holds what the journal may lose. Sync
// records how far it got in the sync point. After a crash, broken data after the
// sync point was never promised and is cut off; broken data before it is damage,
// and Open fails. A failed fsync is never retried, because the kernel discards
// what it could not write. The journal then fails every call until the process
// is restarted.
//
// # Gaps
//
// A node that restores a snapshot skips records. Restored starts a new segment
// after the gap, so that the files themselves show what is missing and where the
// chain has to end. Backfill takes records from peers, newest first, and accepts
// only records that hash to the known head at the end of the gap. A journal with
// gaps must not be published.
package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"sync"

	"keyfob/events"
)

// Errors that callers distinguish.
var (
	// ErrFork is returned when a different record is stored under that number:
	// this node and the others have different histories.
	ErrFork = errors.New("history differs")
	// ErrGap is returned when a record does not follow the last one.
	ErrGap = errors.New("records skipped")
	// ErrMissing is returned when the requested records are in a gap.
	ErrMissing = errors.New("records are missing here")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("journal is closed")
)

// Options configures a journal. The zero value works, except on a node that
// joins a cluster: it has to know the cluster's name.
type Options struct {
	Cluster      string       // name of the cluster, as stated in its first record
	SegmentBytes int64        // size at which a new segment is started, default 64 MiB
	Log          *slog.Logger // nil disables logging
}

// Journal is safe for concurrent use.
type Journal struct {
	dir     string
	options Options
	log     *slog.Logger
	open    func(path string, flag int) (file, error)

	backfilling sync.Mutex // held by Backfill, acquired before mu
	syncing     sync.Mutex // held by Sync, acquired before mu

	mu       sync.Mutex    // guards the fields below
	segments []*segment    // by number, with gaps in between
	active   file          // the last segment, nil when it is sealed
	chain    events.Chain  // as of the last record
	tail     tail          // the most recent records
	synced   syncPoint     // up to where records are durable
	failed   error         // sticky
	gap      gap           // the one nearest to the end
	buffer   []byte        // reused by append
	changed  chan struct{} // closed when records were added
}

// gap is a range of missing records, both ends included. Zero means none.
type gap struct{ from, to uint64 }

// Open opens the journal in a directory, which it creates if needed. An
// incomplete write at the end of the last segment is truncated and logged. A
// *Damage error states what is broken and where.
func Open(dir string, o Options) (*Journal, error) {
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 64 << 20
	}
	o.SegmentBytes = min(o.SegmentBytes, 1<<30)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	j := &Journal{dir: dir, options: o, log: o.Log, changed: make(chan struct{}), open: openFile}
	if err := j.recover(); err != nil {
		if j.active != nil {
			err = errors.Join(err, j.active.Close())
		}
		return nil, fmt.Errorf("opening journal: %w", err)
	}
	return j, nil
}

func (j *Journal) recover() error {
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return err
	}
	leftovers, err := namesEnding(j.dir, tmpSuffix)
	if err != nil {
		return err
	}
	for _, name := range leftovers {
		if err := os.Remove(j.path(name)); err != nil {
			return err
		}
	}
	if j.synced, err = readSyncPoint(j.dir); err != nil {
		return err
	}
	names, err := segmentNames(j.dir)
	if err != nil {
		return err
	}
	for i, name := range names {
		s, err := j.load(name, i == len(names)-1)
		if err != nil {
			return err
		}
		if err := s.follows(j.lastSegment()); err != nil {
			return err
		}
		j.segments = append(j.segments, s)
	}
	j.gap = j.nearestGap()
	j.chain = events.Chain{Cluster: j.options.Cluster}
	if s := j.lastSegment(); s != nil {
		j.chain = events.Chain{Cluster: s.base.Cluster, Sequence: s.last, Head: s.head}
	}
	if o := j.options.Cluster; o != "" && o != j.chain.Cluster {
		return fmt.Errorf("%s is the journal of cluster %q, not %q", j.dir, j.chain.Cluster, o)
	}
	return j.checkSyncPoint()
}

// load reads the header and footer of a segment, and all frames of the last one.
func (j *Journal) load(name string, last bool) (*segment, error) {
	path := filepath.Join(j.dir, name)
	f, err := j.open(path, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	if !last {
		defer f.Close()
		return readSealed(path, f)
	}
	s, torn, err := recoverLast(path, f, j.synced.Sequence)
	if err == nil && torn > 0 {
		j.log.Warn("journal: incomplete write truncated", "file", path, "offset", s.end, "bytes", torn, "last_sequence", s.last)
		if err = f.Truncate(s.end); err == nil {
			err = f.Sync()
		}
	}
	if err != nil || s.sealed {
		f.Close()
		return s, err
	}
	j.active = f
	return s, nil
}

// checkSyncPoint checks that the journal still holds what Sync made durable.
func (j *Journal) checkSyncPoint() error {
	m := j.synced
	switch {
	case m.Sequence == 0:
		return nil
	case m.Sequence > j.chain.Sequence:
		return fmt.Errorf("%s ends at record %d, but records up to %d had been synced", j.dir, j.chain.Sequence, m.Sequence)
	}
	head, ok, err := j.headAt(m.Sequence)
	if err != nil {
		return err
	}
	if ok && head != m.Head {
		return fmt.Errorf("%s: record %d is not the one that had been synced: %w", j.dir, m.Sequence, ErrFork)
	}
	return nil
}

// Last returns the number and the hash of the last record.
func (j *Journal) Last() (sequence uint64, head events.Hash) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.chain.Sequence, j.chain.Head
}

// Cluster returns the name of the cluster, empty before the first record.
func (j *Journal) Cluster() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.chain.Cluster
}

// Bounds returns the first and the last record of the newest range without gaps.
// first is last+1 if that range is empty.
func (j *Journal) Bounds() (first, last uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.gap.to + 1, j.chain.Sequence
}

// Missing returns the gap nearest to the end, 0 and 0 if there is none.
func (j *Journal) Missing() (from, to uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.gap.from, j.gap.to
}

// Whole reports whether no record is missing.
func (j *Journal) Whole() bool {
	_, to := j.Missing()
	return to == 0
}

func (j *Journal) nearestGap() gap {
	for i := len(j.segments) - 1; i >= 0; i-- {
		var before uint64
		if i > 0 {
			before = j.segments[i-1].last
		}
		if j.segments[i].base.Sequence > before {
			return gap{before + 1, j.segments[i].base.Sequence}
		}
	}
	return gap{}
}

// Wait returns when the journal holds a record after the given number, when ctx
// is done, or when the journal is closed.
func (j *Journal) Wait(ctx context.Context, after uint64) error {
	for {
		j.mu.Lock()
		last, changed, failed := j.chain.Sequence, j.changed, j.failed
		j.mu.Unlock()
		if last > after {
			return nil
		}
		if failed != nil {
			return failed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Changed returns a channel that is closed when records are added or backfilled,
// and when the journal is closed or fails.
func (j *Journal) Changed() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.changed
}

// wake notifies all waiters. The caller holds mu.
func (j *Journal) wake() {
	close(j.changed)
	j.changed = make(chan struct{})
}

// fail records an error that all later calls return. The caller holds mu.
func (j *Journal) fail(err error) error {
	if j.failed == nil {
		j.failed = err
		j.wake()
	}
	return j.failed
}

func (j *Journal) lastSegment() *segment {
	if len(j.segments) == 0 {
		return nil
	}
	return j.segments[len(j.segments)-1]
}

// find returns a copy of the segment that holds a record. The caller holds mu.
func (j *Journal) find(sequence uint64) (segment, bool) {
	i := sort.Search(len(j.segments), func(i int) bool { return j.segments[i].last >= sequence })
	if i == len(j.segments) || j.segments[i].base.Sequence >= sequence {
		return segment{}, false
	}
	return *j.segments[i], true
}

// Close syncs the journal, closes it and releases all waiters.
func (j *Journal) Close() error {
	err := j.Sync()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.active != nil {
		err = errors.Join(err, j.active.Close())
		j.active = nil
	}
	if errors.Is(j.failed, ErrClosed) {
		return nil
	}
	j.failed = errors.Join(ErrClosed, j.failed)
	j.wake()
	return err
}
