// Package journal keeps the records of a node on its disk, in order and for
// ever: the evidence of what happened, and the outbox of the audit stream.
//
// # Files
//
// A directory holds segments, each named by the number of its first record:
// a header that says where the chain stood before it, and frames of length,
// CRC-32C and record. A finished segment ends in a seal: where every so many
// records begin, the last number and hash. Only the segment with the highest
// number grows.
//
// # What is safe
//
// Append hands bytes to the operating system and does not wait for the disk:
// until Sync has returned, the replicated log still has what the journal may
// lose. Sync leaves a mark of how far it got. After a crash, whatever is broken
// behind the mark was never promised and is cut off; whatever is broken before
// it is damage, and Open refuses. An fsync that failed is never tried again,
// since the kernel forgets what it could not write: the journal then refuses
// everything until the process is started anew.
//
// # Holes
//
// A node that was restored from a snapshot jumps over records. Restored begins
// a new segment behind the jump, so that the files themselves say what is
// missing, and where the chain has to end. Fill takes what peers send, from the
// newest back to the oldest, and believes nothing that does not hash to the
// head that is already known. Until the journal is whole it must not be
// published.
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

// What a caller must be able to tell from other errors.
var (
	// ErrFork says that another record is held under that number than the one
	// that was given: this node and the others do not share one past.
	ErrFork = errors.New("another past")
	// ErrGap says that records were given that do not follow the last one.
	ErrGap = errors.New("records left out")
	// ErrMissing says that the records asked for are in a hole.
	ErrMissing = errors.New("records are missing here")
	// ErrClosed says that the journal was closed.
	ErrClosed = errors.New("journal is closed")
)

// Options is how a journal is kept. The zero value works but for a node that
// joins a cluster, which must know the cluster's name.
type Options struct {
	Cluster      string       // name of the cluster, as its first record says it
	SegmentBytes int64        // size after which a new segment is begun, default 64 MiB
	Log          *slog.Logger // nil: nothing is logged
}

// Journal is safe for use by many at once.
type Journal struct {
	dir     string
	options Options
	log     *slog.Logger
	open    func(path string, flag int) (file, error)

	filling sync.Mutex // held by Fill, in front of mu
	syncing sync.Mutex // held by Sync, in front of mu

	mu       sync.Mutex    // guards what follows
	segments []*segment    // by number; holes are between them
	active   file          // of the last segment, nil when that is sealed
	chain    events.Chain  // at the last record
	tail     tail          // up to it
	marked   mark          // what Sync has made safe
	failed   error         // sticky
	hole     hole          // nearest to the end
	buffer   []byte        // of append
	changed  chan struct{} // closed when records were added
}

// hole is what is missing, from and to included; zero is nothing.
type hole struct{ from, to uint64 }

// Open reads what a directory holds, making the directory if there is none. A
// torn end of the last segment is cut off and logged. An error that is a
// *Damage says what is broken and where.
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
	leftovers, err := namesEnding(j.dir, unfinished)
	if err != nil {
		return err
	}
	for _, name := range leftovers {
		if err := os.Remove(j.path(name)); err != nil {
			return err
		}
	}
	if j.marked, err = readMark(j.dir); err != nil {
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
	j.hole = j.nearestHole()
	j.chain = events.Chain{Cluster: j.options.Cluster}
	if s := j.lastSegment(); s != nil {
		j.chain = events.Chain{Cluster: s.base.Cluster, Sequence: s.last, Head: s.head}
	}
	if o := j.options.Cluster; o != "" && o != j.chain.Cluster {
		return fmt.Errorf("%s is the journal of cluster %q, not of %q", j.dir, j.chain.Cluster, o)
	}
	return j.checkMark()
}

// load reads a segment's ends, or the whole of the last one.
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
	s, torn, err := recoverLast(path, f, j.marked.Sequence)
	if err == nil && torn > 0 {
		j.log.Warn("cut a torn end off the journal", "file", path, "offset", s.end, "bytes", torn, "last_sequence", s.last)
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

// checkMark holds the journal to what was safe when Sync returned last.
func (j *Journal) checkMark() error {
	m := j.marked
	switch {
	case m.Sequence == 0:
		return nil
	case m.Sequence > j.chain.Sequence:
		return fmt.Errorf("%s ends at record %d, but records up to %d had been made safe", j.dir, j.chain.Sequence, m.Sequence)
	}
	head, ok, err := j.headAt(m.Sequence)
	if err != nil {
		return err
	}
	if ok && head != m.Head {
		return fmt.Errorf("%s: record %d: %w than the one that had been made safe", j.dir, m.Sequence, ErrFork)
	}
	return nil
}

// Last is the number of the last record and the chain's hash there.
func (j *Journal) Last() (sequence uint64, head events.Hash) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.chain.Sequence, j.chain.Head
}

// Cluster is the name of the cluster, empty before the first record.
func (j *Journal) Cluster() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.chain.Cluster
}

// First is the number from which on nothing is missing: 1 when the journal is
// whole.
func (j *Journal) First() uint64 {
	first, _ := j.Bounds()
	return first
}

// Bounds are the first and the last of the records that can be read without
// coming to a hole. first is last+1 when there are none.
func (j *Journal) Bounds() (first, last uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.hole.to + 1, j.chain.Sequence
}

// Missing is the hole nearest to the end, 0 and 0 when the journal is whole.
func (j *Journal) Missing() (from, to uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.hole.from, j.hole.to
}

// Whole reports whether every record from the first to the last is held.
func (j *Journal) Whole() bool {
	_, to := j.Missing()
	return to == 0
}

func (j *Journal) nearestHole() hole {
	for i := len(j.segments) - 1; i >= 0; i-- {
		var before uint64
		if i > 0 {
			before = j.segments[i-1].last
		}
		if j.segments[i].base.Sequence > before {
			return hole{before + 1, j.segments[i].base.Sequence}
		}
	}
	return hole{}
}

// Wait returns when a record behind the one numbered after is held, or when
// ctx is over or the journal is closed.
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

// Changed is closed at the next record that is added, at the next hole that is
// filled, and when the journal is closed or fails.
func (j *Journal) Changed() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.changed
}

// wake tells those who wait. The caller holds mu.
func (j *Journal) wake() {
	close(j.changed)
	j.changed = make(chan struct{})
}

// fail makes an error sticky. The caller holds mu.
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

// find is a copy of the segment that holds a record. The caller holds mu.
func (j *Journal) find(sequence uint64) (segment, bool) {
	i := sort.Search(len(j.segments), func(i int) bool { return j.segments[i].last >= sequence })
	if i == len(j.segments) || j.segments[i].base.Sequence >= sequence {
		return segment{}, false
	}
	return *j.segments[i], true
}

// Close makes everything safe and ends all waiting.
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
