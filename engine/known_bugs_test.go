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

// TestKnownBugsOfOthers holds the rules to what went wrong in other servers.
// T-01 and T-06 race whole clusters (cluster/guess_test.go), T-08, T-12 and
// T-13 look from outside (cmd/keyfob/difference_test.go, timing_test.go), T-07
// is the automaton of lock_test.go.
func TestKnownBugsOfOthers(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"T-02 same code later (Vault CVE-2025-6014, Keycloak 13607)":               sameCodeLater,
		"T-03 variant spelling (OpenBao CVE-2025-55000)":                           variantSpelling,
		"T-04 user name variants share a count (Authelia CVE-2025-24806)":          nameVariants,
		"T-05 limits by door (Vault CVE-2025-6015, Zitadel CVE-2025-64102)":        limitsByDoor,
		"T-09 begun before a lock, ended after (Keycloak CVE-2026-16103)":          begunBeforeALock,
		"T-10 resynchronisation is no oracle and goes not back (privacyIDEA 2349)": resyncIsNoOracle,
		"T-11 steps are whole at any drift (multiOTP 261)":                         stepsAreWhole,
		"T-14 a lock is no weapon (Grafana CVE-2022-39229)":                        lockIsNoWeapon,
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

func begunBeforeALock(t *testing.T) {
	for _, meanwhile := range [][]string{
		{"admin disable ada", "admin enable ada"}, {"admin delete ada"}, {"admin clear-pin a1"}, {"admin disable-token a1"}, {"admin unassign a1"},
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

// Of a hundred intervals one may have the tokencode that was just used. Whoever
// presses twice is told that he did, and is not asked for the next tokencode.
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

// twins finds a counter whose tokencode another of the next hundred has too.
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

// An event token at the end of its counter costs no more than any other.
func TestCounterNearItsEndEnds(t *testing.T) {
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

// What goes on at a trusted client is not ended by strangers who lock
// themselves out.
func TestStrangersEndNothingAtATrustedClient(t *testing.T) {
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

// Guesses do not push out the answer that an honest retry needs.
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
		t.Errorf("the mark goes back: %s", got)
	}
}

func stepsAreWhole(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := given(t, "user ada", "token a1 user=ada pin=471108", "policy next_tokencode.after=100 lock.after=100 wait.step=0s")
		w.offset["a1"] = rapid.Int64Range(-1, 1).Draw(r, "drift")
		accepted := map[string]bool{}
		for range 20 {
			w.now = w.now.Add(time.Duration(rapid.Int64Range(0, int64(40*time.Second)).Draw(r, "pass")))
			typed := "471108" + w.code("a1", rapid.Int64Range(-1, 1).Draw(r, "around"))
			out, err := w.ask(engine.Attempt{User: "ada", Typed: engine.Secret(typed), Origin: w.origin("")})
			if err != nil {
				r.Fatal(err)
			}
			if out.Verdict == engine.Accept {
				if accepted[typed] {
					r.Fatalf("accepted twice")
				}
				accepted[typed] = true
			}
		}
	})
}

func lockIsNoWeapon(t *testing.T) {
	w := given(t, "client vpn 192.0.2.0/24 trusted")
	for i := range 100 {
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
