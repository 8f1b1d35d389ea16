package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// commandAt decides a command at a time and folds its events.
func commandAt(s *engine.State, at time.Time, c engine.Command) error {
	d, err := engine.Decide(s, events.Origin{Actor: "eve", Node: "n1"}, c, events.At(at))
	for _, draft := range d.Drafts {
		s.Apply(events.At(at), draft)
	}
	return err
}

func auditReader(name, key string, expires time.Time) engine.IssueAuditReader {
	return engine.IssueAuditReader{Reader: events.AuditReaderIssued{Name: name, Key: key, Expires: events.At(expires)}}
}

func auditReaderNames(s *engine.State) (names []string) {
	s.AuditReaders(func(r *engine.AuditReader) bool {
		names = append(names, r.Name)
		return true
	})
	return names
}

func TestAuditReaderIsKnownUntilRevokedOrReplaced(t *testing.T) {
	s, now := engine.NewState(), time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	if err := commandAt(s, now, auditReader("siem", "K1", now.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	want := engine.AuditReader{Name: "siem", Key: "K1", Issued: events.At(now), Expires: events.At(now.Add(time.Hour)), IssuedBy: "eve", Node: "n1"}
	if r := s.AuditReader("siem"); r == nil || *r != want {
		t.Fatalf("state holds %+v, want %+v", r, want)
	}
	if err := commandAt(s, now, engine.RevokeAuditReader{Name: "siem"}); err != nil || s.AuditReader("siem") != nil {
		t.Fatalf("revoked: %v, state holds %+v", err, s.AuditReader("siem"))
	}

	// Expired readers make room, and their names can be used again.
	for _, c := range []engine.IssueAuditReader{auditReader("old", "K2", now.Add(time.Hour)), auditReader("siem", "K3", now.Add(time.Hour))} {
		if err := commandAt(s, now, c); err != nil {
			t.Fatal(err)
		}
	}
	later := now.Add(time.Hour)
	if err := commandAt(s, later, auditReader("siem", "K4", later.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	if names := auditReaderNames(s); !slices.Equal(names, []string{"siem"}) || s.AuditReader("siem").Key != "K4" {
		t.Errorf("state holds %v, siem with key %s", names, s.AuditReader("siem").Key)
	}
}

func TestAuditReadersAreBounded(t *testing.T) {
	now := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	soon := now.Add(time.Hour)
	s := engine.NewState()
	for i := range 100 {
		if err := commandAt(s, now, auditReader(fmt.Sprintf("r%d", i), "K", soon)); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		command engine.Command
		code    string
	}{
		"one too many":        {auditReader("more", "K", soon), engine.Conflict},
		"a name twice":        {auditReader("r1", "K", soon), engine.Exists},
		"no name":             {auditReader("", "K", soon), engine.Invalid},
		"a name with spaces":  {auditReader("a b", "K", soon), engine.Invalid},
		"no key":              {auditReader("more", "", soon), engine.Invalid},
		"a long key":          {auditReader("more", string(make([]byte, 65)), soon), engine.Invalid},
		"expired":             {auditReader("more", "K", now), engine.Invalid},
		"no expiry":           {engine.IssueAuditReader{Reader: events.AuditReaderIssued{Name: "more", Key: "K"}}, engine.Invalid},
		"more than 5 years":   {auditReader("more", "K", now.Add(engine.MaxAuditReaderTTL+time.Hour)), engine.Invalid},
		"revoking an unknown": {engine.RevokeAuditReader{Name: "nobody"}, engine.NotFound},
	} {
		var refusal *engine.Refusal
		if err := commandAt(s, now, c.command); !errors.As(err, &refusal) || refusal.Code != c.code {
			t.Errorf("%s: %v, want code %s", name, err, c.code)
		}
	}
	if n := len(auditReaderNames(s)); n != 100 {
		t.Errorf("%d readers", n)
	}
	if err := commandAt(s, soon, auditReader("more", "K", soon.Add(time.Hour))); err != nil {
		t.Errorf("after the others expired: %v", err)
	}
}

// A reader that was revoked after the backup must not come back with it.
func TestRestoreRevokesAllAuditReaders(t *testing.T) {
	s, now := engine.NewState(), time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	if err := commandAt(s, now, auditReader("siem", "K", now.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	s.Apply(events.At(now), events.Draft{Event: events.ClusterRestored{Epoch: 1, Node: "n1"}})
	if names := auditReaderNames(s); len(names) != 0 {
		t.Errorf("readers after a restore: %v", names)
	}
}
