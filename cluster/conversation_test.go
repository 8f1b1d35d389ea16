package cluster

import (
	"errors"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// A conversation continues on any node, but only at the same door and for the same
// client.
func TestConversationContinuesOnAnyNode(t *testing.T) {
	r := newCluster(t, 3)
	f := fob{user: "ada", serial: "T-ada"}
	n := r.leader()
	sealed, err := n.SealSeed(f.serial, engine.Secret(f.seed()))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []engine.Command{
		engine.AddUser{User: "ada"},
		engine.ImportToken{User: "ada", Token: events.TokenImported{
			Serial: f.serial, Kind: "totp", Algorithm: "SHA1", Digits: 6, Period: 30, PINStyle: "fob", Form: engine.FormFob, Sealed: sealed,
		}},
	} {
		if err := n.Do(t.Context(), admin(), c); err != nil {
			t.Fatal(err)
		}
	}
	r.known(f)
	step := 0
	say := func(before engine.Outcome, typed engine.Secret) engine.Attempt {
		a := r.attempt("ada", typed)
		a.Conversation = before.Conversation
		step++
		return a
	}
	asked := func() *testNode { return r.nodes[step%3] }

	out := r.want(asked(), say(engine.Outcome{}, f.passcode(r.clock(""), 0)), engine.Challenge)
	if out.Prompt.Step != events.StepNewPIN {
		t.Fatalf("a token without a PIN is asked for %q", out.Prompt.Step)
	}
	stolen := say(out, "864209")
	stolen.Origin.Client = "other"
	if got := r.want(asked(), stolen, engine.Reject); got.Reason != events.ReasonConversationExpired {
		t.Fatalf("another client hears %q", got.Reason)
	}
	forged := say(engine.Outcome{Conversation: out.Conversation[:len(out.Conversation)-4] + "AAAA"}, "864209")
	r.want(asked(), forged, engine.Reject)

	for _, m := range r.nodes {
		prompt, err := m.Prompt(t.Context(), out.Conversation, atClient(stolen.Origin, "vpn"))
		if err != nil || prompt.Step != events.StepNewPIN {
			t.Fatalf("%s shows %+v, %v", m.name, prompt, err)
		}
		if _, err := m.Prompt(t.Context(), "nonsense", stolen.Origin); !errors.Is(err, engine.ErrConversation) {
			t.Fatalf("nonsense: %v", err)
		}
	}
	out = r.want(asked(), say(out, "864209"), engine.Challenge)
	if out.Prompt.Step != events.StepConfirmPIN {
		t.Fatalf("asked for %q", out.Prompt.Step)
	}
	r.kill(r.leader()) // meanwhile
	out = r.want(r.follower(), say(out, "864209"), engine.Challenge)
	if out.Prompt.Step != events.StepLogin {
		t.Fatalf("asked for %q", out.Prompt.Step)
	}
	r.advance("", 30*time.Second)
	f.pin = "864209"
	r.want(r.leader(), say(out, f.passcode(r.clock(""), 0)), engine.Accept)
}

// Two applications that use the same client name cannot exchange conversations (T-27).
func TestConversationStaysWithItsHolder(t *testing.T) {
	r := newCluster(t, 1)
	n, f := r.nodes[0], r.fob("ada")
	if err := n.Do(t.Context(), admin(), engine.RequireNextTokencode{Serial: f.serial}); err != nil {
		t.Fatal(err)
	}
	first := r.attempt("ada", f.passcode(r.clock(""), 0))
	first.Origin.Door, first.Holder = events.DoorAPI, "token:portal"
	out := r.want(n, first, engine.Challenge)
	for _, holder := range []string{"", "token:intranet", "token:portal"} {
		a := r.attempt("ada", f.passcode(r.clock(""), 1)[len(f.pin):])
		a.Origin.Door, a.Origin.Client, a.Holder, a.Conversation = events.DoorAPI, first.Origin.Client, holder, out.Conversation
		if holder == first.Holder {
			r.want(n, a, engine.Accept)
		} else if got := r.want(n, a, engine.Reject); got.Reason != events.ReasonConversationExpired {
			t.Errorf("%q hears %q", holder, got.Reason)
		}
	}
}

// atClient is the origin of another client.
func atClient(o events.Origin, client string) events.Origin {
	o.Client = client
	return o
}
