package refusal

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/events"
)

// The help desk finds a refusal by its reference.
func TestEveryReferenceOfAFewRefusalsIsRecorded(t *testing.T) {
	now := time.Unix(0, 0)
	s := NewSampler(10 * time.Second)
	var drafts []events.Draft
	for i := range 20 {
		o := events.Origin{Reference: fmt.Sprintf("REF%d", i)}
		if d, ok := s.Add("guess", o.Reference, o, events.PasscodeRejected{Reason: events.ReasonUserUnknown}, now); ok {
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

// A flood from one source hides neither how many there were nor the others.
func TestFloodNamesItsSourcesOnce(t *testing.T) {
	now := time.Unix(0, 0)
	s := NewSampler(10 * time.Second)
	if _, ok := s.Add("token", "192.0.2.1", events.Origin{}, events.APITokenRefused{}, now); !ok {
		t.Error("the first refusal is not recorded at once")
	}
	for i := range 1000 {
		source := []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}[i%3]
		if d, ok := s.Add("token", source, events.Origin{SourceIP: source}, events.APITokenRefused{Name: "desk"}, now); ok {
			t.Errorf("refusal %d is recorded at once: %v", i, d)
		}
	}
	want := []events.Draft{{
		Origin: events.Origin{SourceIP: "192.0.2.1"},
		Event:  events.APITokenRefused{Name: "desk", Count: 1000, Others: []string{"192.0.2.2", "192.0.2.3"}},
	}}
	if diff := cmp.Diff(want, s.Flush(now)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for i := range 1000 {
		s.Add("token", fmt.Sprint(i), events.Origin{}, events.APITokenRefused{}, now)
	}
	if e := s.Flush(now)[0].Event.(events.APITokenRefused); e.Count != 1000 || len(e.Others) != MaxOthers {
		t.Errorf("%d refusals from %d other sources", e.Count, len(e.Others))
	}
}
