package engine_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"keyfob/engine"
)

// question is a step of a conversation: how it is reached, and a right answer
// to it.
type question struct {
	given  []string
	asks   string // what the last line is answered
	answer string
	comes  string // what a right answer comes to when nothing was done meanwhile
}

var questions = map[string]question{
	"next tokencode": {
		given: []string{"admin next-tokencode a1", "login ada 471108<code>"},
		asks:  "challenge too_many_failures, asks next_tokencode", answer: "<code+1>", comes: "accept",
	},
	"tokencode on demand": {
		given: []string{"admin delete-token a1", "token a1 user=ada kind=ondemand pin=471108", "login ada 471108"},
		asks:  "challenge, asks next_tokencode", answer: "<sent>", comes: "accept",
	},
	"new PIN": {
		given: []string{"admin new-pin a1", "login ada 471108<code>"},
		asks:  "challenge pin_change_required, asks new_pin", answer: "839142 839142", comes: "challenge, asks login",
	},
	"new PIN once more": {
		given: []string{"admin new-pin a1", "login ada 471108<code>", "answer 839142"},
		asks:  "challenge, asks confirm_pin", answer: "839142", comes: "challenge, asks login",
	},
	"choice of a PIN": {
		given: []string{"policy pin.source=either", "admin new-pin a1", "login ada 471108<code>"},
		asks:  "challenge pin_change_required, asks choose_pin", answer: "choice=generated", comes: "challenge, asks login shows a PIN",
	},
	"generated PIN": {
		given: []string{"policy pin.source=generated", "admin new-pin a1", "login ada 471108<code>"},
		asks:  "challenge pin_change_required, asks generate_pin", answer: "y", comes: "challenge, asks login shows a PIN",
	},
	"login with the new PIN": {
		given: []string{"admin new-pin a1", "login ada 471108<code>", "answer 839142 839142"},
		asks:  "challenge, asks login", answer: "839142<code+1>", comes: "accept",
	},
}

// at returns a world in which the question was just asked.
func (q question) at(t *testing.T) *world {
	t.Helper()
	w := given(t, "user ada", "user bob", "token a1 user=ada pin=471108", "token a2 user=ada pin=728406", "token a3")
	last := ""
	for _, line := range q.given {
		last = w.do(strings.Fields(line))
	}
	if last != q.asks {
		t.Fatalf("%v come to %q, want %q", q.given, last, q.asks)
	}
	return w
}

// TestConversationEndsWithAChangeByAnAdministrator: rules.md, "New PIN mode"
// and "Administrators' commands". After a change to the token or its user, the
// answer to an earlier question is refused.
func TestConversationEndsWithAChangeByAnAdministrator(t *testing.T) {
	remedies := map[string][]string{
		"the PIN is cleared":              {"admin clear-pin a1"},
		"a new PIN is required":           {"admin new-pin a1"},
		"a temporary PIN is set":          {"admin temporary-pin a1 593174"},
		"the token is lost":               {"admin lost a1 refuse 7 once 1029384756"},
		"lost, but may be used":           {"admin lost a1 allow 7 once 1029384756"},
		"lost and found":                  {"admin lost a1 refuse 7 once 1029384756", "admin found a1"},
		"the token is disabled":           {"admin disable-token a1"},
		"disabled and enabled":            {"admin disable-token a1", "admin enable-token a1"},
		"the token is unassigned":         {"admin unassign a1"},
		"given to somebody else":          {"admin unassign a1", "admin assign a1 bob"},
		"given back":                      {"admin unassign a1", "admin assign a1 ada"},
		"the token is deleted":            {"admin delete-token a1"},
		"deleted and imported anew":       {"admin delete-token a1", "token a1 user=ada pin=471108"},
		"another has taken its place":     {"admin replace a1 a3 471108", "login ada 471108<code@a3>"},
		"the user is disabled":            {"admin disable ada"},
		"the user was disabled":           {"admin disable ada", "admin enable ada"},
		"the user is deleted":             {"admin delete ada"},
		"the user is deleted and added":   {"admin delete ada", "user ada", "token a4 user=ada pin=471108"},
		"the user is locked":              {"policy lock.after=1", "login ada 000000"},
		"the user was locked":             {"policy lock.after=1", "login ada 000000", "admin unlock ada"},
		"the cluster was restored":        {"backup", "restore"},
		"he has logged in elsewhere":      {"login ada 728406<code@a2>"},
		"he has begun anew":               {"admin next-tokencode a2", "login ada 728406<code@a2>"},
		"he has begun anew elsewhere too": {"admin next-tokencode a2", "login ada 728406<code@a2> client=vpn"},
	}
	for step, q := range questions {
		t.Run(step, func(t *testing.T) {
			asked := q.at(t)
			if got := asked.fork().do(strings.Fields("answer " + q.answer)); got != q.comes {
				t.Fatalf("without a remedy %q comes to %q, want %q", q.answer, got, q.comes)
			}
			answer := []string{"answer"}
			for _, word := range strings.Fields(q.answer) {
				asked.user = "ada"
				answer = append(answer, asked.spell(word)) // while the token is still hers
			}
			for _, meanwhile := range slices.Sorted(maps.Keys(remedies)) {
				w := asked.fork()
				ticket := w.ticket
				for _, line := range remedies[meanwhile] {
					if got := w.do(strings.Fields(line)); strings.HasPrefix(got, "refused") {
						t.Fatalf("%s: %s: %s", meanwhile, line, got)
					}
				}
				pins := pinsOf(w)
				w.ticket = ticket
				if got := w.do(answer); !strings.HasPrefix(got, "reject") || strings.Contains(got, "asks") {
					t.Errorf("%s, and the answer comes to %q", meanwhile, got)
				}
				if now := pinsOf(w); !maps.Equal(pins, now) {
					t.Errorf("%s, and the answer set a PIN: %v, before %v", meanwhile, now, pins)
				}
			}
		})
	}
}

// pinsOf returns the PINs of the tokens.
func pinsOf(w *world) map[string]string {
	pins := map[string]string{}
	w.state.Tokens(func(t *engine.Token) bool {
		pins[t.Serial] = string(t.PIN)
		return true
	})
	return pins
}

// TestConversationSurvivesUnrelatedCommands checks that commands on other
// tokens, and commands that change nothing for this one, interrupt nobody.
func TestConversationSurvivesUnrelatedCommands(t *testing.T) {
	for step, q := range questions {
		asked := q.at(t)
		for _, meanwhile := range [][]string{
			{"admin clear-pin a2"},
			{"admin new-pin a2"},
			{"admin disable-token a2"},
			{"admin lost a2 refuse 7 once 1029384756"},
			{"admin delete-token a2"},
			{"admin replace a2 a3 728406"},
			{"admin unlock ada"},
			{"admin enable ada"},
			{"admin enable-token a1"},
			{"admin disable bob"},
			{"user cid"},
			{"login ada 000000"},
			{"login ada 471108<code>"}, // a stranger, who may be one who saw her type
		} {
			w := asked.fork()
			ticket, sent := w.ticket, w.sent
			for _, line := range meanwhile {
				w.do(strings.Fields(line))
			}
			w.ticket, w.sent = ticket, sent
			if got := w.do(strings.Fields("answer " + q.answer)); got != q.comes {
				t.Errorf("%s: after %q %q comes to %q, want %q", step, meanwhile, q.answer, got, q.comes)
			}
		}
	}
}

// TestConversationIsBounded checks that a conversation ends even if no answer
// counts as a failure.
func TestConversationIsBounded(t *testing.T) {
	const again = "reject tokencode_reused, asks login (tokencode_reused)"
	q := questions["login with the new PIN"]
	w := q.at(t)
	turns := int(w.ticket.Turn)
	for ; turns < 24; turns++ {
		if got := w.do(strings.Fields("answer 839142<code>")); got != again {
			t.Fatalf("turn %d: %q", turns, got)
		}
	}
	if got := w.fork().do(strings.Fields("answer 839142<code>")); got != "reject tokencode_reused" {
		t.Errorf("the last turn: %q", got)
	}
	if got := w.fork().do(strings.Fields("answer 839142<code+3>")); got != "reject conversation_expired" {
		t.Errorf("one that would ask for the next tokencode: %q", got)
	}
	if got := w.do(strings.Fields("answer " + q.answer)); got != q.comes {
		t.Errorf("the right answer, at the last turn: %q", got)
	}
}

// TestAnswerIsGoodForItsTurn checks that an answer is valid for one turn, even
// if the question stays the same.
func TestAnswerIsGoodForItsTurn(t *testing.T) {
	for step, first := range map[string]string{
		"next tokencode": "<code>", "login with the new PIN": "839142<code>", "new PIN": "111111 111111", "choice of a PIN": "perhaps", "generated PIN": "n",
	} {
		q := questions[step]
		w := q.at(t)
		before := w.ticket
		if got := w.do(strings.Fields("answer " + first)); !strings.Contains(got, "asks "+string(before.Step)) {
			t.Fatalf("%s: %q", step, got)
		}
		old := w.fork()
		old.ticket = before
		if got := old.do(strings.Fields("answer " + q.answer)); got != "reject conversation_expired" {
			t.Errorf("%s, at the turn before: %q", step, got)
		}
		if got := w.do(strings.Fields("answer " + q.answer)); got != q.comes {
			t.Errorf("%s, at its turn: %q", step, got)
		}
	}
}
