package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
	"keyfob/events"
)

func TestLoginAsksTheEngineAndSaysNoMoreThanTheOutcome(t *testing.T) {
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
			at := f.attempts[0]
			if at.User != "Ada" || at.Typed.Reveal() != "4711123456" || at.Conversation != "before" || !at.Arrived.Equal(noon) ||
				at.Origin.Client != "login" || at.Origin.SourceIP != "198.51.100.9" || at.Origin.Door != events.DoorAPI {
				t.Errorf("attempt %+v", at)
			}
			if at.Origin.Actor != "" || !strings.Contains(at.Origin.Note, "api token login") {
				t.Errorf("a login is taken for an administrator's command: %+v", at.Origin)
			}
		})
	}
}

func TestUndecidedLoginIsNoAnswer(t *testing.T) {
	f := newFake(t)
	f.refuse, f.outcome = fmt.Errorf("no leader: %w", engine.ErrUndecided), engine.Outcome{Verdict: engine.Accept}
	status, body := call(t, f.api(t), RoleLogin, post, "/authenticate", `{"user":"ada","passcode":"1"}`)
	if status != http.StatusServiceUnavailable || strings.Contains(body, "accept") {
		t.Errorf("status %d: %s", status, body)
	}
}

func TestRetryOfALoginIsToldFromAnotherLogin(t *testing.T) {
	f := newFake(t)
	a := f.api(t)
	for _, c := range []struct{ role, key string }{{RoleLogin, "k1"}, {RoleLogin, "k1"}, {RoleLogin, "k2"}, {RoleAdmin, "k1"}, {RoleLogin, ""}} {
		r := newRequest(t, c.role, post, "/authenticate", `{"user":"ada","passcode":"1"}`)
		if c.key != "" {
			r.Header.Set("Idempotency-Key", c.key)
		}
		send(a, r)
	}
	session := func(i int) string { return f.attempts[i].Session }
	if session(0) != session(1) || session(0) == "" {
		t.Errorf("one key made the sessions %q and %q", session(0), session(1))
	}
	if session(0) == session(2) || session(0) == session(3) {
		t.Error("another key, or another application's, made the same session")
	}
	if session(4) != "" {
		t.Errorf("without a key there is the session %q", session(4))
	}
	for i, at := range f.attempts {
		if at.Origin.Request.IsZero() {
			t.Errorf("attempt %d has no request number", i)
		}
	}
}
