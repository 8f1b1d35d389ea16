package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"

	"keyfob/events"
)

const (
	readBytes = 4 << 20 // approximate limit of one Read
	readAhead = 256     // records read at once by Records
)

func (j *Journal) path(name string) string { return filepath.Join(j.dir, name) }

// Read returns up to limit records starting at from. It returns fewer, but at
// least one, if they are large or a gap follows, and none past the last record.
// The error is ErrMissing if from is in a gap.
func (j *Journal) Read(from uint64, limit int) ([]events.Record, error) {
	from = max(from, 1)
	var all []events.Record
	for len(all) < limit {
		j.mu.Lock()
		recent := j.tail.from(from, limit-len(all))
		s, held := j.find(from)
		last := j.chain.Sequence
		j.mu.Unlock()
		if len(recent) > 0 {
			return append(all, recent...), nil
		}
		if !held {
			if len(all) == 0 && from <= last {
				return nil, fmt.Errorf("reading journal at record %d: %w", from, ErrMissing)
			}
			return all, nil
		}
		part, err := j.readFrom(s, from, limit-len(all))
		if err != nil {
			return nil, fmt.Errorf("reading journal: %w", err)
		}
		all = append(all, part...)
		from += uint64(len(part))
		if from <= s.last {
			return all, nil
		}
	}
	return all, nil
}

// readFrom reads at least one record of a segment.
func (j *Journal) readFrom(s segment, from uint64, limit int) ([]events.Record, error) {
	f, err := j.open(s.path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	start, err := s.offset(f, from)
	if err != nil {
		return nil, err
	}
	sequence := from - (from-s.base.Sequence-1)%indexInterval
	r := newFrames(f, start, s.end)
	limit = int(min(uint64(limit), s.last-from+1))
	records := make([]events.Record, 0, limit)
	for begin := start; len(records) < limit; sequence++ {
		at := r.at
		b, err := r.next()
		if err != nil {
			if !isBroken(err) && !errors.Is(err, io.EOF) {
				return nil, err
			}
			return nil, s.damage(at, sequence, err)
		}
		if sequence < from {
			begin = r.at
			continue
		}
		record, err := events.DecodeRecord(b)
		if err == nil && record.Sequence != sequence {
			err = fmt.Errorf("%w: found record %d", errForm, record.Sequence)
		}
		if err != nil {
			return nil, s.damage(at, sequence, err)
		}
		records = append(records, record)
		if r.at-begin > readBytes {
			break
		}
	}
	return records, nil
}

// offset returns the indexed offset nearest before a record.
func (s *segment) offset(r io.ReaderAt, sequence uint64) (int64, error) {
	i := int64(sequence-s.base.Sequence-1) / indexInterval
	if !s.sealed {
		return int64(s.offsets[i]), nil
	}
	b := make([]byte, 4)
	if _, err := r.ReadAt(b, s.end+4+4*i); err != nil {
		return 0, err
	}
	o := int64(binary.BigEndian.Uint32(b))
	if o < headerSize || o > s.end {
		return 0, s.damage(s.end+4+4*i, sequence, errForm)
	}
	return o, nil
}

// Records yields the records starting at from. It ends at the record that is last
// when it is called or, with follow, when ctx is done. An error ends it.
func (j *Journal) Records(ctx context.Context, from uint64, follow bool) iter.Seq2[events.Record, error] {
	return func(yield func(events.Record, error) bool) {
		last, _ := j.Last()
		next := max(from, 1)
		for ctx.Err() == nil && (follow || next <= last) {
			records, err := j.Read(next, readAhead)
			if err == nil && len(records) == 0 {
				err = j.Wait(ctx, next-1)
				if errors.Is(err, ErrClosed) || ctx.Err() != nil {
					return
				}
			}
			if err != nil {
				yield(events.Record{Sequence: next}, err)
				return
			}
			for _, r := range records {
				if !follow && r.Sequence > last || !yield(r, nil) {
					return
				}
			}
			next += uint64(len(records))
		}
	}
}
