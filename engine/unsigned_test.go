package engine_test

import (
	"testing"

	"keyfob/engine"
	"keyfob/events"
)

// at returns where an attempt through a RADIUS client comes from.
func (w *world) at(client string, unsigned bool) events.Origin {
	o := w.origin("")
	o.Door, o.Client, o.Unsigned = events.DoorRADIUS, client, unsigned
	return o
}

func (w *world) addClient(name string, trusted bool) {
	w.apply([]events.Draft{{Event: events.ClientAdded{
		Client: name, Prefix: "192.0.2.0/24", Sealed: []byte("s"), Dialect: "rsa", MessageAuthenticator: "auto", Trusted: trusted,
	}}})
}

// TestUnsignedFailuresAreCountedApart: a request without a Message-Authenticator
// may be forged. Its failures lock nobody out of a trusted client that signs, nor
// do those of strangers lock out who comes through a trusted client that cannot.
func TestUnsignedFailuresAreCountedApart(t *testing.T) {
	for name, c := range map[string]struct {
		client   string
		unsigned bool
		budget   engine.FailureBudget
	}{
		"signed, trusted":       {"vpn", false, engine.OfTrusted},
		"unsigned, trusted":     {"vpn", true, engine.OfUnsigned},
		"signed, not trusted":   {"guests", false, engine.OfStrangers},
		"unsigned, not trusted": {"guests", true, engine.OfStrangers},
	} {
		t.Run(name, func(t *testing.T) {
			w := given(t, "user ada", "token a1 user=ada pin=471108", "policy wait.most=0s")
			w.addClient("vpn", true)
			w.addClient("guests", false)
			for range w.state.Policy.LockAfter {
				w.news = nil
				if out, err := w.ask(engine.Attempt{User: "ada", Typed: "000000000000", Origin: w.at(c.client, c.unsigned)}); err != nil || out.Verdict != engine.Reject {
					t.Fatalf("%v, %v", out, err)
				}
			}
			u := w.state.User("ada")
			for _, b := range engine.FailureBudgets() {
				if l := u.Lock(b); l.Locked(events.At(w.now)) != (b == c.budget) || (l.Failures != 0) != (b == c.budget) {
					t.Errorf("budget %s: %+v", b, l)
				}
			}
			if locked, until := u.Locked(events.At(w.now)); !locked || until.IsZero() {
				t.Errorf("locked: %v until %v", locked, until)
			}
			for _, door := range []struct {
				client   string
				unsigned bool
				budget   engine.FailureBudget
			}{{"vpn", false, engine.OfTrusted}, {"vpn", true, engine.OfUnsigned}, {"guests", false, engine.OfStrangers}} {
				before := w.state.Copy()
				w.ticket, w.news = nil, nil
				out, err := w.ask(engine.Attempt{User: "ada", Typed: engine.Secret("471108" + w.code("a1", 0)), Origin: w.at(door.client, door.unsigned)})
				if barred := out.Reason == events.ReasonUserLocked; err != nil || barred != (door.budget == c.budget) {
					t.Errorf("at %s, unsigned %v: %v (%s), %v", door.client, door.unsigned, out.Verdict, out.Reason, err)
				}
				w.state = before
			}
		})
	}
}

// TestUnlockEndsTheLockOfEveryBudget.
func TestUnlockEndsTheLockOfEveryBudget(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada pin=471108")
	w.addClient("vpn", true)
	for range w.state.Policy.LockAfter {
		w.news = nil
		if _, err := w.ask(engine.Attempt{User: "ada", Typed: "0", Origin: w.at("vpn", true)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.command(engine.UnlockUser{User: "ada"}); got != "" {
		t.Fatal(got)
	}
	if locked, _ := w.state.User("ada").Locked(events.At(w.now)); locked {
		t.Error("still locked")
	}
}
