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

func TestRetryOfALoginCarriesTheSameRequest(t *testing.T) {
	f := newFake(t)
	a := f.api(t)
	for _, key := range []string{"k1", "k1", "k2", "", ""} {
		r := newRequest(t, RoleLogin, post, "/authenticate", `{"user":"ada","passcode":"1"}`)
		if key != "" {
			r.Header.Set("Idempotency-Key", key)
		}
		send(a, r)
	}
	request := func(i int) events.Request { return f.attempts[i].Origin.Request }
	if request(0) != request(1) {
		t.Error("the same key made another request")
	}
	if request(1) == request(2) || request(3) == request(4) || request(3).IsZero() {
		t.Error("different attempts have the same request number")
	}
}
