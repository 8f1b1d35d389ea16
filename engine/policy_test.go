package engine_test

import (
	"fmt"
	"math"
	"slices"
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

// TestValuesThatLockEveryoneOutAreRefused with the reason. Values that an older
// version accepted keep their meaning.
func TestValuesThatLockEveryoneOutAreRefused(t *testing.T) {
	for _, tt := range []struct{ setting, why string }{
		{"pin.lifetime=1ns", "changed at almost every login"},
		{"pin.lifetime=23h59m", "changed at almost every login"},
		{"pin.lifetime=24h", ""},
		{"pin.lifetime=0", ""},
		{"conversation.for=30s", "the next tokencode"},
		{"conversation.for=1m59s", "the next tokencode"},
		{"conversation.for=2m", ""},
		{"pin.min=9", "pin.max"},
	} {
		w := newWorld(t)
		answer := w.do([]string{"policy", tt.setting})
		if (answer != "") != (tt.why != "") || !strings.Contains(answer, tt.why) {
			t.Errorf("%s: %q, want a refusal about %q", tt.setting, answer, tt.why)
		}
	}
	w := newWorld(t)
	w.apply([]events.Draft{{Event: events.PolicyChanged{Key: "pin.lifetime", Before: "0s", After: "1h0m0s"}}})
	if w.state.Policy.PINLifetime != time.Hour {
		t.Errorf("pin.lifetime of an old journal is %v, want 1h", w.state.Policy.PINLifetime)
	}
	if answer := w.do([]string{"policy", "lock.after=8", "pin.lifetime=1h"}); answer != "" {
		t.Errorf("a change beside it is refused: %s", answer)
	}
}

func TestProfilesAreWithinBounds(t *testing.T) {
	for _, name := range engine.Profiles() {
		w := newWorld(t)
		if answer := w.command(engine.SetPolicy{Settings: map[string]string{"profile": name, "approval.required": "none"}}); answer != "" {
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

// TestGuessBudgetIsTheArithmeticOfTheRules repeats the arithmetic
// independently. The first lock comes after 10 failures, then 30 min, 1 h, 2 h,
// 4 h, 8 h, 16 h: six times ten tries in a day, by strangers, at a trusted gateway
// that signs and at one that does not. The first three of each need no next
// tokencode.
func TestGuessBudgetIsTheArithmeticOfTheRules(t *testing.T) {
	const million, tries = 1e6, 3 * 60
	form := func(small, large float64) float64 {
		return 9*small/million + (tries-9)*large/million*2/million
	}
	want := map[string]struct {
		digits, tries   int
		day, withoutPIN float64
	}{
		engine.FormFob: {6, tries, form(3, 21), form(3, 21) / million},
		engine.FormApp: {6, tries, form(21, 141), form(21, 141) / million},
		// Presses count ahead only.
		engine.FormEvent: {6, tries, form(4, 101), form(4, 101) / million},
		// Six digits are typed, whether the PIN is known or not.
		engine.FormPINpad: {6, tries, form(5, 21), form(5, 21)},
		// The 144 messages of a day; the PIN first, then the tokencode.
		engine.GuessOnDemand:  {8, 144, 144 / 1e8, tries / million * 144 / 1e8},
		engine.GuessEmergency: {10, tries, tries / 1e10, tries / 1e10 / million},
	}
	budgets := engine.GuessBudgets(engine.DefaultPolicy())
	if len(budgets) != len(want) {
		t.Errorf("%d budgets, want %d", len(budgets), len(want))
	}
	near := func(a, b float64) bool { return a > b*0.999 && a < b*1.001 }
	for _, b := range budgets {
		w := want[b.Form]
		if b.Digits != w.digits || b.Tries != w.tries || !near(b.Day, w.day) || !near(b.DayNoPIN, w.withoutPIN) || !near(b.Year, 1-math.Pow(1-w.day, 365)) {
			t.Errorf("%+v, want %+v", b, w)
		}
		if !strings.HasSuffix(b.Arithmetic, fmt.Sprintf(" = %.2g", w.day)) {
			t.Errorf("%s: the arithmetic comes to something else: %s", b.Form, b.Arithmetic)
		}
	}
}

// TestGuessesAtSentTokencodesAreBoundedByMessages checks the limit of messages
// per day where it is lower than that of the locks.
func TestGuessesAtSentTokencodesAreBoundedByMessages(t *testing.T) {
	p := engine.DefaultPolicy()
	p.OnDemandPerHour = 2
	for _, b := range engine.GuessBudgets(p) {
		if b.Form == engine.GuessOnDemand && b.Tries != 48 {
			t.Errorf("%d tries at the 48 messages of a day", b.Tries)
		}
	}
}

func TestGuessBudgetIncludesLocksAndExpiredFailures(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*engine.Policy)
		tries  int // of all budgets
	}{
		{"locks that do not grow", func(p *engine.Policy) { p.LockGrowth = 1 }, 3 * 100}, // the hard stop comes first
		{"and a hard stop that is far", func(p *engine.Policy) { p.LockGrowth, p.StopAfter = 1, 1000 }, 3 * 480},
		{"a lock for good", func(p *engine.Policy) { p.LockFor = 0 }, 3 * 10},
		{"RSA's five in 24 hours", func(p *engine.Policy) { p.LockFor, p.LockAfter, p.LockWithin = 0, 5, 24*time.Hour }, 3 * 5},
		// Nine every six hours, and ten in the last six, which lock.
		{"failures that are soon forgotten", func(p *engine.Policy) { p.LockFor, p.LockWithin = 0, 6*time.Hour }, 3 * (3*9 + 10)},
		{"and at once", func(p *engine.Policy) { p.LockFor, p.LockWithin = 0, time.Minute }, 3 * 100},
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
	if b.Day <= a.Day || !strings.Contains(b.Arithmetic, " x 4/10^6") {
		t.Errorf("before %+v, after %+v", a, b)
	}
	if said := strings.Join(engine.GuessAssumptions(after), "\n"); !strings.Contains(said, "the chance is 6 times as high") {
		t.Errorf("users with six tokens are not mentioned:\n%s", said)
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

func TestPolicyThatFavorsGuessesMustBeForced(t *testing.T) {
	wide := map[string]string{"window.app.small": "20", "window.app.medium": "20"}
	w := newWorld(t)
	answer := w.command(engine.SetPolicy{Settings: wide})
	if !strings.HasPrefix(answer, "refused") || !strings.Contains(answer, "9 x 41/10^6") {
		t.Errorf("answered %q, without the arithmetic", answer)
	}
	if answer := w.command(engine.SetPolicy{Settings: wide, Force: true}); answer != "" || w.state.Policy.Windows["app"].Small != 20 {
		t.Errorf("forced: %q, %+v", answer, w.state.Policy.Windows["app"])
	}
	// A policy that is already above the bound may be improved or left as it is.
	for _, settings := range []map[string]string{{"window.app.small": "19"}, {"pin.history": "3"}, wide} {
		if w.command(engine.SetPolicy{Settings: wide, Force: true}); w.command(engine.SetPolicy{Settings: settings}) != "" {
			t.Errorf("%v is refused", settings)
		}
	}
}

func TestPolicyLimitsTokensOfAUser(t *testing.T) {
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
	w := given(t, "user ada", "token a1 user=ada pin=471108", "policy emergency.for=24h emergency.most=48h")
	if got := w.do(strings.Fields("admin lost a1 refuse 3 fixed 0123456789")); !strings.Contains(got, "emergency.most") {
		t.Errorf("three days of two: %q", got)
	}
	if got := w.do(strings.Fields("admin lost a1 refuse 2 fixed 0123456789")); got != "" {
		t.Errorf("two days of two: %q", got)
	}
}

// TestRepeatedRequestGetsItsAnswerAsLongAsThePolicySays.
func TestRepeatedRequestGetsItsAnswerAsLongAsThePolicySays(t *testing.T) {
	for after, want := range map[time.Duration]engine.Verdict{29 * time.Second: engine.Accept, 30 * time.Second: engine.Reject} {
		w := given(t, "user ada", "token a1 user=ada pin=471108")
		a := engine.Attempt{User: "ada", Typed: engine.Secret("471108" + w.code("a1", 0)), Origin: w.origin("")}
		if out, err := w.ask(a); err != nil || out.Verdict != engine.Accept {
			t.Fatalf("%v, %v", out, err)
		}
		w.now = w.now.Add(after)
		if out, err := w.ask(a); err != nil || out.Verdict != want {
			t.Errorf("again after %v: %v, %v", after, out.Verdict, err)
		}
	}
}

// TestPolicyOfANewClusterIsThatOfTheRules repeats the numbers of rules.md.
func TestPolicyOfANewClusterIsThatOfTheRules(t *testing.T) {
	for key, want := range map[string]string{
		"window.fob.small": "1", "window.fob.medium": "3", "window.fob.large": "10",
		"window.pinpad.small": "2", "window.pinpad.medium": "4", "window.pinpad.large": "10",
		"window.app.small": "10", "window.app.medium": "12", "window.app.large": "70",
		"window.event.small": "3", "window.event.medium": "7", "window.event.large": "100",
		"resync.within": "12h", "resync.ahead": "1000", "resync.by_user": "yes",
		"next_tokencode.after": "3", "next_tokencode.within": "2",
		"lock.after": "10", "lock.for": "30m", "lock.growth": "2", "lock.within": "0s", "lock.stop_after": "100",
		"pin.min": "6", "pin.max": "8", "pin.history": "5", "pin.rounds": "3", "pin.lifetime": "0s", "pin.source": "own", "pin.first": "tokencode",
		"emergency.for": "7d", "tokens.per_user": "3", "retry.request_for": "30s", "retry.login_for": "30s", "refusal.delay": "250ms",
	} {
		i := slices.IndexFunc(engine.Settings(), func(s engine.Setting) bool { return s.Key == key })
		if i < 0 {
			t.Errorf("there is no %s", key)
		} else if got := engine.Settings()[i].Read(engine.DefaultPolicy()); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
}

// TestEmergencyTokencodesAreTenDigitsAndNoTwoAlike for one to fifty tokencodes.
func TestEmergencyTokencodesAreTenDigitsAndNoTwoAlike(t *testing.T) {
	var drawn byte
	twice := func(b []byte) error { // each a second time
		b[0], b[1] = drawn/2%10, drawn/2/10
		drawn++
		return nil
	}
	for _, n := range []int{-1, 0, 51} {
		if codes, _, err := engine.EmergencyTokencodes(n, twice); err == nil {
			t.Errorf("%d of them: %v", n, codes)
		}
	}
	if _, _, err := engine.EmergencyTokencodes(2, func([]byte) error { return nil }); err == nil {
		t.Error("chance that is always the same makes two")
	}
	for _, n := range []int{1, 2, 50} {
		drawn = 0
		codes, text, err := engine.EmergencyTokencodes(n, twice)
		if err != nil || len(codes) != n || text.Reveal() != strings.Join(codes, " ") {
			t.Fatalf("%d of them: %v, %v", n, codes, err)
		}
		slices.Sort(codes)
		for i, code := range codes {
			if len(code) != 10 || i > 0 && code == codes[i-1] {
				t.Errorf("%d of them: %q", n, code)
			}
		}
	}
}
