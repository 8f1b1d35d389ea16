package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"keyfob/engine"
	"keyfob/engine/tokencode"
	"keyfob/events"
)

// TestKnownBugsOfOthers checks the rules against bugs of other servers. T-01
// and T-06 race whole clusters (cluster/guess_test.go), T-08, T-12 and T-13
// test from outside (cmd/keyfob/difference_test.go, timing_test.go), T-07 is
// the model of lock_test.go, T-27 and T-28 run on real nodes
// (cluster/answer_test.go), and T-17 is testdata/emergency.txt.
func TestKnownBugsOfOthers(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"T-02 same code later (Vault CVE-2025-6014, Keycloak 13607)":               sameCodeLater,
		"T-03 variant spelling (OpenBao CVE-2025-55000)":                           variantSpelling,
		"T-04 user name variants share a count (Authelia CVE-2025-24806)":          nameVariants,
		"T-05 limits by door (Vault CVE-2025-6015, Zitadel CVE-2025-64102)":        limitsByDoor,
		"T-05 limits by step (Zitadel CVE-2025-64102)":                             limitsByStep,
		"T-09 begun before a lock, ended after (Keycloak CVE-2026-16103)":          begunBeforeALock,
		"T-10 resynchronisation is no oracle and goes not back (privacyIDEA 2349)": resyncIsNoOracle,
		"T-11 steps are whole at any drift (multiOTP 261)":                         stepsAreWhole,
		"T-14 a lock is no weapon (Grafana CVE-2022-39229)":                        lockIsNoWeapon,
		"T-27 an answer in somebody else's place, or a second time":                answerIsOnes,
		"T-28 a packet sent again and again (RSA, passcode reuse)":                 sentAgainAndAgain,
	} {
		t.Run(name, test)
	}
}

func sameCodeLater(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada pin=471108", "policy next_tokencode.after=100 lock.after=100 wait.step=0s")
	code := w.code("a1", 0)
	if got := w.do([]string{"login", "ada", "471108" + code}); got != "accept" {
		t.Fatal(got)
	}
	for _, later := range []time.Duration{0, 100 * time.Millisecond, 29 * time.Second, 31 * time.Second, time.Minute, time.Minute, time.Hour} {
		w.now = w.now.Add(later)
		w.state = w.state.Copy() // as a node does that takes over
		if got := w.do([]string{"login", "ada", "471108" + code}); !strings.HasPrefix(got, "reject") {
			t.Errorf("%v later: %s", later, got)
		}
	}
}

func variantSpelling(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada pin=471108", "policy next_tokencode.after=100 lock.after=100 wait.step=0s")
	code := w.code("a1", 0)
	w.do([]string{"login", "ada", "471108" + code})
	for _, variant := range []string{
		"471108 " + code, "471108" + code + "\x00", "471108" + code + "\n", "+471108" + code, "４７１１０８" + code, "471108" + code + " ", "0471108" + code,
	} {
		out, err := w.ask(engine.Attempt{User: "ada", Typed: engine.Secret(variant), Origin: w.origin("")})
		if err != nil || out.Verdict != engine.Reject {
			t.Errorf("%q: %v, %v", variant, out.Verdict, err)
		}
	}
}

func nameVariants(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada pin=471108")
	for i, name := range []string{"ada", "ADA", "Ada", " ada", "ada ", "aDa", "adA", "ＡＤＡ", "ａda", "AdA"} {
		if _, err := w.ask(engine.Attempt{User: name, Typed: engine.Secret(fmt.Sprint(i)), Origin: w.origin("")}); err != nil {
			t.Fatal(err)
		}
	}
	if u := w.state.User("ada"); !u.Strangers.Locked(events.At(w.now)) {
		t.Errorf("ten spellings had %d failures in all", u.Failures)
	}
}

func limitsByDoor(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada pin=471108", "token a2 user=ada pin=806317", "client vpn 192.0.2.0/24")
	for i := range 10 {
		o := w.origin("")
		o.Door = []events.Door{events.DoorRADIUS, events.DoorWeb, events.DoorAPI}[i%3]
		if o.Door == events.DoorRADIUS {
			o.Client = "vpn"
		}
		a := engine.Attempt{User: "ada", Typed: engine.Secret(fmt.Sprint(i)), Origin: o}
		if i%4 == 3 && o.Door == events.DoorWeb {
			a.Purpose = engine.ToResynchronize
		}
		if _, err := w.ask(a); err != nil {
			t.Fatal(err)
		}
	}
	if u := w.state.User("ada"); u.Failures != 10 || !u.Strangers.Locked(events.At(w.now)) {
		t.Errorf("%d failures over all doors and tokens, locked: %v", u.Failures, u.Strangers.Locked(events.At(w.now)))
	}
}

// Wrong answers within a conversation are guesses. A conversation that stays
// open after one ends when the user is locked.
func limitsByStep(t *testing.T) {
	token := []string{"user ada", "token a1 user=ada pin=471108", "policy wait.step=0s", "admin next-tokencode a1"}
	for name, c := range map[string]struct {
		given, guess []string
	}{
		"the next tokencode":         {token, []string{"login ada 471108<code>", "answer 000000"}},
		"the second of two in a row": {token, []string{"resync ada 471108<code+1> 000000"}},
		"the next tokencode, with no PIN": {
			[]string{"user ada", "token a1 user=ada", "policy wait.step=0s", "admin next-tokencode a1"}, []string{"login ada <code>", "answer 000000"},
		},
		"the login with a new PIN": {
			append(token, "policy conversation.for=1h", "admin new-pin a1", "login ada 471108<code>", "answer <code+1>", "answer 839142 839142"),
			[]string{"answer 839142000000"},
		},
	} {
		w := given(t, c.given...)
		for i := range 10 {
			w.now = w.now.Add(time.Minute)
			var got string
			for _, line := range c.guess {
				got = w.do(strings.Fields(line))
			}
			u := w.state.User("ada")
			if locked := u.Strangers.Locked(events.At(w.now)); int(u.Failures) != i+1 || locked != (i == 9) || locked && u.Conversation != nil {
				t.Fatalf("%s, guess %d comes to %q: %d failures, locked: %v, conversation: %v", name, i+1, got, u.Failures, locked, u.Conversation)
			}
		}
	}
}

func begunBeforeALock(t *testing.T) {
	for _, meanwhile := range [][]string{
		{"admin disable ada", "admin enable ada"},
		{"admin delete ada"},
		{"admin clear-pin a1"},
		{"admin disable-token a1"},
		{"admin unassign a1"},
		{"policy lock.after=1", "login ada 000000"},
	} {
		w := given(t, "user ada", "token a1 user=ada pin=471108", "admin next-tokencode a1")
		if got := w.do(strings.Fields("login ada 471108<code>")); !strings.HasPrefix(got, "challenge") {
			t.Fatal(got)
		}
		ticket, next := w.ticket, w.code("a1", 1)
		for _, line := range meanwhile {
			w.do(strings.Fields(line))
		}
		w.ticket, w.now = ticket, w.now.Add(time.Minute)
		out, err := w.ask(engine.Attempt{Typed: engine.Secret(next), Origin: w.origin("")})
		if err != nil || out.Verdict != engine.Reject {
			t.Errorf("after %q the answer comes to %v, %v", meanwhile, out.Verdict, err)
		}
	}
}

// One of a hundred intervals may have the tokencode that was just used. A user who
// types it twice gets the reason tokencode_reused, and no Next Tokencode mode.
func TestTokencodeUsedLastIsKnownBeforeAnyOther(t *testing.T) {
	given := func() *world {
		return given(t, "user ada", "token e1 user=ada kind=hotp pin=471108", "policy window.event.small=20 window.event.medium=100")
	}
	counter, code := twins(t, given().state.Token("e1"))
	w := given()
	w.state.Apply(events.At(w.now), events.Draft{Event: events.PasscodeAccepted{User: "ada", Use: events.Use{Serial: "e1", Kind: "hotp", Interval: counter}}})
	if got := w.do([]string{"login", "ada", "471108" + code}); got != "reject tokencode_reused" {
		t.Errorf("the tokencode of %d: %s", counter, got)
	}
	if u := w.state.User("ada"); u.Failures != 0 {
		t.Error("it counts as a failure")
	}
}

// twins finds a counter whose tokencode occurs again within the next hundred.
func twins(t *testing.T, tok *engine.Token) (counter int64, code string) {
	t.Helper()
	g, err := tokencode.New(tokencode.Params{Kind: tokencode.HOTP, Algorithm: tokencode.SHA1, Digits: 6, Serial: tok.Serial}, tokencode.Seed(tok.Seed))
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]int64{}
	for i := range int64(1_000_000) {
		code = g.At(i)
		if before, ok := last[code]; ok && i-before <= 100 {
			return before, code
		}
		last[code] = i
	}
	t.Fatal("no two tokencodes are alike")
	return 0, ""
}

// A counter near its upper bound costs no more than any other.
func TestCounterHasAnUpperBound(t *testing.T) {
	w := given(t, "user ada")
	for _, c := range []struct {
		counter int64
		taken   bool
	}{{1 << 62, true}, {1<<62 + 1, false}, {1<<63 - 1, false}, {-1, false}} {
		serial := fmt.Sprintf("h%d", c.counter)
		_, err := engine.Decide(w.state, w.origin("admin"), engine.ImportToken{Token: events.TokenImported{
			Serial: serial, Kind: "hotp", Algorithm: "SHA1", Digits: 6, Sealed: []byte("seed 0123456789012345"), Counter: c.counter,
		}}, events.At(w.now))
		if taken := err == nil; taken != (c.taken && c.counter >= 0) {
			t.Errorf("a counter of %d: %v", c.counter, err)
		}
	}
}

// Strangers who cause a lock do not end a conversation at a trusted client.
func TestStrangersDoNotEndConversationsAtATrustedClient(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada pin=471108", "admin next-tokencode a1", "client vpn 192.0.2.0/24 trusted", "policy lock.after=3")
	vpn := w.origin("")
	vpn.Door, vpn.Client = events.DoorRADIUS, "vpn"
	if out, err := w.ask(engine.Attempt{User: "ada", Typed: engine.Secret("471108" + w.code("a1", 0)), Origin: vpn}); err != nil || out.Verdict != engine.Challenge {
		t.Fatalf("%v, %v", out.Verdict, err)
	}
	ticket := w.ticket
	for _, guess := range []string{"1", "2", "3"} {
		w.do([]string{"login", "ada", guess})
	}
	if !w.state.User("ada").Strangers.Locked(events.At(w.now)) {
		t.Fatal("the strangers are not locked")
	}
	w.ticket, w.now = ticket, w.now.Add(time.Minute)
	vpn.Request = w.origin("").Request
	if out, err := w.ask(engine.Attempt{Typed: engine.Secret(w.code("a1", 0)), Origin: vpn}); err != nil || out.Verdict != engine.Accept {
		t.Errorf("the right answer comes to %v (%s), %v", out.Verdict, out.Reason, err)
	}
}

// Guesses do not push out the answer to an honest retry.
func TestGuessesDoNotPushOutAnAnswer(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada pin=471108")
	a := engine.Attempt{User: "ada", Typed: engine.Secret("471108" + w.code("a1", 0)), Origin: w.origin("")}
	if out, err := w.ask(a); err != nil || out.Verdict != engine.Accept {
		t.Fatalf("%v, %v", out.Verdict, err)
	}
	for i := range 8 {
		w.do([]string{"login", "ada", fmt.Sprint(i)})
	}
	w.ticket = nil
	if out, err := w.ask(a); err != nil || out.Verdict != engine.Accept {
		t.Errorf("the retry is answered %v (%s), %v", out.Verdict, out.Reason, err)
	}
}

func resyncIsNoOracle(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada pin=471108", "policy wait.step=0s next_tokencode.after=100 lock.after=100")
	right, next := "471108"+w.code("a1", 50), w.code("a1", 51)
	var first engine.Outcome
	for i, typed := range [][2]string{{right, "000000"}, {"471108000000", next}, {"000000" + right[6:], next}, {right, w.code("a1", 52)}, {"471108000000", "000000"}} {
		out, err := w.ask(engine.Attempt{User: "ada", Typed: engine.Secret(typed[0]), Again: engine.Secret(typed[1]), Purpose: engine.ToResynchronize, Origin: w.origin("")})
		if err != nil {
			t.Fatal(err)
		}
		out.Reason, out.Reference = "", "" // not shown, and random
		if i == 0 {
			first = out
		}
		if out.Verdict != engine.Reject || out.Prompt != first.Prompt || w.state.User("ada").Failures != uint32(i+1) {
			t.Errorf("pair %d: %+v after %d failures", i, out, w.state.User("ada").Failures)
		}
	}
	if got := w.do(strings.Fields("resync ada 471108<code+50> <code+51>")); got != "resynchronized" {
		t.Fatal(got)
	}
	if got := w.do(strings.Fields("resync ada 471108<code+10> <code+11>")); !strings.HasPrefix(got, "reject") {
		t.Errorf("the last used interval goes back: %s", got)
	}
}

// Checked for each kind of token, for clocks anywhere in the small window, and
// just before and after each change of the tokencode.
func stepsAreWhole(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		row := rapid.SampledFrom(windows).Draw(r, "token")
		w := row.given(t)
		w.do(strings.Fields("policy next_tokencode.after=100 lock.after=100 lock.stop_after=100 wait.step=0s"))
		period := time.Minute
		if strings.Contains(row.properties, "period=30") {
			period = 30 * time.Second
		}
		if !row.ahead() {
			w.offset[row.serial] = rapid.Int64Range(-row.small, row.small).Draw(r, "drift")
		}
		for range 20 {
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 2).Draw(r, "changes"))*period + time.Duration(rapid.IntRange(-1, 1).Draw(r, "milliseconds"))*time.Millisecond)
			used := w.state.Token(row.serial).Last
			around := rapid.Int64Range(-1, 1).Draw(r, "around")
			if row.ahead() {
				w.offset[row.serial], around = used+1, max(around, -used-1)
			}
			got := w.do([]string{"login", "ada", row.passcode(around)})
			last := w.state.Token(row.serial).Last
			switch passed := !strings.HasPrefix(got, "reject"); {
			case !passed && last != used:
				r.Fatalf("%s: a refusal moves the last used interval from %d to %d", row.name, used, last)
			case passed && (last <= used || w.code(row.serial, last-w.shows(row.serial)) != w.code(row.serial, around)):
				r.Fatalf("%s: %s for the tokencode of %d, and the last used interval goes from %d to %d", row.name, got, w.shows(row.serial)+around, used, last)
			}
			if again := w.do([]string{"login", "ada", row.passcode(around)}); !strings.HasPrefix(again, "reject") {
				r.Fatalf("%s: the same again: %s, then %s", row.name, got, again)
			}
		}
	})
}

// shows returns the interval whose tokencode a token shows.
func (w *world) shows(serial string) int64 {
	t := w.state.Token(serial)
	p := tokencode.Params{Kind: tokencode.Kind(t.Kind), Period: time.Duration(t.Period) * time.Second}
	return tokencode.Interval(p, w.now) + w.offset[serial]
}

func lockIsNoWeapon(t *testing.T) {
	w := given(t, "client vpn 192.0.2.0/24 trusted")
	for i := range 1000 {
		user, serial := fmt.Sprintf("user%d", i), fmt.Sprintf("t%d", i)
		w.do([]string{"user", user})
		w.do([]string{"token", serial, "user=" + user, "pin=471108"})
		for range 12 {
			w.do([]string{"login", user, "000000"})
		}
		if !w.state.User(user).Strangers.Locked(events.At(w.now)) {
			t.Fatalf("%s is not locked for strangers", user)
		}
		got := w.do(strings.Fields("login " + user + " 471108<code> client=vpn"))
		if !strings.HasPrefix(got, "challenge") { // the next tokencode, because of the guesses
			t.Errorf("%s at the VPN: %s", user, got)
		}
		w.now = w.now.Add(time.Minute)
		o := w.origin("")
		o.Door, o.Client = events.DoorRADIUS, "vpn"
		out, err := w.ask(engine.Attempt{User: user, Typed: engine.Secret(w.code(serial, 0)), Origin: o})
		if err != nil || out.Verdict != engine.Accept {
			t.Errorf("%s with the next tokencode: %v, %v", user, out.Verdict, err)
		}
	}
}

// The State attribute of a VPN opens a conversation of one user, at one front
// end, for one client, at one turn, for a limited time, and once.
func answerIsOnes(t *testing.T) {
	begin := func() *world {
		w := given(t, "user ada", "user bob", "token a1 user=ada pin=471108", "token b1 user=bob pin=471108", "admin next-tokencode a1", "admin next-tokencode b1")
		if got := w.do(strings.Fields("login ada 471108<code> client=vpn")); !strings.HasPrefix(got, "challenge") {
			t.Fatal(got)
		}
		return w
	}
	const lasts = 5 * time.Minute
	for name, change := range map[string]func(w *world, a *engine.Attempt){
		"another user's name": func(_ *world, a *engine.Attempt) { a.User = "bob" },
		"nobody's name":       func(_ *world, a *engine.Attempt) { a.User = "cid" },
		"another user's conversation": func(w *world, _ *engine.Attempt) {
			w.do(strings.Fields("login bob 471108<code> client=vpn"))
			w.ticket.User = "ada"
		},
		"another user in it":             func(w *world, a *engine.Attempt) { w.ticket.User, a.User = "bob", "bob" },
		"another client":                 func(_ *world, a *engine.Attempt) { a.Origin.Client = "vpn2" },
		"another door":                   func(_ *world, a *engine.Attempt) { a.Origin.Door = events.DoorWeb },
		"another conversation":           func(w *world, _ *engine.Attempt) { w.ticket.ID[0] ^= 1 },
		"the turn before":                func(w *world, _ *engine.Attempt) { w.ticket.Turn-- },
		"a turn to come":                 func(w *world, _ *engine.Attempt) { w.ticket.Turn++ },
		"another step":                   func(w *world, _ *engine.Attempt) { w.ticket.Step = events.StepLogin },
		"when it has expired":            func(w *world, _ *engine.Attempt) { w.now = w.now.Add(lasts) },
		"to resynchronise with":          func(_ *world, a *engine.Attempt) { a.Purpose = engine.ToResynchronize },
		"when it was answered":           func(w *world, a *engine.Attempt) { w.answerAs(*a); a.Origin.Request[0] = 7 },
		"right, at the last millisecond": func(w *world, _ *engine.Attempt) { w.now = w.now.Add(lasts - time.Millisecond) },
		"right, by the name in capitals": func(_ *world, a *engine.Attempt) { a.User = " ADA" },
	} {
		w := begin()
		a := engine.Attempt{Typed: engine.Secret(w.code("a1", 1)), Origin: w.origin("")}
		a.Origin.Door, a.Origin.Client = events.DoorRADIUS, "vpn"
		ticket := *w.ticket
		w.ticket = &ticket
		change(w, &a)
		want := engine.Reject
		if strings.HasPrefix(name, "right") {
			want = engine.Accept
		}
		if out, err := w.ask(a); err != nil || out.Verdict != want {
			t.Errorf("%s: %v (%s), %v", name, out.Verdict, out.Reason, err)
		}
		if u := w.state.User("bob"); u.Failures != 0 || !w.state.Token("b1").NextTokencode {
			t.Errorf("%s: bob has %d failures", name, u.Failures)
		}
	}
}

// answerAs answers the open question correctly.
func (w *world) answerAs(a engine.Attempt) {
	w.t.Helper()
	ticket := w.ticket
	if out, err := w.ask(a); err != nil || out.Verdict != engine.Accept {
		w.t.Fatalf("%v (%s), %v", out.Verdict, out.Reason, err)
	}
	w.ticket = ticket
}

func sentAgainAndAgain(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada pin=471108")
	a := engine.Attempt{User: "ada", Typed: engine.Secret("471108" + w.code("a1", 0)), Origin: w.origin("")}
	for i := range 11 {
		w.news = nil
		if out, err := w.ask(a); err != nil || out.Verdict != engine.Accept || (i > 0) != (len(w.news) == 0) {
			t.Errorf("time %d: %v (%s), %v, and %d events", i, out.Verdict, out.Reason, err, len(w.news))
		}
		w.now = w.now.Add(500 * time.Millisecond)
	}
	b := a
	b.Origin = w.origin("")
	if out, err := w.ask(b); err != nil || out.Reason != events.ReasonTokencodeReused {
		t.Errorf("another login: %v (%s), %v", out.Verdict, out.Reason, err)
	}
}
