package engine_test

import (
	"strings"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// TestPINThatWasSetUnderLooserRulesIsDoubted until a login has shown that it
// keeps those of now.
func TestPINThatWasSetUnderLooserRulesIsDoubted(t *testing.T) {
	for _, tt := range []struct {
		name    string
		lines   string
		doubted bool
		due     events.Reason
	}{
		{"as it was set", "", false, ""},
		{"longer ones are asked for", "policy pin.min=6", true, ""},
		{"a login has shown that it is long enough", "policy pin.min=6\nlogin ada 471108<code>", false, ""},
		{"an emergency too", "policy pin.min=6\nadmin lost a1 refuse 7 once 0123456789\nlogin ada 4711080123456789", false, ""},
		{"and then for still longer ones", "policy pin.min=6\nlogin ada 471108<code>\npolicy pin.min=7", true, ""},
		{"a wrong PIN shows nothing", "policy pin.min=6\nlogin ada 471109<code>", true, ""},
		{"looser ones are asked for", "policy pin.max=10", false, ""},
		{"and then as before", "policy pin.max=10\nlogin ada 471108<code>\npolicy pin.max=8", false, ""},
		{"it is cleared", "policy pin.min=6\nadmin clear-pin a1", false, events.ReasonPINNotSet},
		{"it is temporary", "policy pin.min=6\nadmin temporary-pin a1 593174", false, events.ReasonPINChangeRequired},
		{"it is to be changed", "admin new-pin a1", false, events.ReasonPINChangeRequired},
		{"it is as old as it may be", "policy pin.lifetime=24h\nday 1", false, ""},
		{"it is older", "policy pin.lifetime=24h\nday 2", false, events.ReasonPINExpired},
	} {
		w := given(t, "policy pin.min=4", "user ada", "token a1 user=ada pin=471108")
		for line := range strings.Lines(tt.lines) {
			switch words := strings.Fields(line); words[0] {
			case "day":
				w.now = w.state.Token("a1").PINSetAt.Std().AddDate(0, 0, w.number(words[1]))
			default:
				w.do(words)
			}
		}
		token := w.state.Token("a1")
		if doubted, due := w.state.PINDoubted(token), w.state.PINDue(token, events.At(w.now)); doubted != tt.doubted || due != tt.due {
			t.Errorf("%s: doubted %v, due %q; want %v, %q", tt.name, doubted, due, tt.doubted, tt.due)
		}
	}
}

// TestMarkThatLiesAheadEndsAsTheTokenCatchesUp: what is told of when tokencodes
// count again is when they do.
func TestMarkThatLiesAheadEndsAsTheTokenCatchesUp(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada pin=471108", "clock a1 200", "resync ada 471108<code> <code+1>")
	if _, _, ok := w.state.Token("a1").MarkAhead(events.At(w.now)); ok {
		t.Error("a clock that is followed is said to be behind its mark")
	}
	w.do(strings.Fields("admin zero-drift a1"))
	w.offset["a1"] = 0
	_, from, ok := w.state.Token("a1").MarkAhead(events.At(w.now))
	if !ok || from.Sub(w.now) < time.Hour {
		t.Fatalf("%v, %v", from, ok)
	}
	w.now = from.Add(-time.Second)
	if got := w.do(strings.Fields("login ada 471108<code>")); !strings.HasPrefix(got, "reject") {
		t.Errorf("a second before: %s", got)
	}
	w.now = from
	if got := w.do(strings.Fields("login ada 471108<code>")); got != "accept" {
		t.Errorf("then: %s", got)
	}
}

// TestSendingIsLimitedUntilItIsSaidToBe: the next tokencode can be sent when it
// is said that it can.
func TestSendingIsLimitedUntilItIsSaidToBe(t *testing.T) {
	w := given(t, "policy ondemand.per_hour=2", "user olga", "token o1 user=olga kind=ondemand pin=471108")
	ask := func() string { return w.do(strings.Fields("login olga 471108")) }
	began := w.now
	for n := range 2 {
		if sent, from := w.state.Sending(w.state.User("olga"), events.At(w.now)); sent != n || !from.IsZero() {
			t.Errorf("after %d: %d, %v", n, sent, from.Std())
		}
		ask()
		w.now = w.now.Add(time.Minute)
	}
	sent, from := w.state.Sending(w.state.User("olga"), events.At(w.now))
	if sent != 2 || from != events.At(began.Add(time.Hour)) {
		t.Fatalf("%d, %v", sent, from.Std())
	}
	w.now = from.Std().Add(-time.Millisecond)
	if got := ask(); got != "reject throttled" {
		t.Errorf("before: %s", got)
	}
	w.now = from.Std()
	if got := ask(); !strings.HasPrefix(got, "challenge") {
		t.Errorf("then: %s", got)
	}
}

func TestUnusableIsWhatALoginGoesBy(t *testing.T) {
	at := events.At(began)
	for reason, token := range map[events.Reason]engine.Token{
		"":                         {Expires: at.Add(time.Millisecond), Born: at},
		events.ReasonTokenDisabled: {Disabled: true},
		events.ReasonTokenExpired:  {Expires: at},
	} {
		if got := token.Unusable(at); got != reason {
			t.Errorf("%+v: %q, want %q", token, got, reason)
		}
	}
}
