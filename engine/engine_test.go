package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"keyfob/engine"
	"keyfob/events"
)

func given(t *testing.T, lines ...string) *world {
	t.Helper()
	w := newWorld(t)
	for _, line := range lines {
		if answer := w.do(strings.Fields(line)); strings.HasPrefix(answer, "refused") {
			t.Fatalf("%s: %s", line, answer)
		}
	}
	return w
}

func TestRetryOfARequestGetsTheSameAnswerAndSpendsNothing(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada pin=471108")
	a := engine.Attempt{User: "ada", Typed: engine.Secret("471108" + w.code("a1", 0)), Origin: w.origin("")}
	first, err := w.ask(a)
	if err != nil || first.Verdict != engine.Accept {
		t.Fatalf("first: %+v, %v", first, err)
	}
	w.now = w.now.Add(5 * time.Second)
	again, err := w.ask(a)
	if err != nil || len(w.news) != 0 {
		t.Fatalf("again: %v, with events %v", err, w.news)
	}
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the retry was answered otherwise (-first +again):\n%s", diff)
	}
	w.now = w.now.Add(2 * time.Minute)
	if late, _ := w.ask(a); late.Verdict != engine.Reject {
		t.Errorf("an answer is given out for ever: %+v", late)
	}
}

func TestRetryOfAChallengeGetsTheSameConversation(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada")
	a := engine.Attempt{User: "ada", Typed: engine.Secret(w.code("a1", 0)), Origin: w.origin("")}
	if out, err := w.ask(a); err != nil || out.Prompt.Step != events.StepNewPIN {
		t.Fatalf("%+v, %v", out, err)
	}
	first := *w.ticket
	if out, err := w.ask(a); err != nil || out.Prompt.Step != events.StepNewPIN || len(w.news) != 0 {
		t.Fatalf("%+v, %v, events %v", out, err, w.news)
	}
	if diff := cmp.Diff(first, *w.ticket); diff != "" {
		t.Errorf("another ticket (-first +again):\n%s", diff)
	}
}

func TestEvidenceOfOldSecretsIsStale(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada pin=471108")
	before := w.state.Copy()
	a := engine.Attempt{User: "ada", Typed: engine.Secret("471108" + w.code("a1", 0)), Origin: w.origin("")}
	for _, line := range []string{"admin clear-pin a1", "token a2 user=ada pin=806317"} {
		w.do(strings.Fields(line))
		checked, err := engine.Check(context.Background(), engine.CheckInput{State: before, Keys: w.keys, Attempt: a, Now: events.At(w.now), Sends: w.sends})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := engine.DecideLogin(w.state, a.Origin, checked.Command, events.At(w.now)); !errors.Is(err, engine.ErrStale) {
			t.Errorf("after %q: %v, want ErrStale", line, err)
		}
	}
}

// An emergency tokencode may end in digits that the lost token displays at some
// time within its window: about one in ten thousand does.
func TestEmergencyTokencodeThatEndsInATokencodeIsAccepted(t *testing.T) {
	for pin, token := range map[string]string{"": "token a1 user=ada style=none", "471108": "token a1 user=ada pin=471108"} {
		w := given(t, "user ada", token)
		emergency := "0123" + w.code("a1", 3)
		w.do(strings.Fields("admin lost a1 refuse 7 once " + emergency))
		if got := w.do(strings.Fields("login ada " + pin + emergency)); got != "accept" {
			t.Errorf("with PIN %q: %s", pin, got)
		}
	}
}

// Another seed under the same serial has the same revision numbers. A node that
// lags may have examined the old seed.
func TestEvidenceOfATokenOfTheSameSerialIsStale(t *testing.T) {
	for name, c := range map[string]struct {
		given []string
		typed string
	}{
		"a passcode":     {[]string{"token a1 user=ada pin=471108"}, "471108<code>"},
		"the next one":   {[]string{"token a1 user=ada pin=471108", "admin next-tokencode a1", "login ada 471108<code>"}, "<code+1>"},
		"the first PIN":  {[]string{"token a1 user=ada", "login ada <code>"}, "839142"},
		"one by presses": {[]string{"token a1 user=ada kind=hotp pin=471108"}, "471108<code>"},
		"a PIN alone":    {[]string{"token a1 user=ada kind=ondemand pin=471108"}, "471108"},
	} {
		w := given(t, append([]string{"user ada"}, c.given...)...)
		w.user = "ada"
		in := engine.CheckInput{State: w.state.Copy(), Keys: w.keys, Ticket: w.ticket, Now: events.At(w.now.Add(time.Second))}
		in.Attempt = engine.Attempt{User: "ada", Typed: engine.Secret(w.spell(c.typed)), Origin: w.origin("")}
		checked, err := engine.Check(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(time.Second)
		conversation := w.state.User("ada").Conversation
		w.do(strings.Fields("admin delete-token a1"))
		w.do(strings.Fields(c.given[0]))
		if conversation != nil { // at its worst: it was not ended
			w.apply([]events.Draft{{Origin: w.origin(""), Event: events.PasscodeChallenged{User: "ada", Conversation: *conversation}}})
		}
		if d, err := engine.DecideLogin(w.state, in.Attempt.Origin, checked.Command, in.Now); !errors.Is(err, engine.ErrStale) {
			t.Errorf("%s: %v, %v; want ErrStale", name, d.Answer.Verdict, err)
		}
	}
}

func TestSpellingsOfAUserShareOneCount(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada pin=471108")
	for i, name := range []string{"ada", "ADA", " Ada ", "ａｄａ", "aDa", "ＡＤＡ", "ada\t", "Ada", "adA", "ada"} {
		w.user, w.ticket = name, nil
		w.attempt([]string{fmt.Sprint(i)})
	}
	if u := w.state.User("ada"); u.Failures != 10 || u.Strangers.Until.IsZero() {
		t.Errorf("%d failures, locked until %d", u.Failures, u.Strangers.Until)
	}
}

func TestVariantsOfASpentPasscodeAreRefused(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada pin=471108", "policy lock.after=100 next_tokencode.after=100")
	code := w.code("a1", 0)
	wide := strings.Map(func(r rune) rune { return r - '0' + '０' }, code)
	if got := w.do(strings.Fields("login ada 471108" + code)); got != "accept" {
		t.Fatal(got)
	}
	for _, typed := range []string{
		"471108" + code, "471108 " + code, " 471108" + code + "\n", "471108-" + code, "471108" + wide,
		"471108" + code[:3] + " " + code[3:], "471108" + code + "\x00", "+471108" + code, "471108" + code + "\r\n", "0471108" + code,
	} {
		w.user, w.ticket = "ada", nil
		out, err := w.ask(engine.Attempt{User: "ada", Typed: engine.Secret(typed), Origin: w.origin("")})
		if err != nil || out.Verdict != engine.Reject {
			t.Errorf("%q: %v, %v", typed, out.Verdict, err)
		}
	}
}

func TestSpacesInAPasscodeDoNotMatter(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada pin=471108")
	code := w.code("a1", 0)
	out, err := w.ask(engine.Attempt{User: "ADA", Typed: engine.Secret(" 4711-08 " + code[:3] + " " + code[3:]), Origin: w.origin("")})
	if err != nil || out.Verdict != engine.Accept {
		t.Errorf("%v, %v", out, err)
	}
}

// TestIntervalsOfAcceptsOnlyGrow types random passcodes at random times and
// checks invariants.
func TestIntervalsOfAcceptsOnlyGrow(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := given(t, "user ada", "token a1 user=ada pin=471108", "token a2 user=ada kind=hotp pin=806317")
		start := w.state.Copy()
		var journal []events.Draft
		var stamps []events.Time
		used := map[string]int64{}
		for range rapid.IntRange(1, 40).Draw(r, "steps") {
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 90).Draw(r, "seconds")) * time.Second)
			serial := rapid.SampledFrom([]string{"a1", "a2"}).Draw(r, "token")
			pin := rapid.SampledFrom([]string{"471108", "806317", ""}).Draw(r, "pin")
			a := engine.Attempt{Typed: engine.Secret(pin + w.code(serial, rapid.Int64Range(-12, 12).Draw(r, "offset"))), Origin: w.origin("")}
			goOn := w.ticket != nil && rapid.Bool().Draw(r, "go on")
			if !goOn {
				a.User, w.ticket = "ada", nil
			}
			before := w.state.User("ada")
			out, err := w.ask(a)
			if err != nil {
				r.Fatal(err)
			}
			for _, d := range w.news {
				journal, stamps = append(journal, d), append(stamps, events.At(w.now))
				if e, ok := d.Event.(events.PasscodeAccepted); ok {
					if last, ok := used[e.Use.Serial]; ok && e.Use.Interval <= last {
						r.Fatalf("interval %d accepted after %d", e.Use.Interval, last)
					}
					used[e.Use.Serial] = e.Use.Interval
				}
			}
			after := w.state.User("ada")
			switch {
			case out.Verdict == engine.Accept && after.Failures != 0:
				r.Fatalf("accepted with %d failures left", after.Failures)
			case out.Verdict != engine.Reject && events.At(w.now) < before.Strangers.Until:
				r.Fatalf("%v while locked", out.Verdict)
			case after.Failures > before.Failures+1:
				r.Fatalf("one attempt counted %d times", after.Failures-before.Failures)
			}
		}
		for i, d := range journal {
			start.Apply(stamps[i], d)
		}
		if diff := cmp.Diff(w.state.User("ada"), start.User("ada")); diff != "" {
			r.Fatalf("the fold of the events is another state:\n%s", diff)
		}
		if diff := cmp.Diff(w.state.Token("a1"), start.Token("a1")); diff != "" {
			r.Fatalf("the fold of the events is another state:\n%s", diff)
		}
	})
}

func TestSecretsPrintAsStars(t *testing.T) {
	s := engine.Secret("471108")
	for _, printed := range []string{
		fmt.Sprint(s), fmt.Sprintf("%v %s %q %#v %x %d", s, s, s, s, s, s), fmt.Sprintf("%+v", engine.Attempt{Typed: s}),
		s.LogValue().String(),
	} {
		if strings.Contains(printed, "471108") || strings.Contains(printed, "343731") {
			t.Errorf("a secret printed as %s", printed)
		}
	}
}

func FuzzTyped(f *testing.F) {
	for _, s := range []string{"", "471108", "４７１１０８", " 1-2.3", "\x00", strings.Repeat("9", 500), "٤٧١١", "y"} {
		f.Add("ada", s)
	}
	f.Fuzz(func(t *testing.T, user, typed string) {
		w := given(t, "user ada", "token a1 user=ada pin=471108")
		out, err := w.ask(engine.Attempt{User: user, Typed: engine.Secret(typed), Origin: w.origin("")})
		if err != nil || out.Verdict != engine.Reject {
			t.Errorf("%q at %q: %v, %v", typed, user, out.Verdict, err)
		}
	})
}

// A node may have examined a tokencode under a wider policy. The policy of the
// leader applies.
func TestLeadersPolicyAppliesToEvidence(t *testing.T) {
	for name, c := range map[string]struct {
		given               []string
		typed, policy, want string
	}{
		"the next tokencode": {[]string{"policy next_tokencode.within=5", "admin next-tokencode a1", "login ada 471108<code>"}, "<code+3>", "next_tokencode.within=2", "reject next_tokencode_wrong"},
		"in a window":        {[]string{"login ada 471108<code-1>", "policy window.fob.medium=9"}, "471108<code+8>", "window.fob.medium=3", "reject outside_window"},
		"beyond all":         {[]string{"login ada 471108<code-1>", "policy window.fob.large=50 window.fob.medium=50"}, "471108<code+40>", "window.fob.large=10 window.fob.medium=3", "reject outside_window"},
	} {
		w := given(t, append([]string{"user ada", "token a1 user=ada pin=471108"}, c.given...)...)
		w.user = "ada"
		in := engine.CheckInput{State: w.state.Copy(), Keys: w.keys, Ticket: w.ticket, Now: events.At(w.now)}
		in.Attempt = engine.Attempt{User: "ada", Typed: engine.Secret(w.spell(c.typed)), Origin: w.origin("")}
		checked, err := engine.Check(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		w.do(strings.Fields("policy " + c.policy))
		d, err := engine.DecideLogin(w.state, in.Attempt.Origin, checked.Command, in.Now)
		if got := w.tellOutcome(engine.Outcome{Verdict: d.Answer.Verdict, Reason: d.Answer.Reason}); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
}

// A command that changes nothing leaves no event.
func TestCommandThatChangesNothingLeavesNoEvent(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada pin=471108", "login ada 000000000000")
	for _, tt := range []struct {
		command engine.Command
		first   int
	}{
		{engine.UnlockUser{User: "ada"}, 1}, // of a failure
		{engine.EnableUser{User: "ada"}, 0},
		{engine.DisableUser{User: "ada"}, 1},
		{engine.EnableUser{User: "ada"}, 1},
		{engine.EnableToken{Serial: "a1"}, 0},
		{engine.DisableToken{Serial: "a1"}, 1},
		{engine.EnableToken{Serial: "a1"}, 1},
	} {
		for i, want := range []int{tt.first, 0} {
			d, err := engine.Decide(w.state, w.origin("admin"), tt.command, events.At(w.now))
			if err != nil || len(d.Drafts) != want {
				t.Errorf("%T, time %d: %d events, want %d; %v", tt.command, i+1, len(d.Drafts), want, err)
			}
			w.apply(d.Drafts)
		}
	}
}
