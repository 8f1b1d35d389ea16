package engine_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"keyfob/engine"
	"keyfob/events"
)

// An interval at or before the last one used is never accepted again, also if
// it was used between a question and its answer.
func TestLastUsedIntervalHoldsAgainstOlderEvidence(t *testing.T) {
	for _, r := range windows {
		for question, begin := range map[string][]string{
			"in Next Tokencode mode": {"admin next-tokencode " + r.serial, "login ada " + r.passcode(0)},
			"of a clock that is off": {"policy window.fob.small=0 window.pinpad.small=0 window.app.small=0 window.event.small=0", "login ada " + r.passcode(1)},
			"after a new PIN":        {"policy pin.history=0", "admin clear-pin " + r.serial, "login ada <code>", "answer 471108 471108"},
		} {
			w := r.given(t)
			for _, line := range begin {
				w.do(strings.Fields(line))
			}
			ticket := w.ticket
			for who, resync := range map[string][]string{
				"its user":         {"resync", "ada", r.passcode(2), "<code+3>"},
				"an administrator": {"admin", "resync", r.serial, w.code(r.serial, 2), w.code(r.serial, 3)},
			} {
				after := w.fork()
				if got := after.do(resync); got != "" && got != "resynchronized" {
					t.Fatalf("%s, %s, resynchronised by %s: %s", r.name, question, who, got)
				}
				for _, typed := range []string{"<code+1>", "<code+2>", r.passcode(1), r.passcode(2), r.passcode(3)} {
					try := after.fork()
					try.ticket = ticket
					if got := try.do([]string{"answer", typed}); !strings.HasPrefix(got, "reject") {
						t.Errorf("%s, %s, resynchronised by %s: %s -> %s", r.name, question, who, typed, got)
					}
				}
			}
		}
	}
}

// Folding a journal never lowers the last used interval, whatever the journal
// contains.
func TestFoldNeverLowersTheLastUsedInterval(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada pin=471108", "login ada 471108<code>")
	last := w.state.Token("a1").Last
	old := events.Use{Serial: "a1", Kind: "totp", Interval: last - 1}
	for _, e := range []events.Event{
		events.PasscodeAccepted{User: "ada", Use: old},
		events.PasscodeChallenged{User: "ada", Use: &old, Conversation: events.Conversation{Serial: "a1", Step: events.StepNextTokencode}},
		events.TokenResynchronized{User: "ada", Use: old},
		events.DriftAdjusted{User: "ada", Serial: "a1", Forgot: true},
		events.TokenUnassigned{User: "ada", Serial: "a1"},
		events.TokenAssigned{User: "ada", Serial: "a1"},
	} {
		w.apply([]events.Draft{{Origin: w.origin(""), Event: e}})
		if now := w.state.Token("a1").Last; now != last {
			t.Errorf("%T moved the last used interval by %d", e, now-last)
		}
	}
}

// TestNobodyPassesTwiceWhateverAdministratorsDo mixes logins, answers,
// resynchronizations and commands at random and checks invariants.
func TestNobodyPassesTwiceWhateverAdministratorsDo(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := newPlayground(t, r)
		for range rapid.IntRange(10, 60).Draw(r, "steps") {
			p.w.now = p.w.now.Add(time.Duration(rapid.IntRange(0, 90).Draw(r, "seconds")) * time.Second)
			before := p.lastUsed()
			p.w.news = nil
			if rapid.Bool().Draw(r, "a remedy") {
				p.remedy()
			} else {
				p.attempt()
			}
			p.hold(before)
		}
	})
}

// playground is two users, four tokens and an administrator.
type playground struct {
	w    *world
	r    *rapid.T
	used map[string]int64
}

var serials = []string{"a1", "h1", "123456789012", "b1"}

func newPlayground(t *testing.T, r *rapid.T) *playground {
	return &playground{r: r, used: map[string]int64{}, w: given(t,
		"user ada", "user bob", "client vpn 192.0.2.0/24 trusted",
		"token a1 user=ada pin=471108", "token h1 user=ada kind=hotp pin=806317", "token b1 user=bob pin=471108",
		"token 123456789012 user=ada kind=securid style=pinpad form=pinpad pin=471108")}
}

func (p *playground) pick(what string, from ...string) string {
	return rapid.SampledFrom(from).Draw(p.r, what)
}

func (p *playground) lastUsed() map[string]int64 {
	all := map[string]int64{}
	for _, serial := range serials {
		all[serial] = p.w.state.Token(serial).Last
	}
	return all
}

// remedy is a random command, refused or not, or a clock that jumps.
func (p *playground) remedy() {
	serial, w := p.pick("token", serials...), p.w
	switch verb := p.pick("verb", "zero-drift", "unassign", "assign", "clear-pin", "new-pin", "next-tokencode", "resync", "lost", "found",
		"disable-token", "enable-token", "unlock", "temporary-pin", "clock"); verb {
	case "clock":
		if serial != "h1" {
			w.offset[serial] += rapid.Int64Range(-20, 20).Draw(p.r, "intervals")
		}
	case "assign":
		w.do([]string{"admin", "assign", serial, p.pick("whom", "ada", "bob")})
	case "unlock":
		w.do([]string{"admin", "unlock", p.pick("whom", "ada", "bob")})
	case "lost":
		w.do([]string{"admin", "lost", serial, p.pick("found", "allow", "refuse", "after"), "1", p.pick("tokencodes", "once", "fixed"), "1234567890"})
	case "temporary-pin":
		w.do([]string{"admin", "temporary-pin", serial, "471108"})
	default:
		w.do([]string{"admin", verb, serial})
	}
}

// attempt types something for a token, at the first step or in an open
// conversation.
func (p *playground) attempt() {
	serial, w := p.pick("token", serials...), p.w
	t := w.state.Token(serial)
	if t.User == "" {
		return
	}
	offset := rapid.Int64Range(-12, 12).Draw(p.r, "offset")
	if serial == "h1" {
		w.offset[serial], offset = t.Last, max(-t.Last, offset)
	}
	code := w.code(serial, offset)
	a := engine.Attempt{User: t.User, Origin: w.origin(""), Typed: engine.Secret(p.pick("PIN", "471108", "806317", "839142", "") + code)}
	if p.pick("door", "web", "vpn") == "vpn" {
		a.Origin.Door, a.Origin.Client = events.DoorRADIUS, "vpn"
	}
	switch p.pick("way", "login", "answer", "answer", "new PIN", "resync", "emergency") {
	case "login":
		w.ticket = nil
	case "answer":
		a.User = ""
	case "new PIN":
		a.User, a.Typed, a.Again = "", "839142", "839142"
	case "resync":
		w.ticket, a.Purpose, a.Again = nil, engine.ToResynchronize, engine.Secret(w.code(serial, offset+1))
	case "emergency":
		w.ticket, a.Typed = nil, "4711081234567890"
	}
	if _, err := w.ask(a); err != nil {
		p.r.Fatal(err)
	}
}

// hold checks the invariants.
func (p *playground) hold(before map[string]int64) {
	for serial, last := range p.lastUsed() {
		if last < before[serial] {
			p.r.Fatalf("the last used interval of %s went back from %d to %d", serial, before[serial], last)
		}
	}
	for _, d := range p.w.news {
		switch e := d.Event.(type) {
		case events.PasscodeAccepted:
			p.holdAccept(e, before[e.Use.Serial])
		case events.TokenResynchronized:
			if e.Use.Interval-1 <= before[e.Use.Serial] {
				p.r.Fatalf("%s resynchronized by %d, the last used interval was %d", e.Use.Serial, e.Use.Interval-1, before[e.Use.Serial])
			}
		}
	}
}

func (p *playground) holdAccept(e events.PasscodeAccepted, used int64) {
	if t := p.w.state.Token(e.Use.Serial); len(t.PIN) == 0 || t.NewPIN || t.Disabled || t.User != e.User {
		p.r.Fatalf("%s is let in by %+v", e.User, t)
	}
	if e.Use.Emergency != 0 {
		return
	}
	last, ok := p.used[e.Use.Serial]
	if ok && e.Use.Interval <= last || e.Use.Interval <= used {
		p.r.Fatalf("%s accepted at %d after %d, the last used interval was %d", e.Use.Serial, e.Use.Interval, last, used)
	}
	p.used[e.Use.Serial] = e.Use.Interval
}
