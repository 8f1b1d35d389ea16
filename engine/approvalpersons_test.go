package engine_test

import (
	"slices"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// person returns the origin of the commands of an administrator who has a token
// with a PIN and a session.
func (o *office) person(name string) events.Origin {
	o.t.Helper()
	if o.state.User(name) == nil {
		serial := name + "-1"
		for _, e := range []events.Event{
			events.UserAdded{User: name},
			events.TokenImported{Serial: serial, Kind: "totp", Digits: 6, Period: 30, Sealed: []byte("seed"), PINStyle: "fob", Form: engine.FormFob},
			events.TokenAssigned{Serial: serial, User: name},
			events.PINSet{Serial: serial, User: name, Revision: 1, Sealed: []byte("PIN")},
			events.RoleGranted{User: name, Role: engine.RoleAdmin},
			events.SessionOpened{Session: name, User: name, Role: engine.RoleAdmin, Serial: serial, Network: "192.0.2.7/32", Expires: o.now.Add(8 * time.Hour)},
		} {
			o.state.Apply(o.now, events.Draft{Event: e})
		}
	}
	return events.Origin{Node: "n1", Door: events.DoorAPI, Actor: engine.UserActor(name), Session: name, Note: "because"}
}

func TestAnotherPersonApproves(t *testing.T) {
	o := newOffice(t)
	ada, bob := o.person("ada"), o.person("bob")
	id := o.waits(ada, issueToken("deploy", "admin"))
	again := ada
	again.Node = "n2"
	o.refused(engine.Forbidden, again, engine.Approve{ID: id})
	if _, err := o.do(bob, engine.Approve{ID: id}); err != nil || o.state.APIToken("deploy") == nil {
		t.Fatal(err)
	}
	if by := o.state.APIToken("deploy").IssuedBy; by != ada.Actor {
		t.Errorf("issued by %s", by)
	}
	id = o.waits(ada, set("lock.after=50"))
	if _, err := o.do(ada, engine.RefuseApproval{ID: id}); err != nil || o.state.Approval(id) != nil {
		t.Errorf("withdrawing one's own: %v", err)
	}
	id = o.waits(ada, set("lock.after=50"))
	if _, err := o.do(bob, engine.RefuseApproval{ID: id}); err != nil || o.state.Approval(id) != nil {
		t.Errorf("refusing another's: %v", err)
	}
}

// TestOnePersonIsOnePairOfEyes tries the ways around a second administrator
// that are open to one person, or to a thief with the session of one.
func TestOnePersonIsOnePairOfEyes(t *testing.T) {
	for name, try := range map[string]func(o *office, ada, bob events.Origin){
		"with another session": func(o *office, ada, _ events.Origin) {
			id := o.waits(ada, issueToken("eve", "admin"))
			o.state.Apply(o.now, events.Draft{Event: events.SessionOpened{Session: "other", User: "ada", Role: engine.RoleAdmin, Serial: "ada-1", Network: "192.0.2.7/32", Expires: o.now.Add(time.Hour)}})
			other := ada
			other.Session = "other"
			o.refused(engine.Forbidden, other, engine.Approve{ID: id})
		},
		"with an API token of theirs": func(o *office, ada, _ events.Origin) {
			o.state.Apply(o.now, events.Draft{Event: events.APITokenLinked{Name: "robot", User: "ada"}})
			id := o.waits(token("robot"), issueToken("eve", "admin"))
			o.refused(engine.Forbidden, ada, engine.Approve{ID: id})
			id = o.waits(ada, set("lock.after=50"))
			o.refused(engine.Forbidden, token("robot"), engine.Approve{ID: id})
		},
		"as a friend who is given the role": func(o *office, ada, _ events.Origin) {
			o.state.Apply(o.now, events.Draft{Event: events.UserAdded{User: "eve"}})
			o.waits(ada, engine.GrantRole{User: "eve", Role: engine.RoleAdmin})
			if o.state.User("eve").Role != "" {
				o.t.Error("eve is an administrator")
			}
		},
		"by taking over the other administrator": func(o *office, ada, _ events.Origin) {
			o.state.Apply(o.now, events.Draft{Event: events.TokenImported{Serial: "eve-1", Kind: "totp", Digits: 6, Period: 30, Sealed: []byte("known"), PINStyle: "fob", Form: engine.FormFob}})
			later := events.At(o.now.Add(time.Hour).Std())
			for _, c := range []engine.Command{
				engine.AssignToken{Serial: "eve-1", User: "bob"},
				engine.ReplaceToken{Old: "bob-1", Serial: "eve-1"},
				engine.ImportToken{User: "bob", Token: events.TokenImported{Serial: "eve-2", Kind: "totp", Algorithm: "SHA1", Digits: 6, Period: 30, Sealed: []byte("known"), PINStyle: "fob", Form: engine.FormFob}},
				engine.SetTemporaryPIN{Serial: "bob-1", Revision: 2, Sealed: []byte("known")},
				engine.LoseToken{Lost: events.TokenLost{Serial: "bob-1", Sealed: []byte("known"), Given: 1, Found: engine.FoundRefuse, Until: later}},
			} {
				o.waits(ada, c)
			}
		},
		"by deleting the other administrator": func(o *office, ada, _ events.Origin) {
			id := o.waits(ada, issueToken("eve", "admin"))
			for _, c := range []engine.Command{engine.DisableUser{User: "bob"}, engine.RevokeRole{User: "bob"}, engine.DeleteUser{User: "bob"}, engine.AddUser{User: "bob"}} {
				if _, err := o.do(ada, c); err != nil {
					o.t.Fatalf("%T: %v", c, err)
				}
			}
			o.refused(engine.Forbidden, ada, engine.Approve{ID: id})
			o.waits(ada, set("approval.required=none"))
			o.waits(ada, engine.GrantRole{User: "bob", Role: engine.RoleAdmin})
		},
		"as an auditor": func(o *office, ada, bob events.Origin) {
			id := o.waits(ada, issueToken("eve", "admin"))
			o.state.Apply(o.now, events.Draft{Event: events.RoleGranted{User: "bob", Role: "auditor"}})
			o.refused(engine.Forbidden, bob, engine.Approve{ID: id})
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			ada, bob := o.person("ada"), o.person("bob")
			try(o, ada, bob)
		})
	}
}

// A lost device is reported, and an administrator contained, by one.
func TestAdministratorIsContainedByOne(t *testing.T) {
	for _, c := range []engine.Command{
		engine.DisableUser{User: "bob"},
		engine.RevokeRole{User: "bob"},
		engine.EndSession{User: "bob"},
		engine.DisableToken{Serial: "bob-1"},
		engine.LoseToken{Lost: events.TokenLost{Serial: "bob-1", Found: engine.FoundRefuse, Until: events.At(approvedFrom.Add(time.Hour))}},
	} {
		o := newOffice(t)
		ada := o.person("ada")
		o.person("bob")
		if id, err := o.do(ada, c); err != nil || id != "" || len(o.news) == 0 {
			t.Errorf("%T: waits for %q, %v", c, id, err)
		}
	}
}

func TestEndedSessionWithdrawsWhatItAskedFor(t *testing.T) {
	o := newOffice(t)
	ada, bob := o.person("ada"), o.person("bob")
	own := o.waits(ada, issueToken("eve", "admin"))
	if _, err := o.do(ada, engine.EndSession{Session: "ada"}); err != nil || o.state.Approval(own) == nil {
		t.Errorf("after a logout: %v", err)
	}
	stolen := o.waits(bob, set("lock.after=50"))
	if _, err := o.do(root("n1"), engine.EndSession{Session: "bob"}); err != nil || o.state.Approval(stolen) != nil {
		t.Errorf("after the end of a stolen session: %v", err)
	}
	if _, err := o.do(root("n1"), engine.RevokeRole{User: "ada", AtSocket: true}); err != nil {
		t.Fatal(err)
	}
	o.refused(engine.Conflict, root("n1"), engine.Approve{ID: own})
}

// Secrets in a command that waits are sealed under the root key of its time.
func TestRotationOfTheRootKeyDropsWhatWaits(t *testing.T) {
	o := newOffice(t)
	id := o.waits(o.person("ada"), engine.RotateClientSecret{Client: "vpn", Sealed: []byte("\x01\x01new")})
	o.state.Apply(o.now, events.Draft{Event: events.RootKeyRotated{Version: 2}})
	o.refused(engine.NotFound, root("n2"), engine.Approve{ID: id})
}

func TestPersonAndRootAreTwo(t *testing.T) {
	o := newOffice(t)
	o.state.Apply(o.now, events.Draft{Event: events.PolicyChanged{Key: "approval.required", After: "none"}})
	for _, node := range []string{"n2", "n3"} {
		o.state.Apply(o.now, events.Draft{Event: events.NodeRemoved{Node: node}})
	}
	ada := o.person("ada")
	if id, err := o.do(root("n1"), set("profile=strict")); err != nil || id != "" {
		t.Fatalf("%q, %v", id, err)
	}
	id := o.waits(root("n1"), set("approval.required=none"))
	if _, err := o.do(ada, engine.Approve{ID: id}); err != nil {
		t.Fatal(err)
	}
	if got := o.state.Policy.ApprovalRequired; got != "" {
		t.Errorf("approval.required is %q", got)
	}
	if !slices.ContainsFunc(o.news, func(e events.Event) bool { _, ok := e.(events.PolicyChanged); return ok }) {
		t.Errorf("%v", o.news)
	}
}
