package refusal

import (
	"fmt"
	"testing"
	"time"

	"keyfob/events"
)

// The help desk finds a refusal by its reference.
func TestEveryReferenceOfAFewRefusalsIsRecorded(t *testing.T) {
	now := time.Unix(0, 0)
	s := NewSampler(10 * time.Second)
	var drafts []events.Draft
	for i := range 20 {
		o := events.Origin{Reference: fmt.Sprintf("REF%d", i)}
		if d, ok := s.Add(o, events.PasscodeRejected{Reason: events.ReasonUserUnknown}, now); ok {
			drafts = append(drafts, d)
		}
		now = now.Add(3 * time.Second)
	}
	drafts = append(drafts, s.Flush(now)...)
	carried := map[string]int{}
	for _, d := range drafts {
		e := d.Event.(events.PasscodeRejected)
		if int(max(1, e.Count)) != 1+len(e.Others) {
			t.Errorf("a record counts %d refusals and has %d references", e.Count, 1+len(e.Others))
		}
		for _, one := range append(e.Others, d.Origin.Reference) {
			carried[one]++
		}
	}
	if len(carried) != 20 || len(drafts) > 7 {
		t.Errorf("%d records have %d references: %v", len(drafts), len(carried), carried)
	}
}
