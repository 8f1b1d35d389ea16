package journal

import (
	"errors"
	"fmt"
	"os"

	"keyfob/events"
)

// Append adds records, which must follow the last one. Records that are held
// already are compared and skipped (ErrFork), since the replicated log is
// replayed after a restart. They are in the operating system's hands when it
// returns, not on the disk. After an error nothing was added.
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

// unknown is the records that are not held yet. The caller holds mu.
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

// compare holds records against those of one segment and says how many it has
// held. One that is in a hole is left to Fill. The caller holds mu.
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

// headAt is the hash of a record that is held, or of one at the end of a
// hole, which is known as well. The caller holds mu.
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

// keptBuffer is how much of the memory for one append is kept for the next.
const keptBuffer = 1 << 20

// append writes records that follow. The caller holds mu.
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
		if (grown.last-s.base.Sequence)%stride == 0 {
			grown.offsets = append(grown.offsets, uint32(grown.end))
		}
		var err error
		if buf, err = appendFrame(buf, r); err != nil {
			return err
		}
		grown.last, grown.head, grown.end = r.Sequence, r.Hash, s.end+int64(len(buf))
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

// write puts bytes at the end of the active segment, all or none of them. A
// file that can be neither written nor cut back is not touched any more.
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

// ready makes sure that the last segment can grow. The caller holds mu.
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

// seal finishes the last segment and makes it safe. The caller holds mu.
func (j *Journal) seal() error {
	s := j.lastSegment()
	if s == nil || s.sealed {
		return nil
	}
	if err := j.write(s.encodeSeal(), s.end); err != nil {
		return err
	}
	if err := j.active.Sync(); err != nil {
		return j.fail(fmt.Errorf("making %s safe: %w", s.path, err))
	}
	err := j.active.Close()
	s.sealed, s.offsets, j.active = true, nil, nil
	return err
}

// begin starts a segment. The caller holds mu.
func (j *Journal) begin(base events.Chain) error {
	header, err := encodeHeader(base)
	if err != nil {
		return err
	}
	name := segmentName(base.Sequence + 1)
	if j.active, err = j.create(name, header); err != nil {
		return err
	}
	j.segments = append(j.segments, &segment{
		path: j.path(name), base: base, last: base.Sequence, head: base.Head, end: headerSize,
	})
	j.hole = j.nearestHole()
	return nil
}

// Sync returns when all that was appended before is safe on the disk.
func (j *Journal) Sync() error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	j.mu.Lock()
	active, done, failed := j.active, j.marked, j.failed
	m := mark{j.chain.Sequence, j.chain.Head}
	j.mu.Unlock()
	if failed != nil {
		return fmt.Errorf("making journal safe: %w", failed)
	}
	if m == done {
		return nil
	}
	if active != nil {
		// A segment that was sealed meanwhile is closed, and safe.
		if err := active.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
			j.mu.Lock()
			defer j.mu.Unlock()
			return fmt.Errorf("making journal safe: %w", j.fail(err))
		}
	}
	if err := j.writeMark(m); err != nil {
		return fmt.Errorf("marking how far the journal is safe: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.marked = m
	return nil
}
