package cluster

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// lost marks a token as lost and returns an emergency tokencode that is valid once.
func (r *rig) lost(f fob) engine.Secret {
	r.t.Helper()
	codes, err := r.nodes[0].Lose(r.t.Context(), admin(), Loss{Serial: f.serial, Codes: 1, For: time.Hour, Found: engine.FoundRefuse})
	if err != nil {
		r.t.Fatal(err)
	}
	return engine.Secret(f.pin + codes[0])
}

// asked puts a token into Next Tokencode mode, logs in, and returns the answer with
// the next tokencode.
func (r *rig) asked(f fob) engine.Attempt {
	r.t.Helper()
	n := r.nodes[0]
	if err := n.Do(r.t.Context(), admin(), engine.RequireNextTokencode{Serial: f.serial}); err != nil {
		r.t.Fatal(err)
	}
	out := r.want(n, r.attempt(f.user, f.passcode(r.clock(""), 0)), engine.Challenge)
	a := r.attempt(f.user, f.passcode(r.clock(""), 1)[len(f.pin):])
	a.Conversation = out.Conversation
	return a
}

// T-01: an emergency tokencode that is valid once, and the answer to a challenge, on
// three nodes at the same time.
func TestSingleUseSecretsWorkOnceInTheWholeCluster(t *testing.T) {
	r := newCluster(t, 3)
	r.freeze()
	r.policy(map[string]string{"refusal.delay": "0s"})
	for name, prepare := range map[string]func(f fob) engine.Attempt{
		"emergency tokencode": func(f fob) engine.Attempt { return r.attempt(f.user, r.lost(f)) },
		"answer":              r.asked,
	} {
		for round := range rounds(t, 20) {
			f := r.bare(fmt.Sprintf("user%d-%.1s", round, name))
			a := prepare(f)
			r.known(f)
			const callers = 32
			var accepted, undecided atomic.Int32
			together(callers, func(i int) {
				b := a
				b.Origin.Request = newRequest()
				out, err := r.nodes[i%3].Authenticate(t.Context(), b)
				switch {
				case err != nil:
					undecided.Add(1)
					t.Logf("undecided: %v", err)
				case out.Verdict == engine.Accept:
					accepted.Add(1)
				}
			})
			if n := accepted.Load(); n > 1 || n == 0 && undecided.Load() == 0 {
				t.Errorf("%s, round %d: %d of %d were accepted, %d undecided", name, round, n, callers, undecided.Load())
			}
		}
	}
}

// T-27: a conversation with one changed bit is refused, and the refusal reveals
// nothing. The unchanged conversation still works afterwards.
func TestTamperedConversationIsRefused(t *testing.T) {
	r := newCluster(t, 1)
	r.freeze()
	n := r.nodes[0]
	a := r.asked(r.fob("ada"))
	a.Arrived = time.Time{} // not from a door: refusals are not delayed
	given := a.Conversation
	var first engine.Outcome
	for i := range len(given) * 8 {
		text := []byte(given)
		text[i/8] ^= 1 << (i % 8)
		a.Conversation, a.Origin.Request = string(text), newRequest()
		out, err := n.Authenticate(t.Context(), a)
		if i == 0 {
			first = out
		}
		if err != nil || out != first || out.Verdict != engine.Reject || out.Reason != events.ReasonConversationExpired {
			t.Fatalf("with bit %d changed: %+v, %v", i, out, err)
		}
		if _, err := n.Prompt(t.Context(), string(text), a.Origin); err == nil {
			t.Fatalf("with bit %d changed it is shown", i)
		}
	}
	for _, text := range []string{given[:len(given)-1], given + "A", given + given, given[1:], " " + given + " ", given + "\x00"} {
		a.Conversation, a.Origin.Request = text, newRequest()
		if out, err := n.Authenticate(t.Context(), a); err != nil || out != first {
			t.Errorf("%q: %+v, %v", text, out, err)
		}
	}
	a.Conversation, a.Origin.Request = given, newRequest()
	r.want(n, a, engine.Accept)
}

// T-27: the conversation of one user, client or door does not work for another, and a
// try does not affect its owner.
func TestForeignConversationIsRefused(t *testing.T) {
	r := newCluster(t, 1)
	r.freeze()
	n := r.nodes[0]
	a, b, c := r.asked(r.fob("ada")), r.asked(r.fob("bob")), r.asked(r.fob("cid"))
	for name, change := range map[string]func(a *engine.Attempt){
		"another user's":      func(a *engine.Attempt) { a.Conversation = b.Conversation },
		"another user":        func(a *engine.Attempt) { a.User = "bob" },
		"another user's name": func(a *engine.Attempt) { a.Conversation, a.User = c.Conversation, "cid" },
		"another client":      func(a *engine.Attempt) { a.Origin.Client = "vpn2" },
		"no client":           func(a *engine.Attempt) { a.Origin.Client = "" },
		"another door":        func(a *engine.Attempt) { a.Origin.Door = events.DoorRADIUS },
		"a holder":            func(a *engine.Attempt) { a.Holder = "token:portal" },
	} {
		stolen := a
		stolen.Origin.Request, stolen.Arrived = newRequest(), time.Time{}
		change(&stolen)
		out, err := n.Authenticate(t.Context(), stolen)
		if err != nil || out.Verdict != engine.Reject {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
		prompt, err := n.Prompt(t.Context(), stolen.Conversation, stolen.Origin)
		elsewhere := stolen.Origin.Client != a.Origin.Client || stolen.Origin.Door != a.Origin.Door
		if elsewhere && (!errors.Is(err, engine.ErrConversation) || prompt != engine.Prompt{}) {
			t.Errorf("%s is shown %+v, %v", name, prompt, err)
		}
	}
	for user, want := range map[string]uint32{"ada": 0, "bob": 0, "cid": 1} {
		if u := n.State().User(user); u.Failures != want {
			t.Errorf("%s has %d failures, want %d", user, u.Failures, want)
		}
	}
	r.want(n, a, engine.Accept)
	r.want(n, b, engine.Accept)
}

// T-28: the leader crashes after its decision, before the answer arrives. The same
// packet, sent to another node, gets the same answer. Nothing is spent or counted
// twice, and a PIN that is shown is the one that was set.
func TestRetryAfterTheLeaderFailedGetsTheFirstAnswer(t *testing.T) {
	r := newCluster(t, 3)
	r.freeze()
	type packet struct {
		what    string
		attempt engine.Attempt
		want    engine.Verdict
		first   engine.Outcome
	}
	login, wrong, drifted, fresh := r.fob("login"), r.fob("wrong"), r.fob("drifted"), r.fob("fresh")
	emergency, next := r.bare("emergency"), r.fob("next")
	code := r.lost(emergency)
	if err := r.leader().Do(t.Context(), admin(), engine.RequireNewPIN{Serial: fresh.serial}); err != nil {
		t.Fatal(err)
	}
	r.policy(map[string]string{"pin.source": "generated", "refusal.delay": "0s"})
	asked := r.want(r.leader(), r.attempt(fresh.user, fresh.passcode(r.clock(""), 0)), engine.Challenge)
	generated := r.attempt(fresh.user, "y")
	generated.Conversation = asked.Conversation

	packets := []*packet{
		{what: "a right passcode", attempt: r.attempt(login.user, login.passcode(r.clock(""), 0)), want: engine.Accept},
		{what: "a wrong one", attempt: r.attempt(wrong.user, "000000"), want: engine.Reject},
		{what: "one of a clock that is off", attempt: r.attempt(drifted.user, drifted.passcode(r.clock(""), 3)), want: engine.Challenge},
		{what: "an emergency tokencode", attempt: r.attempt(emergency.user, code), want: engine.Accept},
		{what: "the next tokencode", attempt: r.asked(next), want: engine.Accept},
		{what: "the wish for a PIN", attempt: generated, want: engine.Challenge},
	}
	for i, p := range packets {
		if i%2 == 1 {
			p.attempt.Key = "4711" // recognized by what its sender says
		}
		p.first = r.want(r.follower(), p.attempt, p.want)
	}
	before := r.leader().replica.View()
	r.kill(r.leader())
	for _, p := range packets {
		if p.attempt.Key != "" {
			p.attempt.Origin.Request = newRequest()
		}
		for _, n := range r.nodes {
			if n.done == nil {
				continue
			}
			again := r.want(n, p.attempt, p.want)
			if again.Reason != p.first.Reason || again.Prompt.Step != p.first.Prompt.Step || again.Prompt.PIN != p.first.Prompt.PIN {
				t.Errorf("%s, again at %s: %+v, first %+v", p.what, n.name, again, p.first)
			}
		}
		was, is := before.State.User(p.first.User), r.leader().replica.View().State.User(p.first.User)
		if was.Failures != is.Failures || was.LastSuccess != is.LastSuccess || was.Conversation != nil && was.Conversation.Turn != is.Conversation.Turn {
			t.Errorf("%s was decided a second time: %+v, before %+v", p.what, is, was)
		}
	}
}
