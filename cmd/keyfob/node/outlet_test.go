package node

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
	"keyfob/events"
)

// TestExpiredAuditReaderIsNotAdmitted: the time of the last record counts, not the
// clock of this machine.
func TestExpiredAuditReaderIsNotAdmitted(t *testing.T) {
	s := engine.NewState()
	for i, name := range []string{"ends-first", "ends-later"} {
		s.Apply(1, events.Draft{Event: events.AuditReaderIssued{Name: name, Key: "key of " + name, Expires: events.Time(100 * (i + 1))}})
	}
	for _, c := range []struct {
		at   events.Time
		want []string
	}{
		{99, []string{"key of ends-first", "key of ends-later"}},
		{100, []string{"key of ends-later"}},
		{200, nil},
	} {
		s.Apply(c.at, events.Draft{Event: events.UserAdded{User: "ada"}})
		if diff := cmp.Diff(c.want, readerKeys(s)); diff != "" {
			t.Errorf("at %d (-want +got):\n%s", c.at, diff)
		}
	}
}
