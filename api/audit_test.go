package api

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
	"keyfob/events"
)

// refusals adds refusals to the journal, one per minute from noon on.
func (f *fake) refusals(reasons ...events.Reason) {
	var chain events.Chain
	for i, reason := range reasons {
		f.records = append(f.records, chain.Next(uint64(i+1), events.At(noon.Add(time.Duration(i)*time.Minute)), events.Draft{
			Origin: events.Origin{Node: "n1", Door: events.DoorRADIUS, Client: "vpn", Reference: "REF"},
			Event:  events.PasscodeRejected{User: "ada", Serial: "0001", Reason: reason},
		}))
	}
}

func TestAuditTrailIsReadFromTheRequestedPlace(t *testing.T) {
	f := newFake(t)
	f.refusals(events.ReasonBadPIN, events.ReasonBadTokencode, events.ReasonUserLocked)
	a := f.api(t)
	for query, want := range map[string]string{
		"":                             "1 2 3",
		"?from=2":                      "2 3",
		"?limit=1":                     "1",
		"?since=2026-11-02T12:00:30Z":  "2 3",
		"?since=2026-11-02T12:01:00Z":  "2 3",
		"?since=2026-11-02T13:00:00Z":  "",
		"?from=3&limit=9&follow=false": "3",
	} {
		status, body := call(t, a, RoleAuditor, get, "/audit"+query, "")
		if status != http.StatusOK {
			t.Fatalf("%s: status %d: %s", query, status, body)
		}
		var ids []string
		for line := range strings.Lines(body) {
			ids = append(ids, decode[struct{ ID string }](t, line).ID)
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%q: events %q, want %q", query, got, want)
		}
	}
}

// sequences returns the sequence numbers of a stream of events.
func sequences(t *testing.T, body string) string {
	t.Helper()
	var ids []string
	for line := range strings.Lines(body) {
		ids = append(ids, decode[struct{ ID string }](t, line).ID)
	}
	return strings.Join(ids, " ")
}

func TestAuditTrailIsFiltered(t *testing.T) {
	f := newFake(t)
	var chain events.Chain
	for i, d := range []events.Draft{
		{Event: events.PasscodeAccepted{User: "ada", Use: events.Use{Serial: "0001"}}},
		{Event: events.PasscodeRejected{User: "bob", Serial: "0002", Reason: events.ReasonBadPIN}},
		{Event: events.PasscodeRejected{User: "ada", Serial: "0001", Reason: events.ReasonBadPIN}},
		{Event: events.UserUnlocked{User: "ada"}, Origin: events.Origin{Actor: "token:desk"}},
	} {
		f.records = append(f.records, chain.Next(uint64(i+1), events.At(noon.Add(time.Duration(i)*time.Minute)), d))
	}
	a := f.api(t)
	for path, want := range map[string]string{
		"/audit?user=Ada":                             "1 3 4",
		"/audit?user=ada&outcome=reject":              "3",
		"/audit?outcome=reject":                       "2 3",
		"/audit?serial=0002":                          "2",
		"/audit?actor=token:desk":                     "4",
		"/audit?until=2026-11-02T12:02:00Z":           "1 2",
		"/audit?user=ada&limit=2":                     "1 3",
		"/users/Ada/audit":                            "1 3 4",
		"/users/ada/audit?since=2026-11-02T12:01:00Z": "3 4",
		"/users/ada/audit?until=2026-11-02T12:01:00Z": "1",
		"/users/eve/audit":                            "",
	} {
		status, body := call(t, a, RoleAuditor, get, path, "")
		if got := sequences(t, body); status != http.StatusOK || got != want {
			t.Errorf("%s: status %d, events %q, want %q", path, status, got, want)
		}
	}
}

// TestHelpDeskReadsTheEventsOfAUserOnly, not the whole trail.
func TestHelpDeskReadsTheEventsOfAUserOnly(t *testing.T) {
	f := newFake(t)
	f.refusals(events.ReasonBadPIN)
	a := f.api(t)
	for _, role := range []string{RoleHelpdesk, RoleEnrolment} {
		if status, body := call(t, a, role, get, "/users/ada/audit", ""); status != http.StatusOK || sequences(t, body) != "1" {
			t.Errorf("%s, of a user: status %d, %s", role, status, body)
		}
		if status, _ := call(t, a, role, get, "/audit?user=ada", ""); status != http.StatusForbidden {
			t.Errorf("%s, of the trail: status %d", role, status)
		}
		if status, _ := call(t, a, role, get, "/users/ada/audit?user=bob", ""); status != http.StatusUnprocessableEntity {
			t.Errorf("%s, of another user: status %d", role, status)
		}
	}
}

// onWrite calls then after the first line was written.
type onWrite struct {
	*httptest.ResponseRecorder
	then func()
}

func (w *onWrite) Write(b []byte) (int, error) {
	n, err := w.ResponseRecorder.Write(b)
	w.then()
	return n, err
}

func (w *onWrite) Unwrap() http.ResponseWriter { return w.ResponseRecorder }

// TestOpenAuditStreamEndsWithTheAPIToken: who follows the trail reads nothing
// that happens after the API token has ended.
func TestOpenAuditStreamEndsWithTheAPIToken(t *testing.T) {
	for name, end := range map[string]func(*fake, engine.APIToken){
		"revoked": func(f *fake, own engine.APIToken) {
			own.Digest[0]++
			f.put(t, engine.TableAPITokens, own)
		},
		"issued again for another role": func(f *fake, own engine.APIToken) {
			own.Role = RoleLogin
			f.put(t, engine.TableAPITokens, own)
		},
		"expired": func(f *fake, own engine.APIToken) {
			own.Expires = events.At(noon)
			f.put(t, engine.TableAPITokens, own)
		},
	} {
		for role, path := range map[string]string{RoleAuditor: "/audit?follow=true", RoleHelpdesk: "/users/ada/audit?follow=true"} {
			t.Run(name+", "+role, func(t *testing.T) {
				f := newFake(t)
				f.refusals(events.ReasonBadPIN, events.ReasonBadTokencode, events.ReasonUserLocked)
				a := f.api(t)
				w := &onWrite{httptest.NewRecorder(), func() { end(f, *tokenWith(f.state, sha256.Sum256([]byte(bearer(role))))) }}
				defer func() {
					if cut, _ := recover().(error); !errors.Is(cut, http.ErrAbortHandler) {
						t.Errorf("the connection was not cut: %v", cut)
					}
					if got := sequences(t, w.Body.String()); got != "1" {
						t.Errorf("events %q, want that before the end only", got)
					}
					if a.streams.all != 0 || len(a.streams.of) != 0 {
						t.Error("the reader kept its place")
					}
				}()
				a.ServeHTTP(w, newRequest(t, role, get, path, ""))
			})
		}
	}
}

func TestStateShowsTheLastRefusalsNewestFirst(t *testing.T) {
	f := newFake(t)
	f.refusals(events.ReasonBadPIN, events.ReasonBadTokencode, events.ReasonBadPIN, events.ReasonBadPIN, events.ReasonBadPIN, events.ReasonBadPIN,
		events.ReasonBadPIN, events.ReasonBadPIN, events.ReasonBadPIN, events.ReasonBadPIN, events.ReasonBadTokencode, events.ReasonUserLocked)
	status, body := call(t, f.api(t), RoleHelpdesk, get, "/users/Ada/state", "")
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	s := decode[UserState](t, body)
	var got []uint64
	for _, r := range s.Refusals {
		got = append(got, r.Sequence)
	}
	if diff := cmp.Diff([]uint64{12, 11, 10, 9, 8, 7, 6, 5, 4, 3}, got); diff != "" {
		t.Errorf("refusals (-want +got):\n%s", diff)
	}
	if s.Refusals[0].Reason != "user_locked" || s.Sequence != 12 || s.User.Failures != 2 || s.Tokens[0].Mode != ModeNewPIN {
		t.Errorf("state %+v", s)
	}
}

func TestPastStateIsFoldedFromTheJournal(t *testing.T) {
	f := newFake(t)
	var chain events.Chain
	for i, e := range []events.Event{
		events.UserAdded{User: "bob"},
		events.UserDisabled{User: "bob"},
		events.UserEnabled{User: "bob"},
	} {
		f.records = append(f.records, chain.Next(uint64(i+1), events.At(noon.Add(time.Duration(i)*time.Minute)), events.Draft{Event: e}))
	}
	a := f.api(t)
	for at, disabled := range map[string]bool{"1": false, "2": true, "2026-11-02T12:01:59Z": true, "3": false} {
		status, body := call(t, a, RoleAuditor, get, "/users/bob/state?at="+at, "")
		if status != http.StatusOK {
			t.Fatalf("at %s: status %d: %s", at, status, body)
		}
		if s := decode[UserState](t, body); s.User.Disabled != disabled {
			t.Errorf("at %s: disabled %v", at, s.User.Disabled)
		}
	}
	for _, tt := range []struct {
		at, says string
		status   int
	}{
		{"2026-11-02T11:59:00Z", "user \\\"bob\\\" did not exist at that time, after event 0", http.StatusNotFound},
		{"0", "event 0 not found; the last one on this node is 3", http.StatusUnprocessableEntity},
		{"4", "event 4 not found; the last one on this node is 3", http.StatusUnprocessableEntity},
		{"noon", "is neither", http.StatusUnprocessableEntity},
	} {
		if status, body := call(t, a, RoleAuditor, get, "/users/bob/state?at="+tt.at, ""); status != tt.status || !strings.Contains(body, tt.says) {
			t.Errorf("at %s: status %d: %s", tt.at, status, body)
		}
	}
	f.records = f.records[1:]
	if status, _ := call(t, a, RoleAuditor, get, "/users/bob/state?at=2", ""); status != http.StatusConflict {
		t.Errorf("of a journal without its beginning: status %d, want 409", status)
	}
}

// TestOneCallerLeavesReadersForOthers: an API token of the help desk must not keep
// an auditor from reading.
func TestOneCallerLeavesReadersForOthers(t *testing.T) {
	f := newFake(t)
	a := f.api(t)
	for range maxStreamsEach {
		if _, err := a.streams.enter(caller{name: engine.TokenActor(RoleHelpdesk)}); err != nil {
			t.Fatal(err)
		}
	}
	if status, body := call(t, a, RoleHelpdesk, get, "/users/ada/audit", ""); status != http.StatusServiceUnavailable {
		t.Errorf("one more: status %d: %s", status, body)
	}
	if status, body := call(t, a, RoleAuditor, get, "/audit", ""); status != http.StatusOK {
		t.Errorf("another caller: status %d: %s", status, body)
	}
}

func TestReadersOfTheJournalAreBounded(t *testing.T) {
	f := newFake(t)
	f.refusals(events.ReasonBadPIN)
	a := f.api(t)
	var last func()
	for i := range maxStreams {
		leave, err := a.streams.enter(caller{name: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		last = leave
	}
	for _, path := range []string{"/audit", "/users/ada/state"} {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, newRequest(t, RoleAdmin, get, path, ""))
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: status %d, Retry-After %q", path, w.Code, w.Header().Get("Retry-After"))
		}
	}
	last()
	for range 3 { // each gives its place back
		if status, body := call(t, a, RoleAdmin, get, "/users/ada/state", ""); status != http.StatusOK {
			t.Errorf("status %d: %s", status, body)
		}
		if status, body := call(t, a, RoleAdmin, get, "/audit", ""); status != http.StatusOK {
			t.Errorf("status %d: %s", status, body)
		}
	}
}
