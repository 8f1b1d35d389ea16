package journal

import (
	"errors"
	"fmt"
	"sort"

	"keyfob/events"
)

// Restored says that the state jumped to the record numbered sequence, where
// the chain stands at head, as it does at every start and when another node's
// snapshot is taken over. Records up to it that are not held are missing from
// then on.
func (j *Journal) Restored(sequence uint64, head events.Hash) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return fmt.Errorf("jumping to record %d: %w", sequence, j.failed)
	}
	if err := j.restored(sequence, head); err != nil {
		return fmt.Errorf("jumping to record %d: %w", sequence, err)
	}
	return nil
}

func (j *Journal) restored(sequence uint64, head events.Hash) error {
	if sequence == 0 {
		return nil
	}
	if sequence <= j.chain.Sequence {
		here, ok, err := j.headAt(sequence)
		if err == nil && ok && here != head {
			err = ErrFork
		}
		return err
	}
	if j.chain.Cluster == "" {
		return errors.New("the journal does not know the cluster's name")
	}
	if err := j.seal(); err != nil {
		return err
	}
	base := events.Chain{Cluster: j.chain.Cluster, Sequence: sequence, Head: head}
	if err := j.begin(base); err != nil {
		return err
	}
	j.log.Info("records are missing from the journal", "after", j.chain.Sequence, "up_to", sequence)
	j.chain, j.tail = base, nil
	j.wake()
	return nil
}

// Fill puts records from a peer into the hole nearest to the end, of which
// they must be the last ones: ask Missing, fetch the end of that, fill it, and
// so on until Whole. They are believed if they hash to the head that is known
// where the hole ends. They are safe on the disk when it returns.
func (j *Journal) Fill(records []events.Record) error {
	j.filling.Lock()
	defer j.filling.Unlock()
	if err := j.fill(records); err != nil {
		return fmt.Errorf("filling journal: %w", err)
	}
	return nil
}

func (j *Journal) fill(records []events.Record) error {
	j.mu.Lock()
	to := j.hole.to
	above, below, failed := j.around(to)
	j.mu.Unlock()
	switch {
	case failed != nil:
		return failed
	case to == 0:
		return errors.New("nothing is missing")
	case len(records) == 0:
		return errors.New("no records")
	}
	if err := proves(records, above, below); err != nil {
		return err
	}
	s, err := j.writeFilled(records, above.Cluster)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	i := sort.Search(len(j.segments), func(i int) bool { return j.segments[i].base.Sequence >= s.last })
	j.segments = append(j.segments, nil)
	copy(j.segments[i+1:], j.segments[i:])
	j.segments[i] = s
	j.hole = j.nearestHole()
	j.wake()
	return nil
}

// around is where the chain stands at the end of a hole, and before its
// beginning. The caller holds mu.
func (j *Journal) around(to uint64) (above, below events.Chain, failed error) {
	for _, s := range j.segments {
		if s.base.Sequence == to {
			return s.base, below, j.failed
		}
		below = events.Chain{Cluster: s.base.Cluster, Sequence: s.last, Head: s.head}
	}
	return above, below, j.failed
}

// proves reports whether records are the end of the hole between below and
// above: whether each follows the one before, and the last ends where the
// chain is known to stand.
func proves(records []events.Record, above, below events.Chain) error {
	first := records[0]
	if first.Sequence <= below.Sequence {
		return fmt.Errorf("record %d is not in the hole", first.Sequence)
	}
	if first.Sequence == below.Sequence+1 && first.Prev != below.Head {
		return fmt.Errorf("record %d: %w", first.Sequence, ErrFork)
	}
	chain := events.Chain{Cluster: above.Cluster, Sequence: first.Sequence - 1, Head: first.Prev}
	for _, r := range records {
		if err := chain.Follow(r); err != nil {
			return err
		}
	}
	if chain != above {
		return fmt.Errorf("%w: the records end at %d with %v, the hole at %d with %v",
			events.ErrChain, chain.Sequence, chain.Head, above.Sequence, above.Head)
	}
	return nil
}

// writeFilled writes a finished segment of its own.
func (j *Journal) writeFilled(records []events.Record, cluster string) (*segment, error) {
	first := records[0]
	base := events.Chain{Cluster: cluster, Sequence: first.Sequence - 1, Head: first.Prev}
	header, err := encodeHeader(base)
	if err != nil {
		return nil, err
	}
	name := segmentName(first.Sequence)
	s := &segment{path: j.path(name), base: base, last: base.Sequence, head: base.Head, end: headerSize}
	var buf []byte
	for _, r := range records {
		if (s.last-base.Sequence)%stride == 0 {
			s.offsets = append(s.offsets, uint32(s.end))
		}
		if buf, err = appendFrame(buf, r); err != nil {
			return nil, err
		}
		s.last, s.head, s.end = r.Sequence, r.Hash, headerSize+int64(len(buf))
	}
	f, err := j.create(name, header, buf, s.encodeSeal())
	if err != nil {
		return nil, err
	}
	s.sealed, s.offsets = true, nil
	return s, f.Close()
}
