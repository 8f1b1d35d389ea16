package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
	"keyfob/events"
)

func TestLoginAnswersTheOutcomeAndNothingElse(t *testing.T) {
	expires := noon.Add(time.Minute)
	for _, c := range []struct {
		name    string
		outcome engine.Outcome
		want    LoginAnswer
	}{
		{"accept", engine.Outcome{Verdict: engine.Accept, User: "ada", Reference: "R1"}, LoginAnswer{Result: "accept", User: "ada", Reference: "R1"}},
		{"reject", engine.Outcome{User: "ada", Reason: events.ReasonBadPIN, Reference: "R2"}, LoginAnswer{Result: "reject", Reference: "R2"}},
		{
			"challenge",
			engine.Outcome{
				Verdict: engine.Challenge, User: "ada", Reference: "R3", Conversation: "sealed",
				Prompt: engine.Prompt{Step: events.StepNewPIN, Rules: engine.PINRules{Min: 4, Max: 8}, Period: 30 * time.Second, Expires: expires},
			},
			LoginAnswer{
				Result: "challenge", Reference: "R3", Conversation: "sealed",
				Prompt: &Prompt{Step: "new_pin", PINMin: 4, PINMax: 8, PeriodSeconds: 30, Expires: &expires},
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			f.outcome = c.outcome
			status, body := call(t, f.api(t), RoleLogin, post, "/authenticate",
				`{"user":"Ada","passcode":"4711123456","conversation":"before","source_ip":"198.51.100.9"}`)
			if status != http.StatusOK {
				t.Fatalf("status %d: %s", status, body)
			}
			if diff := cmp.Diff(c.want, decode[LoginAnswer](t, body)); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			at := f.Attempts()[0]
			if at.User != "Ada" || at.Typed.Reveal() != "4711123456" || at.Conversation != "before" || !at.Arrived.Equal(noon) ||
				at.Origin.Client != "login" || at.Origin.SourceIP != "198.51.100.9" || at.Origin.Door != events.DoorAPI {
				t.Errorf("attempt %+v", at)
			}
			if at.Origin.Actor != "" || !strings.Contains(at.Origin.Note, "token:login") {
				t.Errorf("a login is taken for an administrator's command: %+v", at.Origin)
			}
		})
	}
}

// TestConversationBelongsToTheAPIToken: two applications may report the same client
// name (T-27).
func TestConversationBelongsToTheAPIToken(t *testing.T) {
	f := newFake(t)
	a := f.api(t)
	for _, role := range []string{RoleLogin, RoleAdmin, RoleLogin} {
		call(t, a, role, post, "/authenticate", `{"user":"ada","passcode":"1","client":"portal"}`)
	}
	holder := func(i int) string { return f.Attempts()[i].Holder }
	if holder(0) == "" || holder(0) == holder(1) || holder(0) != holder(2) {
		t.Errorf("held by %q, %q and %q", holder(0), holder(1), holder(2))
	}
	for i, at := range f.Attempts() {
		if at.Origin.Client != "portal" {
			t.Errorf("attempt %d: client %q", i, at.Origin.Client)
		}
	}
}

func TestUndecidedLoginIsAProblem(t *testing.T) {
	f := newFake(t)
	f.refuse, f.outcome = fmt.Errorf("no leader: %w", engine.ErrUndecided), engine.Outcome{Verdict: engine.Accept}
	status, body := call(t, f.api(t), RoleLogin, post, "/authenticate", `{"user":"ada","passcode":"1"}`)
	if status != http.StatusServiceUnavailable || strings.Contains(body, "accept") {
		t.Errorf("status %d: %s", status, body)
	}
}

func TestThrottledLoginSaysWhenToTryAgain(t *testing.T) {
	f := newFake(t)
	f.outcome = engine.Outcome{Reason: events.ReasonThrottled, Reference: "R1", Wait: 1500 * time.Millisecond}
	w := httptest.NewRecorder()
	f.api(t).ServeHTTP(w, newRequest(t, RoleLogin, post, "/authenticate", `{"user":"ada","passcode":"4711"}`))
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "2" || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("status %d, header %v", w.Code, w.Header())
	}
	if p := decode[huma.ErrorModel](t, w.Body.String()); p.Type != "urn:keyfob:problem:throttled" || strings.Contains(w.Body.String(), "ada") {
		t.Errorf("problem %s", w.Body)
	}
}

// The client name that an application reports is only recorded. Failures count
// against the API token, and against the user's address if it is valid.
func TestLoginCountsAgainstTheTokenAndTheAddress(t *testing.T) {
	f := newFake(t)
	a := f.api(t)
	for _, tt := range []struct{ says, want string }{
		{`,"source_ip":"198.51.100.9"`, "198.51.100.9"},
		{`,"source_ip":"2001:db8::7"`, "2001:db8::7"},
		{`,"source_ip":"192.0.2.7"`, "invalid IP"}, // the application's own
		{``, "invalid IP"},
	} {
		f.Reset()
		if status, body := call(t, a, RoleLogin, post, "/authenticate", `{"user":"ada","passcode":"1","client":"another name"`+tt.says+`}`); status != http.StatusOK {
			t.Fatalf("status %d: %s", status, body)
		}
		if at := f.Attempts()[0]; at.Client != RoleLogin || at.Source.String() != tt.want || at.Origin.Client != "another name" {
			t.Errorf("%s: client %q, source %v, want %s", tt.says, at.Client, at.Source, tt.want)
		}
	}
}

func TestRetryOfALoginIsRecognized(t *testing.T) {
	f := newFake(t)
	a := f.api(t)
	for _, c := range []struct{ role, key string }{{RoleLogin, "k1"}, {RoleLogin, "k1"}, {RoleLogin, "k2"}, {RoleAdmin, "k1"}, {RoleLogin, ""}} {
		r := newRequest(t, c.role, post, "/authenticate", `{"user":"ada","passcode":"1"}`)
		if c.key != "" {
			r.Header.Set("Idempotency-Key", c.key)
		}
		send(a, r)
	}
	key := func(i int) string { return f.Attempts()[i].Key }
	if key(0) != key(1) || key(0) == "" {
		t.Errorf("one key became %q and %q", key(0), key(1))
	}
	if key(0) == key(2) || key(0) == key(3) {
		t.Error("another key, or another application's, became the same one")
	}
	if key(4) != "" {
		t.Errorf("without a key there is %q", key(4))
	}
	for i, at := range f.Attempts() {
		if at.Origin.Request.IsZero() {
			t.Errorf("attempt %d has no request number", i)
		}
	}
}
