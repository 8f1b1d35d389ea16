package nodetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/engine/tokencode"
	"keyfob/events"
)

// Full is a node that does everything that front ends rely on.
type Full interface {
	Authenticate(context.Context, engine.Attempt) (engine.Outcome, error)
	Prompt(ctx context.Context, conversation string, o events.Origin) (engine.Prompt, error)
	Do(context.Context, events.Origin, engine.Command) error
	State() *engine.State
	SealSeed(serial string, seed engine.Secret) ([]byte, error)
	SealPIN(ctx context.Context, serial string, revision uint64, pin engine.Secret) ([]byte, error)
}

// SubjectOf returns a subject that claims everything, for a node with the rules.
// The clock stands still unless the suite advances it.
func SubjectOf(t *testing.T, n Full, now func() time.Time, advance func(time.Duration), stop func()) Subject {
	count := 0
	user := func(pin string) (name string, passcode engine.Secret) {
		t.Helper()
		count++
		name = fmt.Sprintf("user%d", count)
		return name, enroll(t, n, name, pin, now())
	}
	attempt := func(name string, typed engine.Secret) engine.Attempt {
		return engine.Attempt{
			Origin: events.Origin{Request: Request(), Door: events.DoorWeb, Client: "client"}, User: name, Typed: typed,
		}
	}
	return Subject{
		Authenticate: n.Authenticate, Prompt: n.Prompt, Do: n.Do, State: n.State,
		Once: true, Advance: advance, Stop: stop,
		Accepted: func() engine.Attempt { return attempt(user("135792")) },
		Refused: func() engine.Attempt {
			name, _ := user("135792")
			return attempt(name, "000000000000")
		},
		Challenged: func() engine.Attempt { return attempt(user("")) },
		Answer: func(asked engine.Attempt, out engine.Outcome) engine.Attempt {
			a := again(asked)
			a.User, a.Typed, a.Conversation = "", "", out.Conversation
			switch out.Prompt.Step {
			case events.StepChoosePIN:
				a.Choice = engine.ChoiceOwn
			case events.StepNewPIN:
				a.Typed, a.Again = "864209", "864209"
			default:
				t.Fatalf("a token without a PIN is asked for step %q", out.Prompt.Step)
			}
			return a
		},
	}
}

// enroll adds a user with a TOTP token and returns the present passcode. Without
// a PIN, one must be set at the first login.
func enroll(t *testing.T, n Full, user, pin string, now time.Time) engine.Secret {
	t.Helper()
	serial := "T-" + user
	seed := fmt.Appendf(nil, "%-20.20s", "seed of "+user)
	sealed, err := n.SealSeed(serial, engine.Secret(seed))
	if err != nil {
		t.Fatal(err)
	}
	c := engine.ImportToken{User: user, Token: events.TokenImported{
		Serial: serial, Kind: "totp", Algorithm: "SHA1", Digits: 6, Period: 30, PINStyle: "fob", Form: engine.FormFob, Sealed: sealed,
	}}
	if pin != "" {
		if c.PIN, err = n.SealPIN(t.Context(), serial, 1, engine.Secret(pin)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []engine.Command{engine.AddUser{User: user}, c} {
		if err := n.Do(t.Context(), admin(), c); err != nil {
			t.Fatal(err)
		}
	}
	p := tokencode.Params{Kind: tokencode.TOTP, Algorithm: tokencode.SHA1, Digits: 6, Period: 30 * time.Second}
	gen, err := tokencode.New(p, seed)
	if err != nil {
		t.Fatal(err)
	}
	return engine.Secret(pin + gen.At(tokencode.Interval(p, now)))
}
