package engine_test

import (
	"strings"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// TestPINThatWasSetUnderLooserRulesIsDoubted until a login has shown that it
// meets the current rules.
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

func TestModeSaysWhatTheNextLoginAsksFor(t *testing.T) {
	for _, tt := range []struct {
		name, lines string
		want        engine.Mode
		login       string // what the passcode of the token comes to
	}{
		{"a PIN is set", "", engine.ModeNormal, "accept"},
		{"the PIN has expired", "policy pin.lifetime=24h\nday 2", engine.ModeNewPIN, "asks new_pin"},
		{"the PIN is to be changed", "admin new-pin a1", engine.ModeNewPIN, "asks new_pin"},
		{"the PIN is temporary", "admin temporary-pin a1 471108", engine.ModeNewPIN, "asks new_pin"},
		{"in Next Tokencode mode", "admin next-tokencode a1", engine.ModeNextTokencode, "asks next_tokencode"},
		{"both", "policy pin.lifetime=24h\nday 2\nadmin next-tokencode a1", engine.ModeNextTokencode, "asks next_tokencode"},
	} {
		w := given(t, "user ada", "token a1 user=ada pin=471108")
		for line := range strings.Lines(tt.lines) {
			switch words := strings.Fields(line); words[0] {
			case "day":
				w.now = w.now.AddDate(0, 0, w.number(words[1]))
			default:
				w.do(words)
			}
		}
		if got := w.state.Mode(w.state.Token("a1"), events.At(w.now)); got != tt.want {
			t.Errorf("%s: mode %s, want %s", tt.name, got, tt.want)
		}
		if got := w.do(strings.Fields("login ada 471108<code>")); !strings.HasSuffix(got, tt.login) {
			t.Errorf("%s: the login came to %q, want %s", tt.name, got, tt.login)
		}
	}
	unset := given(t, "user ada", "token a1 user=ada", "token a2", "token a3 user=ada style=none")
	for serial, want := range map[string]engine.Mode{"a1": engine.ModeNewPIN, "a2": engine.ModeNormal, "a3": engine.ModeNormal} {
		if got := unset.state.Mode(unset.state.Token(serial), events.At(unset.now)); got != want {
			t.Errorf("token %s: mode %s, want %s", serial, got, want)
		}
	}
}

// TestLastUsedIntervalInTheFutureIsReachedByTheToken checks that tokencodes are
// accepted again at the stated time.
func TestLastUsedIntervalInTheFutureIsReachedByTheToken(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada pin=471108", "clock a1 200", "resync ada 471108<code> <code+1>")
	if _, _, ok := w.state.Token("a1").LastUsedAhead(events.At(w.now)); ok {
		t.Error("the last used interval of a clock that is followed is said to be in the future")
	}
	w.do(strings.Fields("admin zero-drift a1"))
	w.offset["a1"] = 0
	_, from, ok := w.state.Token("a1").LastUsedAhead(events.At(w.now))
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

// TestSendingResumesWhenStated checks that the next tokencode can be sent at
// the stated time.
func TestSendingResumesWhenStated(t *testing.T) {
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

func TestUnusableAgreesWithLogins(t *testing.T) {
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

// TestRemainingEmergencyTokencodesAreAccepted checks that used ones are not
// counted as left.
func TestRemainingEmergencyTokencodesAreAccepted(t *testing.T) {
	lost := func(e events.TokenLost) func(w *world) {
		return func(w *world) {
			e.Serial, e.Sealed, e.Until = "a1", []byte("0123456789 9876543210"), events.At(w.now.Add(time.Hour))
			if got := w.command(engine.LoseToken{Lost: e}); got != "" {
				t.Fatal(got)
			}
		}
	}
	line := func(text string) func(w *world) { return func(w *world) { w.do(strings.Fields(text)) } }
	later := func(w *world) { w.now = w.now.Add(time.Hour) }
	for name, tt := range map[string]struct {
		steps      []func(*world)
		left       int
		known, own bool
	}{
		"given out":           {[]func(*world){lost(events.TokenLost{Found: engine.FoundRefuse, Given: 2})}, 2, true, false},
		"one used":            {[]func(*world){lost(events.TokenLost{Found: engine.FoundRefuse, Given: 2}), line("login ada 4711080123456789")}, 1, true, false},
		"one used wrongly":    {[]func(*world){lost(events.TokenLost{Found: engine.FoundRefuse, Given: 2}), line("login ada 4711090123456789")}, 2, true, false},
		"given out again":     {[]func(*world){lost(events.TokenLost{Found: engine.FoundRefuse, Given: 2}), line("login ada 4711080123456789"), lost(events.TokenLost{Found: engine.FoundAllow, Given: 2})}, 2, true, true},
		"of before it counts": {[]func(*world){lost(events.TokenLost{Found: engine.FoundRefuse})}, 0, false, false},
		"fixed, and used":     {[]func(*world){lost(events.TokenLost{Found: engine.FoundAfter, Fixed: true, Given: 1}), line("login ada 4711080123456789")}, 1, true, false},
		"over":                {[]func(*world){lost(events.TokenLost{Found: engine.FoundAfter, Given: 2}), later}, 0, true, true},
		"over, and refused":   {[]func(*world){lost(events.TokenLost{Found: engine.FoundRefuse, Given: 2}), later}, 0, true, false},
		"restored":            {[]func(*world){lost(events.TokenLost{Found: engine.FoundRefuse, Given: 2}), line("backup"), line("restore")}, 0, true, false},
	} {
		w := given(t, "user ada", "token a1 user=ada pin=471108")
		for _, step := range tt.steps {
			step(w)
		}
		l, now := w.state.Token("a1").Lost, events.At(w.now)
		if left, known := l.Left(now); left != tt.left || known != tt.known || l.OwnCount(now) != tt.own {
			t.Errorf("%s: %d left, known %v, own count %v; want %d, %v, %v", name, left, known, l.OwnCount(now), tt.left, tt.known, tt.own)
		}
	}
}

func TestTemporaryPINStaysTemporaryUntilReplaced(t *testing.T) {
	for name, tt := range map[string]struct {
		lines string
		want  bool
	}{
		"set":        {"admin temporary-pin a1 593174", true},
		"used":       {"admin temporary-pin a1 593174\nlogin ada 593174<code>", true},
		"changed":    {"admin temporary-pin a1 593174\nlogin ada 593174<code>\nanswer 806317 806317", false},
		"cleared":    {"admin temporary-pin a1 593174\nadmin clear-pin a1", false},
		"unassigned": {"admin temporary-pin a1 593174\nadmin unassign a1", false},
		"to be new":  {"admin new-pin a1", false},
	} {
		w := given(t, "user ada", "token a1 user=ada pin=471108")
		for line := range strings.Lines(tt.lines) {
			w.do(strings.Fields(line))
		}
		if got := w.state.Token("a1").Temporary; got != tt.want {
			t.Errorf("%s: temporary %v", name, got)
		}
	}
}
