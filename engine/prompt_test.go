package engine_test

import (
	"testing"

	"keyfob/engine"
)

// A door words its pages by the prompt: it must say how the passcode of the
// token is put together, at every step and after the last one.
func TestPromptSaysHowThePasscodeIsMade(t *testing.T) {
	type made struct{ pinpad, noPIN, event, sent, emergency bool }
	of := func(p engine.Prompt) made { return made{p.Rules.PINpad, p.NoPIN, p.Event, p.Sent, p.Emergency} }
	for _, tt := range []struct {
		name, token, passcode, next string
		want                        made
	}{
		{"fob", "pin=471108", "471108<code>", "<code>", made{}},
		{"PINpad", "kind=securid style=pinpad pin=471108", "<mix:471108:code>", "<code>", made{pinpad: true}},
		{"no PIN", "style=none", "<code>", "<code>", made{noPIN: true}},
		{"event token", "kind=hotp pin=471108", "471108<code>", "<code+1>", made{event: true}},
		{"on demand", "kind=ondemand pin=471108", "471108", "<sent>", made{sent: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := given(t, "user ada", "token 123 user=ada "+tt.token, "admin next-tokencode 123")
			w.do([]string{"at", "12:00:00", "login", "ada", tt.passcode})
			if got := of(w.last.Prompt); w.last.Verdict != engine.Challenge || got != tt.want {
				t.Errorf("asked for the next tokencode: %v %+v, want %+v", w.last.Verdict, got, tt.want)
			}
			w.do([]string{"at", "12:01:00", "answer", tt.next})
			if got := of(w.last.Prompt); w.last.Verdict != engine.Accept || got != tt.want {
				t.Errorf("accepted: %v %+v, want %+v", w.last.Verdict, got, tt.want)
			}
		})
	}
	w := given(t, "user ada", "token a1 user=ada pin=471108", "admin lost a1 refuse 7 once 1234567890 2345678901")
	w.do([]string{"login", "ada", "4711081234567890"})
	if got := of(w.last.Prompt); w.last.Verdict != engine.Accept || got != (made{emergency: true}) {
		t.Errorf("emergency tokencode: %v %+v", w.last.Verdict, got)
	}
}

func TestPromptSaysHowManyTokencodesMayFollow(t *testing.T) {
	w := given(t, "policy next_tokencode.within=3", "user ada", "token a1 user=ada pin=471108", "admin next-tokencode a1")
	w.do([]string{"login", "ada", "471108<code>"})
	if p := w.last.Prompt; p.Within != 3 || p.Extendable {
		t.Errorf("within %d, extendable %v", p.Within, p.Extendable)
	}
}
