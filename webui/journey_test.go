package webui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"keyfob/cluster/nodetest"
	"keyfob/engine"
	"keyfob/engine/tokencode"
	"keyfob/events"
)

// TestPagesSuitTheTokenAllTheWay takes new tokens of each kind through the wizard,
// with the engine's rules behind it. No page tells a user to type what the
// engine would refuse.
func TestPagesSuitTheTokenAllTheWay(t *testing.T) {
	const inFront = "in front of every tokencode"
	for _, tt := range []struct {
		name             string
		token            events.TokenImported
		pin, login, done string // what the pages say
		otherwise        string // and what they do not
		typed            func(pin, code string) string
	}{
		{
			name:  "fob",
			token: events.TokenImported{Kind: "totp", Algorithm: "SHA1", Period: 60, PINStyle: "fob", Form: engine.FormFob},
			pin:   inFront, login: "Your new PIN, then the new tokencode", done: "type your PIN followed by a new tokencode",
			otherwise: "in your token.", typed: func(pin, code string) string { return pin + code },
		},
		{
			name:  "PINpad",
			token: events.TokenImported{Kind: "securid", Period: 60, PINStyle: "pinpad", Form: engine.FormPINpad},
			pin:   "You will enter this PIN in your token", login: "Enter your new PIN in your token.", done: "enter your PIN in your token",
			otherwise: inFront, typed: func(pin, code string) string {
				mixed, err := tokencode.MixPIN(pin, code)
				if err != nil {
					t.Fatal(err)
				}
				return mixed
			},
		},
		{
			name:  "event token",
			token: events.TokenImported{Kind: "hotp", Algorithm: "SHA1", PINStyle: "fob", Form: engine.FormFob},
			pin:   inFront, login: "Press the button on your token", done: "press the button on your token each time",
			otherwise: "Wait until", typed: func(pin, code string) string { return pin + code },
		},
		{
			name:  "no PIN",
			token: events.TokenImported{Kind: "totp", Algorithm: "SHA1", Period: 60, PINStyle: "none", Form: engine.FormFob},
			done:  "You do not need a PIN", otherwise: "your PIN",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := noon
			n := nodetest.New(func() time.Time { return now })
			code := enroll(t, n, tt.token)
			h, err := New(testConfig(n))
			if err != nil {
				t.Fatal(err)
			}
			v := &visitor{t: t, h: h, cookies: make(map[string]string)}
			says := func(path, want string) {
				t.Helper()
				_, page, _ := strings.Cut(body(t, v.send(get(path))), "<h1>")
				if !strings.Contains(page, want) || strings.Contains(page, tt.otherwise) {
					t.Errorf("%s says %q or does not say %q:\n%s", path, tt.otherwise, want, page)
				}
			}
			to := v.submit("/", fields("user", "ada", "passcode", code(now)))
			if tt.pin != "" {
				says(to, tt.pin)
				to = v.submit("/pin", fields("pin", "482159", "pin_again", "482159"))
				says(to, tt.login)
				now = now.Add(time.Minute)
				to = v.submit("/login", fields("passcode", tt.typed("482159", code(now))))
			}
			if to != pathDone {
				t.Fatalf("the wizard ends at %s", to)
			}
			says(to, tt.done)
		})
	}
}

// enroll gives ada the token. It returns the tokencode at a time, or after as
// many presses of the button as minutes have passed.
func enroll(t *testing.T, n *nodetest.Node, e events.TokenImported) func(time.Time) string {
	t.Helper()
	seed := []byte("sixteen bytes of")
	p := tokencode.Params{Kind: tokencode.Kind(e.Kind), Algorithm: tokencode.Algorithm(e.Algorithm), Digits: 6, Period: time.Duration(e.Period) * time.Second, Serial: "4711"}
	gen, err := tokencode.New(p, seed)
	if err != nil {
		t.Fatal(err)
	}
	e.Serial, e.Digits, e.Sealed = "4711", 6, seed
	for i, c := range []engine.Command{engine.AddUser{User: "ada"}, engine.ImportToken{User: "ada", Token: e}} {
		if err := n.Do(t.Context(), events.Origin{Request: nodetest.Request(), Door: events.DoorAPI, Actor: "tester"}, c); err != nil {
			t.Fatal(fmt.Errorf("command %d: %w", i, err))
		}
	}
	return func(at time.Time) string {
		if e.Period == 0 {
			return gen.At(int64(at.Sub(noon) / time.Minute))
		}
		return gen.At(tokencode.Interval(p, at))
	}
}
