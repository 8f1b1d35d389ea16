package engine_test

import (
	"strings"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// after is a copy of the world at a later time.
func (w *world) after(d time.Duration) *world {
	f := w.fork()
	f.now = f.now.Add(d)
	return f
}

// TestEndsAreExactToTheMillisecond checks each time span of the rules at its
// last millisecond and one later.
func TestEndsAreExactToTheMillisecond(t *testing.T) {
	const pin, expired = "challenge pin_expired, asks new_pin", "reject conversation_expired"
	for name, c := range map[string]struct {
		given  []string
		lasts  time.Duration
		line   string
		before string // what the line comes to a millisecond before the end
		at     string // and at it
	}{
		"a token that is not born yet": {
			[]string{"token a1 user=ada pin=471108 born=2026-11-24"}, 12 * time.Hour, "login ada 471108<code>", "reject token_expired", accepted,
		},
		"a token that expires": {
			[]string{"token a1 user=ada pin=471108 expires=2026-11-24"}, 12 * time.Hour, "login ada 471108<code>", accepted, "reject token_expired",
		},
		"an event token that is not born yet": {
			[]string{"token a1 user=ada kind=hotp pin=471108 born=2026-11-24"}, 12 * time.Hour, "login ada 471108<code>", "reject token_expired", accepted,
		},
		"an event token that expires": {
			[]string{"token a1 user=ada kind=hotp pin=471108 expires=2026-11-24"}, 12 * time.Hour, "login ada 471108<code>", accepted, "reject token_expired",
		},
		"one that expires, to be resynchronised": {
			[]string{"token a1 user=ada pin=471108 expires=2026-11-24"}, 12 * time.Hour, "resync ada 471108<code> <code+1>", "resynchronized", "reject token_expired",
		},
		"one that expires within a conversation": {
			[]string{
				"policy conversation.for=1h", "token a1 user=ada pin=471108 expires=2026-11-24", "admin next-tokencode a1",
				"at 23:59:00 login ada 471108<code>",
			}, time.Minute, "answer <code+1>", accepted, "reject token_expired",
		},
		"a step of a conversation": {
			[]string{"token a1 user=ada", "login ada <code>"}, 5 * time.Minute, "answer 839142 839142", "challenge, asks login", expired,
		},
		"a step, by policy": {
			[]string{"policy conversation.for=2m", "token a1 user=ada", "login ada <code>"}, 2 * time.Minute, "answer 839142 839142", "challenge, asks login", expired,
		},
		"the step after it": {
			[]string{"token a1 user=ada", "login ada <code>", "at 12:04:00 answer 839142 839142"}, 5 * time.Minute, "answer 839142<code>", accepted, expired,
		},
		"a tokencode that was sent": {
			[]string{"token a1 user=ada kind=ondemand pin=471108", "login ada 471108"}, 10 * time.Minute, "answer <sent>", accepted, expired,
		},
		"a tokencode that was sent, by policy": {
			[]string{"policy ondemand.for=70m", "token a1 user=ada kind=ondemand pin=471108", "login ada 471108"}, 70 * time.Minute, "answer <sent>", accepted, expired,
		},
		"the step after a tokencode that was sent": {
			[]string{"token a1 user=ada kind=ondemand pin=471108", "admin temporary-pin a1 593174", "login ada 593174", "answer <sent>"},
			5 * time.Minute, "answer 839142 839142", "challenge, asks login", expired,
		},
		"a PIN": {
			[]string{"policy pin.lifetime=2160h", "token a1 user=ada pin=471108"}, 90*24*time.Hour + time.Millisecond, "login ada 471108<code>", accepted, pin,
		},
		"a PIN of an event token": {
			[]string{"policy pin.lifetime=2160h", "token a1 user=ada kind=hotp pin=471108"}, 90*24*time.Hour + time.Millisecond, "login ada 471108<code>", accepted, pin,
		},
		"emergency tokencodes": {
			[]string{"token a1 user=ada pin=471108", "admin lost a1 refuse 7 once 1029384756"}, 7 * 24 * time.Hour, "login ada 4711081029384756", accepted, nowhere,
		},
		"a fixed emergency tokencode": {
			[]string{"token a1 user=ada pin=471108", "admin lost a1 refuse 7 fixed 1029384756"}, 7 * 24 * time.Hour, "login ada 4711081029384756", accepted, nowhere,
		},
		"a lost token, allowed after them": {
			[]string{"token a1 user=ada pin=471108", "admin lost a1 after 7 once 1029384756"}, 7 * 24 * time.Hour, "login ada 471108<code>", "reject token_lost", accepted,
		},
		"a lost token, refused even after them": {
			[]string{"token a1 user=ada pin=471108", "admin lost a1 refuse 7 once 1029384756"}, 7 * 24 * time.Hour, "login ada 471108<code>", "reject token_lost", "reject token_lost",
		},
		"a lost token, allowed": {
			[]string{"token a1 user=ada pin=471108", "admin lost a1 allow 7 once 1029384756"}, 7 * 24 * time.Hour, "login ada 471108<code>", accepted, accepted,
		},
		"a lock": {
			[]string{"token a1 user=ada pin=471108", "policy lock.after=1", "login ada 000000"}, 30 * time.Minute, "login ada 471108<code>", "reject user_locked", accepted,
		},
		"a wait": {
			[]string{"token a1 user=ada pin=471108", "policy next_tokencode.after=1", "login ada 1", "login ada 2"}, 500 * time.Millisecond, "login ada 471108<code>", "reject throttled", inMode,
		},
		"the longest wait": {
			append([]string{"token a1 user=ada pin=471108", "policy next_tokencode.after=1"}, strings.Split(strings.Repeat("login ada 0,", 8)+"login ada 0", ",")...),
			3 * time.Second, "login ada 471108<code>", "reject throttled", inMode,
		},
	} {
		w := given(t, append([]string{"user ada"}, c.given...)...)
		for ahead, want := range map[time.Duration]string{c.lasts - time.Millisecond: c.before, c.lasts: c.at} {
			if got := w.after(ahead).do(strings.Fields(c.line)); got != want {
				t.Errorf("%s, after %v: %s -> %q, want %q", name, ahead, c.line, got, want)
			}
		}
	}
}

// TestTokencodesAreSentAsOftenAsThePolicySays checks that six are sent in any
// hour, used or not, and that guesses, retries and refusals send none.
func TestTokencodesAreSentAsOftenAsThePolicySays(t *testing.T) {
	const sends, refuses = "challenge, asks next_tokencode", "reject throttled"
	w := given(t, "user ada", "user bob", "token a1 user=ada kind=ondemand pin=471108", "token a2 user=ada kind=ondemand pin=806317",
		"token b1 user=bob kind=ondemand pin=471108", "policy next_tokencode.after=100 lock.after=100 wait.step=0s")
	ask := func(w *world, pin, want string) {
		t.Helper()
		if got := w.do([]string{"login", "ada", pin}); got != want {
			t.Errorf("at %v: %q, want %q", w.now.Format(time.TimeOnly), got, want)
		}
	}
	for i := range 6 { // a minute apart, of both tokens, used or not
		ask(w, []string{"471108", "806317"}[i%2], sends)
		if i%3 == 0 {
			w.do(strings.Fields("answer <sent>"))
		}
		w.do(strings.Fields("login ada 471109"))
		w.now = w.now.Add(time.Minute)
	}
	failures := w.state.User("ada").Failures
	ask(w, "471108", refuses)
	ask(w, "806317", refuses)
	if now := w.state.User("ada").Failures; now != failures {
		t.Errorf("to ask too often counts as %d failures", now-failures)
	}
	if got := w.fork().do(strings.Fields("login bob 471108")); got != sends {
		t.Errorf("bob has asked for none: %q", got)
	}
	firstIsAnHourOld := 54 * time.Minute
	ask(w.after(firstIsAnHourOld-time.Millisecond), "471108", refuses)
	w = w.after(firstIsAnHourOld)
	ask(w, "471108", sends)
	ask(w, "806317", refuses)
	ask(w.after(time.Minute), "806317", sends)
	w.do(strings.Fields("policy ondemand.per_hour=7"))
	ask(w, "806317", sends)
}

// A tokencode that was sent is valid until it expires or another one is sent.
func TestOnlyTheTokencodeSentLastIsGood(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada kind=ondemand pin=471108")
	w.do(strings.Fields("login ada 471108"))
	before, ticket := w.sent, w.ticket
	w.now = w.now.Add(time.Minute)
	w.do(strings.Fields("login ada 471108"))
	late := w.fork()
	late.ticket = ticket
	if got := late.do([]string{"answer", before}); got != "reject conversation_expired" {
		t.Errorf("the one before, in its own conversation: %q", got)
	}
	if got := w.fork().do([]string{"answer", before}); !strings.HasPrefix(got, "reject") {
		t.Errorf("the one before, in the new conversation: %q", got)
	}
	if got := w.do(strings.Fields("answer <sent>")); got != accepted {
		t.Errorf("the last one: %q", got)
	}
}

// TestNodesWhoseClocksDifferDecideAsTheLeaderDoes checks the end of a token
// when the receiving node and the leader disagree on the time.
func TestNodesWhoseClocksDifferDecideAsTheLeaderDoes(t *testing.T) {
	for name, c := range map[string]struct {
		given      []string
		lasts      time.Duration
		typed      string
		before, at string
	}{
		"not born yet": {[]string{"token a1 user=ada pin=471108 born=2026-11-24"}, 12 * time.Hour, "471108<code>", "reject token_expired", accepted},
		"expires":      {[]string{"token a1 user=ada pin=471108 expires=2026-11-24"}, 12 * time.Hour, "471108<code>", accepted, "reject token_expired"},
		"in an emergency": {
			[]string{"token a1 user=ada pin=471108", "admin lost a1 refuse 7 once 1029384756"}, 7 * 24 * time.Hour, "4711081029384756", accepted, nowhere,
		},
	} {
		w := given(t, append([]string{"user ada"}, c.given...)...)
		for leader, want := range map[time.Duration]string{c.lasts - time.Millisecond: c.before, c.lasts: c.at} {
			for _, off := range []time.Duration{-time.Second, 0, time.Second} {
				f := w.after(leader)
				f.user = "ada"
				a := engine.Attempt{User: "ada", Typed: engine.Secret(f.spell(c.typed)), Origin: f.origin("")}
				in := engine.CheckInput{State: f.state, Keys: f.keys, Attempt: a, Now: events.At(f.now.Add(off))}
				checked, err := engine.Check(t.Context(), in)
				if err != nil {
					t.Fatal(err)
				}
				d, err := engine.DecideLogin(f.state, a.Origin, checked.Command, events.At(f.now))
				got := f.tellOutcome(engine.Outcome{Verdict: d.Answer.Verdict, Reason: d.Answer.Reason})
				if err != nil || got != want {
					t.Errorf("%s, the node's clock off by %v, %v: %q, %v; want %q", name, off, leader, got, err, want)
				}
			}
		}
	}
}

// TestClockMayMoveOnAfterADay checks that the drift may move again after a day,
// and not a millisecond before.
func TestClockMayMoveOnAfterADay(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada pin=471108", "policy window.fob.large=3")
	for _, line := range []string{"login ada 471108<code+1>", "login ada 471108<code+2>", "login ada 471108<code+3>", "login ada 471108<code+4>"} {
		if got := w.do(strings.Fields(line)); got != accepted {
			t.Fatalf("%s: %s", line, got)
		}
	}
	for later, want := range map[time.Duration]string{0: outside, 24*time.Hour - time.Millisecond: outside, 24 * time.Hour: accepted} {
		if got := w.after(later).do(strings.Fields("login ada 471108<code+5>")); got != want {
			t.Errorf("%v later: %s, want %s", later, got, want)
		}
	}
}

// An empty answer does not match a tokencode that was not sent.
func TestEmptyInputIsNotASentTokencode(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada kind=ondemand pin=471108")
	w.do(strings.Fields("login ada 471108"))
	w.ticket.PIN = ""
	for _, typed := range []string{"--", ""} {
		f := w.fork()
		if out, err := f.ask(engine.Attempt{Typed: engine.Secret(typed), Origin: f.origin("")}); err != nil || out.Verdict != engine.Reject {
			t.Errorf("%q: %v, %v", typed, out.Verdict, err)
		}
	}
}
