package journal

import (
	"slices"

	"keyfob/events"
)

// keptRecords is how many of the records that were added last are kept in
// memory.
const keptRecords = 1024

// tail is those records, in order and without a gap, up to the journal's last
// one. Whoever keeps up with the journal, as the audit stream does, need not
// have read, checked and decoded what was written a moment ago.
type tail []events.Record

// add keeps records that follow. What was handed out by from is not disturbed.
func (t *tail) add(records []events.Record) {
	all := append(*t, records...)
	if len(all) > 2*keptRecords {
		all = slices.Clone(all[len(all)-keptRecords:]) // which lets go of the others
	}
	*t = all
}

// from is up to limit records from the one numbered sequence on, none if that
// is not kept. The caller may have them.
func (t tail) from(sequence uint64, limit int) []events.Record {
	if len(t) == 0 || sequence < t[0].Sequence {
		return nil
	}
	at := min(sequence-t[0].Sequence, uint64(len(t)))
	rest := t[at:]
	return slices.Clone(rest[:min(limit, len(rest))])
}
