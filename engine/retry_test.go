package engine_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
	"keyfob/events"
)

// A repeated answer gets the same result at a node that lags and at one that
// has caught up: the same PIN is shown, the same ticket returned, and the same
// tokencode sent (T-28, F-35).
func TestRetriedAnswerShowsWhatWasDecided(t *testing.T) {
	cases := map[string]struct {
		given []string
		first string
		again engine.Attempt
	}{
		"a generated PIN": {
			given: []string{"user ada", "token a1 user=ada source=generated"},
			first: "login ada <code>",
			again: engine.Attempt{Choice: engine.ChoiceGenerated},
		},
		"a PIN typed once": {
			given: []string{"user ada", "token a1 user=ada"},
			first: "login ada <code>",
			again: engine.Attempt{Typed: "864209"},
		},
		"a PIN typed for a PINpad": {
			given: []string{"user ada", "token 123456789012 user=ada kind=securid style=pinpad form=pinpad"},
			first: "login ada <code>",
			again: engine.Attempt{Typed: "864209"},
		},
		"a tokencode on demand": {
			given: []string{"user ada", "token a1 user=ada kind=ondemand pin=864209"},
			again: engine.Attempt{User: "ada", Typed: "864209"},
		},
	}
	for name, c := range cases {
		for _, lagging := range []bool{true, false} {
			t.Run(name+map[bool]string{true: ", at a node that lags", false: ", at one that has caught up"}[lagging], func(t *testing.T) {
				w := given(t, c.given...)
				if c.first != "" {
					w.do(strings.Fields(c.first))
				}
				before, asked := w.state.Copy(), w.ticket
				a := c.again
				a.Origin = w.origin("")
				out, err := w.ask(a)
				if err != nil {
					t.Fatal(err)
				}
				ticket := w.ticket
				seen := w.state
				if lagging {
					seen = before
				}
				again, retried := retry(t, w, seen, asked, a)
				if diff := cmp.Diff(out, again); diff != "" || revealed(out) != revealed(again) {
					t.Errorf("answered otherwise, showing %q instead of %q (-first +again):\n%s", revealed(again), revealed(out), diff)
				}
				if diff := cmp.Diff(ticket, retried); diff != "" {
					t.Errorf("another ticket (-first +again):\n%s", diff)
				}
				if ticket.Delivery != nil && ticket.Delivery.Tokencode.Reveal() != retried.Delivery.Tokencode.Reveal() {
					t.Error("another tokencode is sent")
				}
			})
		}
	}
}

// slowKeys count the slow hashes.
type slowKeys struct {
	*keys
	hashes int
}

func (k *slowKeys) PINMatches(ctx context.Context, serial string, revision uint64, sealed []byte, pin engine.Secret) (bool, error) {
	k.hashes++
	return k.keys.PINMatches(ctx, serial, revision, sealed, pin)
}

func (k *slowKeys) SealPIN(ctx context.Context, serial string, revision uint64, pin engine.Secret) ([]byte, error) {
	k.hashes++
	return k.keys.SealPIN(ctx, serial, revision, pin)
}

// Only the first answer to a step that sets a PIN costs slow hashes. Otherwise one
// user could occupy a node by sending the same form again and again.
func TestRepeatedAnswerCostsNoSlowHash(t *testing.T) {
	for name, c := range map[string]struct {
		source string
		answer engine.Attempt
	}{
		"the same PIN twice": {"own", engine.Attempt{Choice: engine.ChoiceOwn, Typed: "864209", Again: "864209"}},
		"a PIN typed once":   {"own", engine.Attempt{Typed: "864209"}},
		"a generated PIN":    {"generated", engine.Attempt{Choice: engine.ChoiceGenerated}},
	} {
		t.Run(name, func(t *testing.T) {
			w := given(t, "user ada", "token a1 user=ada pin=135791 source="+c.source)
			for _, line := range []string{"admin new-pin a1", "login ada 135791<code>"} {
				w.do(strings.Fields(line))
			}
			asked, a := w.ticket, c.answer
			for i := range 4 {
				if i < 2 {
					a.Origin = w.origin("") // the second is another answer to the same step
				}
				k := &slowKeys{keys: w.keys}
				checked, err := engine.Check(t.Context(), engine.CheckInput{State: w.state, Keys: k, Attempt: a, Ticket: asked, Now: events.At(w.now)})
				if err != nil {
					t.Fatal(err)
				}
				if first := i == 0; (k.hashes > 0) != first {
					t.Errorf("answer %d: %d slow hashes", i+1, k.hashes)
				}
				if i > 0 {
					continue
				}
				w.ticket = asked
				if _, err := w.ask(a); err != nil || checked.Command.Evidence.PIN == nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func revealed(out engine.Outcome) string { return out.Prompt.PIN.Reveal() }

// retry asks again: checked on the state of the node, decided on that of the
// leader.
func retry(t *testing.T, w *world, seen *engine.State, ticket *engine.Ticket, a engine.Attempt) (engine.Outcome, *engine.Ticket) {
	t.Helper()
	now := events.At(w.now)
	c, err := engine.Check(t.Context(), engine.CheckInput{State: seen, Keys: w.keys, Attempt: a, Ticket: ticket, Now: now, Sends: w.sends})
	if err != nil {
		t.Fatal(err)
	}
	d, err := engine.DecideLogin(w.state, a.Origin, c.Command, now)
	if err != nil || len(d.Drafts) != 0 {
		t.Fatalf("decided again: %v, %d events", err, len(d.Drafts))
	}
	return engine.Finish(w.state, c, d, 0, now)
}

// The same request a minute later is a new one: no tokencode is sent twice.
func TestTokencodeOnDemandIsAnotherEachTime(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada kind=ondemand pin=864209")
	a := engine.Attempt{User: "ada", Typed: "864209", Origin: w.origin("")}
	sent := map[string]bool{}
	for range 5 {
		w.ticket = nil
		if out, err := w.ask(a); err != nil || out.Verdict != engine.Challenge {
			t.Fatalf("%v %v", out.Verdict, err)
		}
		if sent[w.sent] {
			t.Fatal("a tokencode was sent a second time")
		}
		sent[w.sent] = true
		w.now = w.now.Add(2 * 60e9)
	}
}

// The current rules apply to a confirmation, and an empty one confirms nothing.
func TestConfirmedPINIsFit(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada")
	for _, line := range []string{"login ada <code>", "answer 864209"} {
		w.do(strings.Fields(line))
	}
	w.do(strings.Fields("policy pin.min=8"))
	if got := w.do(strings.Fields("answer 864209")); !strings.Contains(got, "pin_length") {
		t.Errorf("a PIN that was too short by then: %s", got)
	}
	w = given(t, "user ada", "token a1 user=ada")
	for _, line := range []string{"login ada <code>", "answer 864209"} {
		w.do(strings.Fields(line))
	}
	w.ticket.PIN = ""
	if got := w.do(strings.Fields("answer --")); !strings.Contains(got, "pins_differ") && !strings.Contains(got, "pin_length") {
		t.Errorf("nothing confirmed nothing: %s", got)
	}
}
