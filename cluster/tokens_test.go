package cluster

import (
	"errors"
	"strings"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// A VPN that got no answer asks the next node with a new packet (T-28, F-35).
func TestRepeatedLoginOnAnotherNodeIsNotReuse(t *testing.T) {
	r := newCluster(t, 3)
	r.freeze()
	f := r.fob("ada")
	a := r.attempt("ada", f.passcode(r.clock(""), 0))
	a.Session = "192.0.2.1 acct-4711"
	first, second := r.follower(), r.leader()
	r.want(first, a, engine.Accept)

	a.Origin.Request = newRequest() // another packet
	a.User = " ADA"                 // the same user
	r.want(second, a, engine.Accept)
	r.kill(second)
	for _, n := range r.nodes {
		if n != first && n != second {
			r.want(n, a, engine.Accept) // the same packet, after the leader crashed
		}
	}
	r.start(second)
	r.ready(3)
	a.Origin.Request = newRequest()
	if out := r.must(second, a); out.Verdict != engine.Reject || out.Reason != events.ReasonTokencodeReused {
		t.Errorf("again at a node that was asked: %v (%s), want reuse", out.Verdict, out.Reason)
	}
}

// TestNobodyElseGetsTheAnswerOfALogin: who saw a passcode, and uses it while the
// answer is kept, is refused unless everything is as the gateway sent it.
func TestNobodyElseGetsTheAnswerOfALogin(t *testing.T) {
	r := newCluster(t, 3)
	r.freeze()
	f := r.fob("ada")
	a := r.attempt("ada", f.passcode(r.clock(""), 0))
	a.Session = "192.0.2.1 acct-4711"
	r.want(r.nodes[0], a, engine.Accept)
	for name, change := range map[string]func(*engine.Attempt){
		"another address or station": func(a *engine.Attempt) { a.Session = "192.0.2.2 acct-4711" },
		"another client":             func(a *engine.Attempt) { a.Origin.Client = "other" },
		"another front end":          func(a *engine.Attempt) { a.Origin.Door = events.DoorWeb },
		"no session":                 func(a *engine.Attempt) { a.Session = "" },
		"an application's key":       func(a *engine.Attempt) { a.Key, a.Session = a.Session, "" },
	} {
		for i := range 50 {
			b := a
			b.Origin.Request, b.Arrived = newRequest(), time.Time{}
			change(&b)
			if out := r.must(r.nodes[i%3], b); out.Verdict != engine.Reject {
				t.Fatalf("%s: %v (%s)", name, out.Verdict, out.Reason)
			}
		}
	}
}

func TestAdministratorCommandsThatNeedKeys(t *testing.T) {
	r := newCluster(t, 1)
	n, ctx := r.nodes[0], t.Context()
	f, g := r.fob("ada"), r.fob("bob")

	pin, err := n.SetTemporaryPIN(ctx, admin(), f.serial, "")
	if err != nil || len(pin) < 6 {
		t.Fatalf("temporary PIN of %d digits: %v", len(pin), err)
	}
	f.pin = pin.Reveal()
	if out := r.must(n, r.attempt("ada", f.passcode(r.clock(""), 0))); out.Prompt.Step != events.StepNewPIN {
		t.Errorf("temporary PIN: %v, asks %s", out.Verdict, out.Prompt.Step)
	}
	var refusal *engine.Refusal
	if _, err := n.SetTemporaryPIN(ctx, admin(), f.serial, "111111"); !errors.As(err, &refusal) {
		t.Errorf("a trivial PIN is set: %v", err)
	}

	codes, err := n.Lose(ctx, admin(), Loss{Serial: g.serial, Codes: 3, For: time.Hour, Found: engine.FoundRefuse})
	if err != nil || len(codes) != 3 {
		t.Fatalf("%d emergency tokencodes: %v", len(codes), err)
	}
	r.want(n, r.attempt("bob", engine.Secret(g.pin+codes[1])), engine.Accept)
	r.want(n, r.attempt("bob", engine.Secret(g.pin+codes[1])), engine.Reject)
	r.want(n, r.attempt("bob", g.passcode(r.clock(""), 0)), engine.Reject)
	if err := n.Do(ctx, admin(), engine.FindToken{Serial: g.serial}); err != nil {
		t.Fatal(err)
	}

	h := fob{user: "bob the second", serial: "T-new", pin: g.pin}
	sealed, err := n.SealSeed(h.serial, engine.Secret(h.seed()))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Do(ctx, admin(), engine.ImportToken{Token: events.TokenImported{
		Serial: h.serial, Kind: "totp", Algorithm: "SHA1", Digits: 6, Period: 30, Sealed: sealed,
	}}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Replace(ctx, admin(), g.serial, h.serial, true); err != nil {
		t.Fatal(err)
	}
	r.want(n, r.attempt("bob", h.passcode(r.clock(""), 1)), engine.Accept)
	if old := n.State().Token(g.serial); old.User != "" || !old.Disabled {
		t.Errorf("the replaced token is still in use: %+v", old)
	}

	first, second := h.passcode(r.clock(""), 200)[len(h.pin):], h.passcode(r.clock(""), 201)[len(h.pin):]
	if err := n.Resynchronize(ctx, admin(), h.serial, first, second); err != nil {
		t.Fatal(err)
	}
	if err := n.Resynchronize(ctx, admin(), h.serial, first, second); !errors.As(err, &refusal) {
		t.Errorf("the same two again: %v", err)
	}
	r.want(n, r.attempt("bob", h.passcode(r.clock(""), 202)), engine.Accept)
}

// The receiving node creates the activation code in the same command. It works on every
// node.
func TestActivationCodeIsCreatedByTheSameCommand(t *testing.T) {
	r := newCluster(t, 3)
	n, ctx := r.follower(), t.Context()
	if code, err := n.GiveOut(ctx, admin(), engine.AddUser{User: "ada"}); code != "" || err != nil {
		t.Fatalf("a user is added: %v, a code of %d digits", err, len(code))
	}
	if err := n.Do(ctx, admin(), engine.SetPolicy{Settings: map[string]string{"pin.first": "activation_code"}}); err != nil {
		t.Fatal(err)
	}
	f := fob{user: "ada", serial: "T-ada"}
	sealed, err := n.SealSeed(f.serial, engine.Secret(f.seed()))
	if err != nil {
		t.Fatal(err)
	}
	code, err := n.GiveOut(ctx, admin(), engine.ImportToken{User: "ada", Token: events.TokenImported{
		Serial: f.serial, Kind: "totp", Algorithm: "SHA1", Digits: 6, Period: 30, Sealed: sealed,
	}})
	if err != nil || len(code) < 6 {
		t.Fatalf("an activation code of %d digits: %v", len(code), err)
	}
	r.want(r.nodes[1], r.attempt("ada", f.passcode(r.clock(""), 0)), engine.Reject) // with only the tokencode
	f.pin = code.Reveal()
	if out := r.must(r.nodes[0], r.attempt("ada", f.passcode(r.clock(""), 0))); out.Prompt.Step != events.StepNewPIN {
		t.Errorf("with the activation code: %v (%s), asks %s", out.Verdict, out.Reason, out.Prompt.Step)
	}

	again, err := n.GiveOut(ctx, admin(), engine.ClearPIN{Serial: f.serial})
	if err != nil || again == "" || again == code {
		t.Fatalf("a PIN is cleared: %v, an activation code of %d digits, another one: %v", err, len(again), again != code)
	}
	f.pin = again.Reveal()
	if out := r.must(r.nodes[2], r.attempt("ada", f.passcode(r.clock(""), 1))); out.Prompt.Step != events.StepNewPIN {
		t.Errorf("with the new activation code: %v (%s), asks %s", out.Verdict, out.Reason, out.Prompt.Step)
	}
}

func TestOnDemandTokencodeIsDeliveredAndWorksOnAnyNode(t *testing.T) {
	r := newRig(t)
	sent := make(chan engine.Delivery, 4)
	r.configure = func(c *Config) {
		c.Deliver = func(d engine.Delivery) { sent <- d }
		c.Sends = func(address engine.Secret) bool { return strings.HasPrefix(address.Reveal(), "mailto:") }
	}
	r.bootstrap("n1")
	r.join("n2")
	r.ready(2)
	n := r.nodes[0]
	address, err := n.SealSeed("O-1", "mailto:olga@example.com")
	if err != nil {
		t.Fatal(err)
	}
	pin, err := n.SealPIN(t.Context(), "O-1", 1, "471108")
	if err != nil {
		t.Fatal(err)
	}
	telephone, err := n.SealSeed("O-2", "tel:+441632960961")
	if err != nil {
		t.Fatal(err)
	}
	telephonePIN, err := n.SealPIN(t.Context(), "O-2", 1, "471108")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []engine.Command{
		engine.AddUser{User: "otto"},
		engine.ImportToken{User: "otto", PIN: telephonePIN, Token: events.TokenImported{Serial: "O-2", Kind: engine.KindOnDemand, Digits: 8, Sealed: telephone}},
		engine.AddUser{User: "olga"},
		engine.ImportToken{User: "olga", PIN: pin, Token: events.TokenImported{Serial: "O-1", Kind: engine.KindOnDemand, Digits: 8, Sealed: address}},
	} {
		if err := n.Do(t.Context(), admin(), c); err != nil {
			t.Fatal(err)
		}
	}
	if out := r.must(n, r.attempt("otto", "471108")); out.Verdict != engine.Reject || out.Reason != events.ReasonNoToken || out.Prompt.Sent {
		t.Errorf("where nothing can be sent: %+v", out)
	}
	first := r.attempt("olga", "471108")
	first.Origin.Reference = "7K3M-QX4P"
	r.must(r.follower(), first)
	(<-sent).NotSent("mail", "failed")
	r.eventually("what was not sent, in the trail", func() error {
		for _, one := range r.nodes {
			if one.State().Token("O-1").NotSent.IsZero() {
				return errors.New("not yet")
			}
		}
		return nil
	})
	last, _ := n.Journal().Last()
	records, err := n.Journal().Read(last, 1)
	if err != nil {
		t.Fatal(err)
	}
	if e, ok := records[0].Event.(events.TokencodeNotSent); !ok || e.User != "olga" || e.Result != "failed" || records[0].Origin.Reference != "7K3M-QX4P" {
		t.Errorf("recorded as %+v", records[0].Draft)
	}
	out := r.must(n, r.attempt("olga", "471108"))
	if out.Verdict != engine.Challenge || !out.Prompt.Sent {
		t.Fatalf("%+v", out)
	}
	if !n.State().Token("O-1").NotSent.IsZero() {
		t.Error("another one is asked for, and it still counts as not sent")
	}
	d := <-sent
	if d.Address.Reveal() != "mailto:olga@example.com" {
		t.Errorf("sent to %q", d.Address.Reveal())
	}
	if !d.Wanted() || d.Asked.IsZero() {
		t.Errorf("what was asked for at %v is wanted: %v", d.Asked, d.Wanted())
	}
	if !d.Expires.Equal(out.Prompt.Expires) || d.Expires.IsZero() {
		t.Errorf("the tokencode is sent as good until %v, and is good until %v", d.Expires, out.Prompt.Expires)
	}
	a := r.attempt("olga", d.Tokencode)
	a.Conversation = out.Conversation
	r.want(r.nodes[1], a, engine.Accept)
	if d.Wanted() {
		t.Error("a tokencode is wanted that has let its user in")
	}
	a.Origin.Request = newRequest()
	r.want(n, a, engine.Reject)
}
