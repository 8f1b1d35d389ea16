package journal

import (
	"slices"

	"keyfob/events"
)

// keptRecords is the number of recent records kept in memory.
const keptRecords = 1024

// tail holds the most recent records, in order and without a gap. A reader that
// keeps up with the journal, as the audit stream does, gets them without reading
// and decoding them from disk.
type tail []events.Record

// add appends records. It does not modify slices returned by from.
func (t *tail) add(records []events.Record) {
	all := append(*t, records...)
	if len(all) > 2*keptRecords {
		all = slices.Clone(all[len(all)-keptRecords:]) // releases the others
	}
	*t = all
}

// from returns a copy of up to limit records starting at sequence, none if that
// one is not kept.
func (t tail) from(sequence uint64, limit int) []events.Record {
	if len(t) == 0 || sequence < t[0].Sequence {
		return nil
	}
	at := min(sequence-t[0].Sequence, uint64(len(t)))
	rest := t[at:]
	return slices.Clone(rest[:min(limit, len(rest))])
}
