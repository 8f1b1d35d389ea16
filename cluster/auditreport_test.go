package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/events"
)

// TestPublishingFailuresAreRecordedOnceAnIncident: a failure that lasts is recorded
// with its end; one that comes and goes is recorded once a minute.
func TestPublishingFailuresAreRecordedOnceAnIncident(t *testing.T) {
	s := &self{c: Config{Node: "n1"}, log: slog.New(slog.DiscardHandler)}
	a := &auditReports{self: s, recorder: &recorder{self: s, queue: make(chan events.Draft, 100)}}
	start := time.Unix(1_795_000_000, 0)
	var got []string
	report := func(second int, r AuditReport) {
		a.report(r, start.Add(time.Duration(second)*time.Second))
		for len(a.recorder.queue) > 0 {
			got = append(got, fmt.Sprintf("%d: %+v", second, (<-a.recorder.queue).Event))
		}
	}
	works, fails := AuditReport{State: "publishing"}, AuditReport{State: auditFailing, Error: "disk\nfull"}
	for second := range 10 {
		report(second, works)
	}
	for second := 10; second < 60; second++ {
		report(second, fails)
	}
	if own := a.own(); own.Error != "disk; full" {
		t.Errorf("it reports %q", own.Error)
	}
	report(60, works)
	for second := 61; second < 140; second++ { // fails for 5 s of 10
		if second%10 < 5 {
			report(second, fails)
		} else {
			report(second, works)
		}
	}
	report(140, AuditReport{State: "publishing", Differed: 1, Difference: "message 3 is not record 3", Rebuilt: true})
	report(141, AuditReport{State: "publishing", Differed: 1, Difference: "message 3 is not record 3", Rebuilt: true})
	want := []string{
		"13: {Node:n1 Cause:disk; full}",
		"60: {Node:n1 Seconds:50}",
		"73: {Node:n1 Cause:disk; full}",
		"75: {Node:n1 Seconds:5}",
		"133: {Node:n1 Cause:disk; full}",
		"135: {Node:n1 Seconds:5}",
		"140: {Node:n1 What:message 3 is not record 3 Rebuilt:true}",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

func TestErrorsOfTheStreamAreShort(t *testing.T) {
	if got := oneLine(strings.Repeat("ü\n", 400)); len(got) > maxAuditError+len("…") || strings.Contains(got, "\n") {
		t.Errorf("%q", got)
	}
}

// TestFailingPublisherShowsInTheStatusOfEveryNode and in the trail, while the node
// stays ready: it can decide logins.
func TestFailingPublisherShowsInTheStatusOfEveryNode(t *testing.T) {
	r := newCluster(t, 3)
	n := r.follower()
	n.ReportAudit(AuditReport{State: auditFailing, Published: 7, Error: "no space left on device"})
	for _, asked := range r.nodes {
		r.eventually("the status of "+asked.name, func() error {
			s, err := asked.Status(t.Context())
			if err != nil {
				return err
			}
			for _, m := range s.Nodes {
				if m.Name == n.name && m.AuditState == auditFailing && m.AuditPublished == 7 && m.AuditError == "no space left on device" &&
					strings.Contains(s.Summary, n.name+" does not publish the audit trail") {
					return nil
				}
			}
			return fmt.Errorf("%+v", s)
		})
	}
	if err := n.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
	n.audit.report(AuditReport{State: auditFailing, Error: "no space left on device"}, n.c.Now().Add(time.Minute))
	r.eventually("the event", func() error {
		for record, err := range n.Journal().Records(t.Context(), 1, false) {
			if err != nil {
				return err
			}
			if e, ok := record.Event.(events.PublishingFailed); ok && e.Node == n.name {
				return nil
			}
		}
		return errors.New("not recorded")
	})
}
