package engine_test

import (
	"strings"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

func TestEverySettingReadsWhatItWrote(t *testing.T) {
	for _, s := range engine.Settings() {
		w := newWorld(t)
		if answer := w.command(engine.SetPolicy{Settings: map[string]string{s.Key: s.Read(engine.DefaultPolicy())}}); answer != "" {
			t.Errorf("%s: its own default %q is refused: %s", s.Key, s.Read(engine.DefaultPolicy()), answer)
		}
		for _, bad := range []string{"", "nonsense", "-1", "999999999999", "99999h"} {
			if answer := w.command(engine.SetPolicy{Settings: map[string]string{s.Key: bad}}); !strings.HasPrefix(answer, "refused") {
				t.Errorf("%s=%q is taken", s.Key, bad)
			}
		}
		if s.Doc == "" || s.Unit == "" || s.Bounds == "" {
			t.Errorf("%s does not say what it is", s.Key)
		}
	}
}

func TestProfilesAreWithinBounds(t *testing.T) {
	for _, name := range engine.Profiles() {
		w := newWorld(t)
		if answer := w.command(engine.SetPolicy{Settings: map[string]string{"profile": name}}); answer != "" {
			t.Errorf("profile %s: %s", name, answer)
		}
		for _, b := range engine.GuessBudgets(w.state.Policy) {
			if b.Day > engine.MaxGuess {
				t.Errorf("profile %s: guessing at a %s token gets in with %.2g a day: %s", name, b.Form, b.Day, b.Arithmetic)
			}
		}
	}
}

func TestContradictionsChangeNothing(t *testing.T) {
	w := newWorld(t)
	before := w.state.Policy
	for _, settings := range []map[string]string{
		{"emergency.for": "48h", "emergency.most": "24h"}, {"pin.min": "9", "pin.max": "8"}, {"window.fob.small": "5"}, {"lock.stop_after": "5"}, {"pin.min": "7", "no.such": "1"}, {"profile": "lax"},
	} {
		if answer := w.command(engine.SetPolicy{Settings: settings}); !strings.HasPrefix(answer, "refused") {
			t.Errorf("%v is taken", settings)
		}
	}
	if before.PINMin != w.state.Policy.PINMin || before.Windows["fob"] != w.state.Policy.Windows["fob"] {
		t.Error("a refused change changed something")
	}
}

func TestGuessBudgetIsTheArithmeticOfTheRules(t *testing.T) {
	// 3 direct guesses at 3 codes of a million; the first lock after 10, then
	// 30 min, 1 h, 2 h, 4 h, 8 h, 16 h: six times ten tries in a day, twice over.
	for _, b := range engine.GuessBudgets(engine.DefaultPolicy()) {
		if b.Form != engine.FormFob {
			continue
		}
		want := 3*3/1e6 + (2*60-3)*21/1e6*2/1e6
		if b.Tries != 120 || b.Day < want*0.999 || b.Day > want*1.001 {
			t.Errorf("%d tries, %g a day, want 120 and %g: %s", b.Tries, b.Day, want, b.Arithmetic)
		}
	}
}

func TestGuessBudgetKnowsWhatLocksAndOldFailuresLeave(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*engine.Policy)
		tries  int // of both budgets
	}{
		{"locks that do not grow", func(p *engine.Policy) { p.LockGrowth = 1 }, 2 * 100}, // the hard stop comes first
		{"and a hard stop that is far", func(p *engine.Policy) { p.LockGrowth, p.StopAfter = 1, 1000 }, 2 * 480},
		{"a lock for good", func(p *engine.Policy) { p.LockFor = 0 }, 2 * 10},
		{"RSA's five in 24 hours", func(p *engine.Policy) { p.LockFor, p.LockAfter, p.LockWithin = 0, 5, 24*time.Hour }, 2 * 5},
		// Nine every six hours, and ten in the last of them, which lock.
		{"failures that are soon forgotten", func(p *engine.Policy) { p.LockFor, p.LockWithin = 0, 6*time.Hour }, 2 * (3*9 + 10)},
		{"and at once", func(p *engine.Policy) { p.LockFor, p.LockWithin = 0, time.Minute }, 2 * 100},
	} {
		p := engine.DefaultPolicy()
		tt.change(&p)
		if b := engine.GuessBudgets(p)[0]; b.Tries != tt.tries {
			t.Errorf("%s: %d tries a day, want %d", tt.name, b.Tries, tt.tries)
		}
	}
	before := engine.DefaultPolicy()
	after := before
	after.NextTokencodeWithin, after.TokensPerUser = 4, 6
	a, b := engine.GuessBudgets(before)[0], engine.GuessBudgets(after)[0]
	if b.Day <= a.Day || b.DayNoPIN/b.Day < 1.99*a.DayNoPIN/a.Day || !strings.Contains(b.Arithmetic, " x 4/1e+06") {
		t.Errorf("before %+v, after %+v", a, b)
	}
}

func TestPreviewCountsWhoMustChangeThePIN(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada pin=471108", "user bob", "token b1 user=bob", "policy pin.min=7", "token b2 user=bob pin=4711081")
	for _, tt := range []struct {
		settings map[string]string
		want     int
	}{
		{map[string]string{"pin.min": "7"}, 0},        // as it is
		{map[string]string{"pin.min": "8"}, 2},        // though a1 must change it already, if it is too short
		{map[string]string{"pin.min": "4"}, 0},        // looser
		{map[string]string{"lock.after": "9"}, 0},     // nothing to do with PINs
		{map[string]string{"pin.lifetime": "24h"}, 0}, // not that old
	} {
		preview, err := engine.PreviewPolicy(w.state, tt.settings, events.At(w.now))
		if err != nil || preview.NewPIN != tt.want {
			t.Errorf("%v: %d new PINs, want %d; %v", tt.settings, preview.NewPIN, tt.want, err)
		}
	}
	preview, err := engine.PreviewPolicy(w.state, map[string]string{"pin.lifetime": "24h"}, events.At(w.now.AddDate(0, 0, 2)))
	if err != nil || preview.NewPIN != 2 {
		t.Errorf("two days later: %d new PINs, want 2; %v", preview.NewPIN, err)
	}
	preview, err = engine.PreviewPolicy(w.state, map[string]string{"window.app.small": "20", "window.app.medium": "20"}, events.At(w.now))
	if err != nil || len(preview.Risky()) != 1 || len(preview.Changes) != 2 {
		t.Errorf("%+v, %v", preview, err)
	}
}

func TestPolicyThatLetsGuessesInHasToBeForced(t *testing.T) {
	wide := map[string]string{"window.app.small": "20", "window.app.medium": "20"}
	w := newWorld(t)
	answer := w.command(engine.SetPolicy{Settings: wide})
	if !strings.HasPrefix(answer, "refused") || !strings.Contains(answer, "3 x 41/1e+06") {
		t.Errorf("answered %q, without the arithmetic", answer)
	}
	if answer := w.command(engine.SetPolicy{Settings: wide, Force: true}); answer != "" || w.state.Policy.Windows["app"].Small != 20 {
		t.Errorf("forced: %q, %+v", answer, w.state.Policy.Windows["app"])
	}
	// What is as bad already may be made better, or be left as it is.
	for _, settings := range []map[string]string{{"window.app.small": "19"}, {"pin.history": "3"}, wide} {
		if w.command(engine.SetPolicy{Settings: wide, Force: true}); w.command(engine.SetPolicy{Settings: settings}) != "" {
			t.Errorf("%v is refused", settings)
		}
	}
}

func TestTokensOfAUserAreAsManyAsThePolicySays(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada", "token a2 user=ada", "token a3 user=ada")
	if got := w.do([]string{"token", "a4", "user=ada"}); !strings.HasPrefix(got, "refused") {
		t.Errorf("a fourth: %q", got)
	}
	if got := w.do([]string{"policy", "tokens.per_user=4"}) + w.do([]string{"token", "a4", "user=ada"}); got != "" {
		t.Errorf("a fourth of four: %q", got)
	}
	w.do([]string{"policy", "tokens.per_user=1"})
	if got := w.do([]string{"token", "a5", "user=ada"}); !strings.Contains(got, "has 4 tokens") {
		t.Errorf("a fifth of one: %q", got)
	}
	if got := w.do(strings.Fields("login ada <code@a4>")); !strings.HasPrefix(got, "challenge") {
		t.Errorf("what was assigned before is good no more: %q", got)
	}
}

func TestEmergencyIsAsLongAsThePolicySays(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada", "policy emergency.for=24h emergency.most=48h")
	if got := w.do(strings.Fields("admin lost a1 refuse 3 fixed 0123456789")); !strings.Contains(got, "emergency.most") {
		t.Errorf("three days of two: %q", got)
	}
	if got := w.do(strings.Fields("admin lost a1 refuse 2 fixed 0123456789")); got != "" {
		t.Errorf("two days of two: %q", got)
	}
}

// TestRepeatedLoginGetsItsAnswerAsLongAsThePolicySays tells the same request
// from a login that is known again by its session.
func TestRepeatedLoginGetsItsAnswerAsLongAsThePolicySays(t *testing.T) {
	for _, tt := range []struct {
		session string
		after   time.Duration
		want    engine.Verdict
	}{
		{"", 29 * time.Second, engine.Accept}, {"", 30 * time.Second, engine.Reject},
		{"s", 9 * time.Second, engine.Accept}, {"s", 10 * time.Second, engine.Reject},
	} {
		w := given(t, "user ada", "token a1 user=ada pin=471108")
		a := engine.Attempt{User: "ada", Typed: engine.Secret("471108" + w.code("a1", 0)), Session: tt.session, Origin: w.origin("")}
		if out, err := w.ask(a); err != nil || out.Verdict != engine.Accept {
			t.Fatalf("%v, %v", out, err)
		}
		w.now = w.now.Add(tt.after)
		if out, err := w.ask(a); err != nil || out.Verdict != tt.want {
			t.Errorf("session %q, again after %v: %v, %v", tt.session, tt.after, out.Verdict, err)
		}
	}
}
