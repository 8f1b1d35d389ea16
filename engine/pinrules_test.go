package engine_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"keyfob/engine"
)

// ways are the ways to set a chosen PIN. Each returns the result, with the
// broken rule in brackets.
var ways = map[string]func(w *world, pin string) string{
	"typed twice at a page": func(w *world, pin string) string {
		w.do(strings.Fields("login vera471108 <code>"))
		return w.do([]string{"answer", pin, pin})
	},
	"typed once, and again": func(w *world, pin string) string {
		w.do(strings.Fields("login vera471108 <code>"))
		first := w.do([]string{"answer", pin})
		if first != "challenge, asks confirm_pin" {
			return first
		}
		return w.do([]string{"answer", pin})
	},
	"where there is a choice": func(w *world, pin string) string {
		w.do(strings.Fields("policy pin.source=either"))
		w.do(strings.Fields("login vera471108 <code>"))
		return w.do([]string{"answer", pin, pin})
	},
	"after the choice": func(w *world, pin string) string {
		w.do(strings.Fields("policy pin.source=either"))
		w.do(strings.Fields("login vera471108 <code>"))
		w.do(strings.Fields("answer y"))
		return w.do([]string{"answer", pin, pin})
	},
	"instead of one that is to be changed": func(w *world, pin string) string {
		serial := w.serial("vera471108", "")
		w.do([]string{"admin", "temporary-pin", serial, "593174"})
		w.user = "vera471108"
		passcode := w.spell("593174<code>")
		if w.state.Token(serial).PINStyle == "pinpad" {
			passcode = w.spell("<mix:593174:code>")
		}
		w.do([]string{"login", "vera471108", passcode})
		return w.do([]string{"answer", pin, pin})
	},
	"by an administrator": func(w *world, pin string) string {
		_, err := engine.TemporaryPIN(w.state, w.keys, w.state.Token(w.serial("vera471108", "")), engine.Secret(pin), nil)
		var refusal *engine.Refusal
		if err != nil && (!errors.As(err, &refusal) || strings.Contains(err.Error(), pin)) {
			return "refused as " + err.Error()
		}
		return fmt.Sprint(err)
	},
}

// TestEveryWayOfSettingAPINKeepsItsRules: rules.md, "New PIN mode".
func TestEveryWayOfSettingAPINKeepsItsRules(t *testing.T) {
	const fob, pinpad = "token TK83-914K266 user=vera471108", "token 839142000066 user=vera471108 kind=securid style=pinpad form=pinpad"
	for _, c := range []struct {
		token, policy, pin, breaks string
	}{
		{fob, "", "728406", ""},
		{fob, "", "07284061", ""}, // eight, with a zero in front
		{fob, "", "72840", "pin_length"},
		{fob, "", "728406193", "pin_length"},
		{fob, "pin.min=4", "7284", ""},
		{fob, "pin.min=4", "728", "pin_length"},
		{fob, "", "72840a", "pin_characters"},
		{fob, "", "72840!", "pin_characters"},
		{fob, "", "72840é", "pin_characters"},
		{fob, "pin.alphanumeric=true", "72840a", ""},
		{fob, "pin.alphanumeric=true", "72840!", "pin_characters"},
		{fob, "", "７２８４０６", ""}, // which is 728406
		{fob, "", "777777", "pin_trivial"},
		{fob, "", "474747", "pin_trivial"},
		{fob, "", "836836", "pin_trivial"},
		{fob, "", "836 836", "pin_trivial"},
		{fob, "", "836837", ""},
		{fob, "", "4747474", ""}, // not all of it is repeated
		{fob, "", "345678", "pin_trivial"},
		{fob, "", "876543", "pin_trivial"},
		{fob, "pin.alphanumeric=true", "aaaaaa", "pin_trivial"},
		{fob, "pin.alphanumeric=true", "abcdef", "pin_trivial"},
		{fob, "pin.alphanumeric=true", "fedcba", "pin_trivial"},
		{fob, "", "345679", ""},
		{fob, "", "159753", "pin_common"},
		{fob, "pin.alphanumeric=true", "QWERTY", "pin_common"},
		{fob, "", "471108", "pin_personal"},                           // the user's
		{fob, "pin.min=4", "7110", "pin_personal"},                    // within it
		{fob, "pin.alphanumeric=true", "VERA47", "pin_personal"},      // in any case
		{fob, "", "839142", "pin_personal"},                           // the serial's
		{fob, "", "914266", "pin_personal"},                           // over what stands between
		{fob, "pin.alphanumeric=true", "tk8391", "pin_personal"},      // and its letters
		{fob, "", "241938", ""},                                       // backwards is another
		{pinpad, "", "728406", ""},                                    // as long as the tokencode
		{pinpad, "", "7284061", "pin_length"},                         // longer
		{pinpad, "pin.min=4", "728", "pin_length"},                    // shorter
		{pinpad, "", "072840", "pin_leading_zero"},                    // which would leave the first digit as it is
		{pinpad, "pin.alphanumeric=true", "72840a", "pin_characters"}, // a PINpad has no letters
		{pinpad, "", "914200", "pin_personal"},
		{pinpad, "", "777777", "pin_trivial"},
		{pinpad + " digits=8", "", "72840619", ""},
		{pinpad + " digits=8", "pin.max=12", "728406193", "pin_length"},
		{pinpad, "pin.min=8", "728406", ""}, // or no PIN would do
	} {
		for name, way := range ways {
			w := given(t, "policy pin.rounds=10 "+c.policy, "user vera471108", c.token)
			got := way(w, c.pin)
			switch {
			case c.breaks != "" && !strings.Contains(got, "("+c.breaks+")"):
				t.Errorf("%s (%s) %s: %s comes to %q, want %s", c.token, c.policy, name, c.pin, got, c.breaks)
			case c.breaks == "" && got != "challenge, asks login" && got != "<nil>":
				t.Errorf("%s (%s) %s: %s comes to %q", c.token, c.policy, name, c.pin, got)
			}
		}
	}
}

// A PIN that moves with a replacement was fit for the other token. Its digits
// are not read on the way, so the first login detects that it is unfit.
func TestPINOfAReplacementMeetsTheRules(t *testing.T) {
	for serial, want := range map[string]string{"839142": "challenge pin_change_required, asks new_pin", "839143": accepted} {
		w := given(t, "user ada", "token a1 user=ada pin=839142", "token "+serial, "admin replace a1 "+serial+" 839142")
		if got := w.do(strings.Fields("login ada 839142<code@" + serial + ">")); got != want {
			t.Errorf("839142 at token %s: %q, want %q", serial, got, want)
		}
	}
}

// TestGeneratedPINsKeepTheRules generates many, for rules that leave few.
func TestGeneratedPINsKeepTheRules(t *testing.T) {
	for _, c := range []struct {
		token, policy string
		length        int
	}{
		{"token 471108 user=ada", "", 6},
		{"token 471108 user=ada", "pin.min=8", 8},
		{"token 471108 user=ada", "pin.min=4 pin.max=5", 5},
		{"token 0123456789876543210 user=ada", "pin.min=4 pin.max=4", 4},
		{"token 123456789012 user=ada kind=securid style=pinpad form=pinpad", "pin.min=8 pin.max=12", 6},
		{"token 123456789012 user=ada kind=securid style=pinpad form=pinpad digits=8", "pin.min=8 pin.max=12", 8},
	} {
		w := given(t, "user ada", c.token, "policy pin.alphanumeric=true "+c.policy)
		tok := w.state.Token(w.serial("ada", ""))
		drawn := map[string]bool{}
		for i := range 200 {
			w.keys.drawn = byte(i) // or they go round in a circle
			pin, err := engine.TemporaryPIN(w.state, w.keys, tok, "", nil)
			if err != nil {
				t.Fatalf("%s (%s): %v", c.token, c.policy, err)
			}
			drawn[pin.Reveal()] = true
			if _, err := engine.TemporaryPIN(w.state, w.keys, tok, pin, nil); err != nil || len(pin) != c.length {
				t.Errorf("%s (%s): %s was generated: %v", c.token, c.policy, pin.Reveal(), err)
			}
		}
		if len(drawn) < 100 {
			t.Errorf("%s (%s): %d PINs in 200 draws", c.token, c.policy, len(drawn))
		}
	}
}

// TestPINIsNoneOfTheLastFive, including the present one. The one before them is
// allowed again.
func TestPINIsNoneOfTheLastFive(t *testing.T) {
	const set, usedBefore = "challenge, asks login", "challenge new_pin_refused, asks new_pin (pin_used_before)"
	for token, passcode := range map[string]string{
		"token a1 user=ada": "%s<code>",
		"token 123456789012 user=ada kind=securid style=pinpad form=pinpad": "<mix:%s:code>",
	} {
		w := given(t, "user ada", token, "policy pin.rounds=10")
		pins := []string{"728406", "839142", "593174", "806317", "471108", "620593"}
		answer := func(pin, want string) {
			t.Helper()
			if got := w.do([]string{"answer", pin, pin}); got != want {
				t.Errorf("%s: %s comes to %q, want %q", token, pin, got, want)
			}
		}
		change := func(present string) {
			t.Helper()
			w.now = w.now.Add(time.Minute)
			w.do([]string{"admin", "new-pin", w.serial("ada", "")})
			w.do([]string{"login", "ada", fmt.Sprintf(passcode, present)})
		}
		w.do(strings.Fields("login ada <code>"))
		for i, pin := range pins {
			if i > 0 {
				change(pins[i-1])
			}
			answer(pin, set)
		}
		change(pins[5])
		for _, pin := range pins[1:] {
			answer(pin, usedBefore)
		}
		answer(pins[0], set)
	}
}
