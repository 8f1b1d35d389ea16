package journal

import (
	"errors"
	"fmt"
	"os"

	"keyfob/events"
)

// Append adds records, which must follow the last one. Records already stored
// are compared (ErrFork) and skipped, because the replicated log is replayed
// after a restart. When Append returns, records are written but not yet durable.
// On error, nothing was added.
func (j *Journal) Append(records []events.Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return fmt.Errorf("appending to journal: %w", j.failed)
	}
	records, err := j.unknown(records)
	if err != nil {
		return fmt.Errorf("appending to journal: %w", err)
	}
	if len(records) == 0 {
		return nil
	}
	if err := j.append(records); err != nil {
		return fmt.Errorf("appending to journal: %w", err)
	}
	j.wake()
	return nil
}

// unknown returns the records that are not stored yet. The caller holds mu.
func (j *Journal) unknown(records []events.Record) ([]events.Record, error) {
	known := 0
	for known < len(records) && records[known].Sequence <= j.chain.Sequence {
		n, err := j.compare(records[known:])
		if err != nil {
			return nil, err
		}
		known += n
	}
	records = records[known:]
	sequence, head := j.chain.Sequence, j.chain.Head
	for _, r := range records {
		if r.Sequence != sequence+1 {
			return nil, fmt.Errorf("record %d after record %d: %w", r.Sequence, sequence, ErrGap)
		}
		if r.Prev != head {
			return nil, fmt.Errorf("record %d: %w", r.Sequence, ErrFork)
		}
		sequence, head = r.Sequence, r.Hash
	}
	return records, nil
}

// compare compares records with those stored in one segment, and returns how
// many it compared. A record in a gap is left to Backfill. The caller holds mu.
func (j *Journal) compare(records []events.Record) (int, error) {
	s, held := j.find(records[0].Sequence)
	if !held {
		return 1, nil
	}
	same, err := j.readFrom(s, records[0].Sequence, len(records))
	if err != nil {
		return 0, err
	}
	for i, r := range same {
		switch given := records[i]; {
		case given.Sequence != r.Sequence:
			return 0, fmt.Errorf("record %d before record %d: %w", given.Sequence, r.Sequence, ErrGap)
		case given.Hash != r.Hash:
			return 0, fmt.Errorf("record %d: %w", r.Sequence, ErrFork)
		}
	}
	return len(same), nil
}

// headAt returns the hash of a stored record, or of the last one of a gap, which
// is known as well. The caller holds mu.
func (j *Journal) headAt(sequence uint64) (head events.Hash, ok bool, err error) {
	if sequence == j.chain.Sequence {
		return j.chain.Head, true, nil
	}
	for _, s := range j.segments {
		if s.base.Sequence == sequence {
			return s.base.Head, true, nil
		}
		if s.last == sequence {
			return s.head, true, nil
		}
	}
	s, held := j.find(sequence)
	if !held {
		return head, false, nil
	}
	records, err := j.readFrom(s, sequence, 1)
	if err != nil {
		return head, false, err
	}
	return records[0].Hash, true, nil
}

// keptBuffer is the largest append buffer that is kept for reuse.
const keptBuffer = 1 << 20

// append writes records that follow the last one. The caller holds mu.
func (j *Journal) append(records []events.Record) error {
	cluster := j.chain.Cluster
	if f, ok := records[0].Event.(events.ClusterFounded); ok {
		cluster = f.Cluster
	}
	if err := j.ready(cluster); err != nil {
		return err
	}
	s := j.lastSegment()
	buf := j.buffer[:0]
	grown := *s
	for _, r := range records {
		var err error
		if buf, err = appendFrame(buf, r); err != nil {
			return err
		}
		grown.added(s.end + int64(len(buf)))
		grown.head = r.Hash
	}
	if err := j.write(buf, s.end); err != nil {
		return err
	}
	if cap(buf) <= keptBuffer {
		j.buffer = buf
	}
	*s = grown
	j.chain = events.Chain{Cluster: cluster, Sequence: s.last, Head: s.head}
	j.tail.add(records)
	return nil
}

// write adds bytes at the end of the active segment, all or none. If the file can
// be neither written nor truncated, the journal fails.
func (j *Journal) write(b []byte, end int64) error {
	_, err := j.active.WriteAt(b, end)
	if err == nil {
		return nil
	}
	if cut := j.active.Truncate(end); cut != nil {
		return j.fail(errors.Join(err, cut))
	}
	return err
}

// ready starts a new segment if the last one cannot grow. The caller holds mu.
func (j *Journal) ready(cluster string) error {
	s := j.lastSegment()
	if s != nil && !s.sealed && s.end < j.options.SegmentBytes {
		return nil
	}
	if err := j.seal(); err != nil {
		return err
	}
	return j.begin(events.Chain{Cluster: cluster, Sequence: j.chain.Sequence, Head: j.chain.Head})
}

// seal writes the footer of the last segment and syncs it. The caller holds mu.
func (j *Journal) seal() error {
	s := j.lastSegment()
	if s == nil || s.sealed {
		return nil
	}
	if err := j.write(s.encodeFooter(), s.end); err != nil {
		return err
	}
	if err := j.active.Sync(); err != nil {
		return j.fail(fmt.Errorf("syncing %s: %w", s.path, err))
	}
	err := j.active.Close()
	s.sealed, s.offsets, j.active = true, nil, nil
	return err
}

// begin starts a new segment. The caller holds mu.
func (j *Journal) begin(base events.Chain) error {
	header, err := encodeHeader(base)
	if err != nil {
		return err
	}
	name := segmentName(base.Sequence + 1)
	if j.active, err = j.create(name, header); err != nil {
		return err
	}
	j.segments = append(j.segments, newSegment(j.path(name), base))
	j.gap = j.nearestGap()
	return nil
}

// Sync makes all records appended so far durable.
func (j *Journal) Sync() error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	j.mu.Lock()
	active, done, failed := j.active, j.synced, j.failed
	m := syncPoint{j.chain.Sequence, j.chain.Head}
	j.mu.Unlock()
	if failed != nil {
		return fmt.Errorf("syncing journal: %w", failed)
	}
	if m == done {
		return nil
	}
	if active != nil {
		// A segment sealed in the meantime has been synced and closed.
		if err := active.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
			j.mu.Lock()
			defer j.mu.Unlock()
			return fmt.Errorf("syncing journal: %w", j.fail(err))
		}
	}
	if err := j.writeSyncPoint(m); err != nil {
		return fmt.Errorf("writing the sync point of the journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.synced = m
	return nil
}
