package journal

import (
	"errors"
	"fmt"
	"sort"

	"keyfob/events"
)

// Restored reports that a snapshot was restored: the state is now at the record
// numbered sequence, and the hash of that record is head. This happens at every
// start, and when a follower installs the leader's snapshot. Records up to that
// number that are not stored become a gap.
func (j *Journal) Restored(sequence uint64, head events.Hash) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return fmt.Errorf("continuing the journal after record %d: %w", sequence, j.failed)
	}
	if err := j.restored(sequence, head); err != nil {
		return fmt.Errorf("continuing the journal after record %d: %w", sequence, err)
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
	j.log.Info("journal: records are missing", "after", j.chain.Sequence, "up_to", sequence)
	j.chain, j.tail = base, nil
	j.wake()
	return nil
}

// Backfill stores records from a peer. They must be the last ones of the gap that
// Missing returns: fetch its end, backfill it, and repeat until Whole. Records
// are accepted only if they hash to the known head at the end of the gap. They
// are durable when Backfill returns.
func (j *Journal) Backfill(records []events.Record) error {
	j.backfilling.Lock()
	defer j.backfilling.Unlock()
	if err := j.backfill(records); err != nil {
		return fmt.Errorf("backfilling journal: %w", err)
	}
	return nil
}

func (j *Journal) backfill(records []events.Record) error {
	j.mu.Lock()
	to := j.gap.to
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
	s, err := j.writeBackfill(records, above.Cluster)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	i := sort.Search(len(j.segments), func(i int) bool { return j.segments[i].base.Sequence >= s.last })
	j.segments = append(j.segments, nil)
	copy(j.segments[i+1:], j.segments[i:])
	j.segments[i] = s
	j.gap = j.nearestGap()
	j.wake()
	return nil
}

// around returns the state of the chain after and before a gap. The caller holds
// mu.
func (j *Journal) around(to uint64) (above, below events.Chain, failed error) {
	for _, s := range j.segments {
		if s.base.Sequence == to {
			return s.base, below, j.failed
		}
		below = events.Chain{Cluster: s.base.Cluster, Sequence: s.last, Head: s.head}
	}
	return above, below, j.failed
}

// proves checks that records are the end of the gap between below and above: each
// follows the one before, and the last one hashes to the known head.
func proves(records []events.Record, above, below events.Chain) error {
	first := records[0]
	if first.Sequence <= below.Sequence {
		return fmt.Errorf("record %d is not in the gap", first.Sequence)
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
		return fmt.Errorf("%w: the records end at %d with %v, the gap at %d with %v",
			events.ErrChain, chain.Sequence, chain.Head, above.Sequence, above.Head)
	}
	return nil
}

// writeBackfill writes records as a sealed segment.
func (j *Journal) writeBackfill(records []events.Record, cluster string) (*segment, error) {
	first := records[0]
	base := events.Chain{Cluster: cluster, Sequence: first.Sequence - 1, Head: first.Prev}
	header, err := encodeHeader(base)
	if err != nil {
		return nil, err
	}
	name := segmentName(first.Sequence)
	s := newSegment(j.path(name), base)
	var buf []byte
	for _, r := range records {
		if buf, err = appendFrame(buf, r); err != nil {
			return nil, err
		}
		s.added(headerSize + int64(len(buf)))
		s.head = r.Hash
	}
	f, err := j.create(name, header, buf, s.encodeFooter())
	if err != nil {
		return nil, err
	}
	s.sealed, s.offsets = true, nil
	return s, f.Close()
}
