package cluster

import (
	"strings"
	"sync"
	"time"

	"keyfob/events"
)

// AuditReport is what a node says about publishing the audit trail.
type AuditReport struct {
	_         struct{} `cbor:",toarray"`
	State     string   // publishing, waiting, failing, idle, off
	Published uint64   // the last record that the stream is known to hold
	Error     string   // why it fails

	Differed   uint64 `cbor:"-"` // times that the stream differed from the journal
	Difference string `cbor:"-"` // the last time
	Rebuilt    bool   `cbor:"-"` // the last time, the stream was written anew
}

const (
	auditFailing = "failing"

	// A failure is recorded after auditFailingFor, and no more often than every
	// auditRecordEvery: what fails and recovers all the time is one incident.
	auditFailingFor  = 3 * time.Second
	auditRecordEvery = time.Minute

	maxAuditError = 300 // bytes
)

// auditReports keeps the latest report of this node, and records what changes.
type auditReports struct {
	*self
	recorder *recorder

	mu       sync.Mutex // guards below
	latest   AuditReport
	since    time.Time // the failure began; zero while it does not fail
	failed   bool      // a failure was recorded that has not ended
	recorded time.Time // a failure was last recorded
}

// ReportAudit says what publishing the audit trail on this node has come to. It is
// called every second or so.
func (n *Node) ReportAudit(r AuditReport) { n.audit.report(r, n.c.Now()) }

func (a *auditReports) report(r AuditReport, now time.Time) {
	r.Error, r.Difference = oneLine(r.Error), oneLine(r.Difference)
	a.mu.Lock()
	defer a.mu.Unlock()
	differed := r.Differed > a.latest.Differed
	a.latest = r
	if differed {
		a.recorder.record(a.system(), events.StreamDiffered{Node: a.c.Node, What: r.Difference, Rebuilt: r.Rebuilt})
	}
	if r.State != auditFailing {
		if a.failed {
			a.log.Info("audit stream is published again")
			a.recorder.record(a.system(), events.PublishingResumed{Node: a.c.Node, Seconds: int64(now.Sub(a.since).Seconds())})
		}
		a.since, a.failed = time.Time{}, false
		return
	}
	if a.since.IsZero() {
		a.since = now
	}
	if a.failed || now.Sub(a.since) < auditFailingFor || !a.recorded.IsZero() && now.Sub(a.recorded) < auditRecordEvery {
		return
	}
	a.failed, a.recorded = true, now
	a.log.Warn("audit stream is not published", "err", r.Error)
	a.recorder.record(a.system(), events.PublishingFailed{Node: a.c.Node, Cause: r.Error})
}

func (a *auditReports) own() AuditReport {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.latest
}

// oneLine shortens the text of an error to one line.
func oneLine(text string) string {
	text = strings.ReplaceAll(text, "\n", "; ")
	if len(text) > maxAuditError {
		text = strings.ToValidUTF8(text[:maxAuditError], "") + "…"
	}
	return text
}
