package bench

import (
	"testing"
	"time"
)

func TestRaftAloneIsMeasured(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		seen := uint64(0)
		rate, err := measureRaft(t.Context(), rawLoad{
			Dir: t.TempDir(), Nodes: nodes, EntryBytes: 1 << 10, For: 50 * time.Millisecond,
			Observe: func(time.Duration) { seen++ },
		})
		if err != nil {
			t.Fatal(err)
		}
		if rate.Entries == 0 || rate.Took < 50*time.Millisecond || seen != rate.Entries {
			t.Errorf("%d nodes: %+v, and %d were observed", nodes, rate, seen)
		}
		// A majority has stored an entry before the next is proposed.
		if least := rate.Entries * uint64(nodes/2+1); rate.Commits < least {
			t.Errorf("%d nodes: %d transactions for %d entries, want at least %d", nodes, rate.Commits, rate.Entries, least)
		}
	}
}
