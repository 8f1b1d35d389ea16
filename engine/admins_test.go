package engine_test

import (
	"crypto/sha256"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// administrator is a world in which ada has the role and a token with a PIN, and
// root may act at the socket.
func administrator(t *testing.T, role string) *world {
	t.Helper()
	w := given(t, "user ada", "token a1 user=ada pin=471108", "user bob", "token b1 user=bob pin=806317")
	if err := w.act(socket(), engine.GrantRole{User: "ada", Role: role}); err != nil {
		t.Fatal(err)
	}
	return w
}

func socket() events.Origin { return events.Origin{Actor: engine.SocketActor(0)} }

// act executes a command of an actor.
func (w *world) act(o events.Origin, c engine.Command) error {
	o.Request = w.origin("").Request
	d, err := engine.Decide(w.state, o, c, events.At(w.now))
	w.apply(d.Drafts)
	return err
}

// session logs ada in and opens a session from 192.0.2.7. It returns the origin of
// her commands.
func (w *world) session(user, passcode string) (events.Origin, error) {
	o := w.origin("")
	w.user, w.ticket = user, nil
	if _, err := w.ask(engine.Attempt{User: user, Typed: engine.Secret(w.spell(passcode)), Origin: o}); err != nil {
		w.t.Fatal(err)
	}
	return w.open(user, o.Request)
}

func (w *world) open(user string, login events.Request) (events.Origin, error) {
	digest := sha256.Sum256(login[:])
	o := events.Origin{Actor: engine.UserActor(user), Session: engine.SessionName(digest)}
	return o, w.act(o, engine.OpenSession{User: user, Digest: digest, Network: "192.0.2.7/32", Login: login})
}

func (w *world) mustOpen(user, passcode string) events.Origin {
	w.t.Helper()
	o, err := w.session(user, passcode)
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

func refusedWith(t *testing.T, what string, err error, code string) {
	t.Helper()
	var refusal *engine.Refusal
	if !errors.As(err, &refusal) || refusal.Code != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// home is where sessions of the tests are opened.
var home = netip.MustParseAddr("192.0.2.7")

// A session ends with the right to it. The leader then refuses its commands, also
// those that come through a node that does not know yet.
func TestSessionEndsWithTheRightToIt(t *testing.T) {
	for what, end := range map[string]func(w *world, o events.Origin){
		"logout":          func(w *world, o events.Origin) { _ = w.act(o, engine.EndSession{Session: o.Session}) },
		"all of the user": func(w *world, o events.Origin) { _ = w.act(socket(), engine.EndSession{User: "ada"}) },
		"disabled":        func(w *world, o events.Origin) { _ = w.act(socket(), engine.DisableUser{User: "ada"}) },
		"disabled, enabled": func(w *world, o events.Origin) {
			w.do([]string{"admin", "disable", "ada"})
			w.do([]string{"admin", "enable", "ada"})
		},
		"role revoked": func(w *world, o events.Origin) { _ = w.act(socket(), engine.RevokeRole{User: "ada", AtSocket: true}) },
		"another role": func(w *world, o events.Origin) {
			_ = w.act(socket(), engine.GrantRole{User: "ada", Role: "auditor", AtSocket: true})
		},
		"token lost":       func(w *world, o events.Origin) { w.do(strings.Fields("admin lost a1 refuse 7 once 0123456789")) },
		"token disabled":   func(w *world, o events.Origin) { _ = w.act(socket(), engine.DisableToken{Serial: "a1"}) },
		"token unassigned": func(w *world, o events.Origin) { _ = w.act(socket(), engine.UnassignToken{Serial: "a1"}) },
		"new PIN demanded": func(w *world, o events.Origin) { _ = w.act(socket(), engine.RequireNewPIN{Serial: "a1"}) },
		"restored": func(w *world, o events.Origin) {
			w.apply([]events.Draft{{Event: events.ClusterRestored{Epoch: 1, Node: "n1"}}})
		},
		"its time is over":  func(w *world, o events.Origin) { w.now = w.now.Add(8 * time.Hour) },
		"not used for long": func(w *world, o events.Origin) { w.now = w.now.Add(time.Hour) },
		"policy is stricter": func(w *world, o events.Origin) {
			w.now = w.now.Add(10 * time.Minute)
			w.do([]string{"policy", "admin.session_for=5m"})
		},
	} {
		w := administrator(t, engine.RoleAdmin)
		o := w.mustOpen("ada", "471108<code@a1>")
		if err := w.act(o, engine.DisableUser{User: "bob"}); err != nil {
			t.Fatalf("%s: before: %v", what, err)
		}
		end(w, o)
		refusedWith(t, what, w.act(o, engine.EnableUser{User: "bob"}), engine.Forbidden)
		if x := w.state.Session(o.Session); x != nil && w.state.SessionEnd(x, home, events.At(w.now)) == "" {
			t.Errorf("%s: nodes accept the session", what)
		}
	}
}

func TestSessionNeedsAnAcceptedLogin(t *testing.T) {
	w := administrator(t, engine.RoleAdmin)
	refused := func(what, user string, login events.Request) {
		t.Helper()
		_, err := w.open(user, login)
		refusedWith(t, what, err, engine.Forbidden)
	}
	attempt := func(user, typed string) events.Request {
		o := w.origin("")
		w.user, w.ticket = user, nil
		if _, err := w.ask(engine.Attempt{User: user, Typed: engine.Secret(w.spell(typed)), Origin: o}); err != nil {
			t.Fatal(err)
		}
		return o.Request
	}
	refused("no login", "ada", events.Request{})
	refused("an unknown login", "ada", events.Request{9})
	refused("a refused login", "ada", attempt("ada", "471108000000"))
	refused("a user without a role", "bob", attempt("bob", "806317<code@b1>"))
	refused("nobody", "eve", attempt("eve", "471108000000"))
	w.now = w.now.Add(time.Minute)
	refused("another user's login", "ada", attempt("bob", "806317<code@b1>"))
	good := attempt("ada", "471108<code@a1>")
	if _, err := w.open("ada", good); err != nil {
		t.Fatal(err)
	}
	again := engine.OpenSession{User: "ada", Digest: sha256.Sum256([]byte("another secret")), Network: "192.0.2.7/32", Login: good}
	refusedWith(t, "a login that has opened one", w.act(events.Origin{Actor: engine.UserActor("ada")}, again), engine.Forbidden)
	w.now = w.now.Add(time.Minute)
	late := attempt("ada", "471108<code@a1>")
	w.now = w.now.Add(time.Minute)
	refused("a login of a minute ago", "ada", late)
	w.do(strings.Fields("admin lost a1 refuse 7 once 0123456789"))
	refused("an emergency tokencode", "ada", attempt("ada", "4711080123456789"))
}

func TestTokenWithoutAPINOpensNoSession(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada style=none")
	err := w.act(socket(), engine.GrantRole{User: "ada", Role: engine.RoleAdmin})
	refusedWith(t, "a role", err, engine.Conflict)

	w = given(t, "user ada", "token a1 user=ada")
	err = w.act(socket(), engine.GrantRole{User: "ada", Role: engine.RoleAdmin})
	refusedWith(t, "a role for a token that its finder could claim", err, engine.Conflict)

	w = given(t, "user ada")
	if err := w.act(socket(), engine.GrantRole{User: "ada", Role: engine.RoleAdmin}); err != nil {
		t.Fatal(err)
	}
	w.do(strings.Fields("token a1 user=ada style=none"))
	_, err = w.session("ada", "<code@a1>")
	refusedWith(t, "a token that came later", err, engine.Forbidden)
	if got := w.do(strings.Fields("token a2 user=ada")); got != "shows an activation code" {
		t.Errorf("a token for an administrator: %q, want an activation code", got)
	}
}

// The help desk must not give itself the PIN and the tokencodes of an
// administrator.
func TestOnlyTheRoleAdminActsOnAdministrators(t *testing.T) {
	for _, role := range []string{"helpdesk", "enrolment"} {
		w := administrator(t, role) // also not on another of the same role
		w.do(strings.Fields("user carol"))
		w.do(strings.Fields("token c1 user=carol pin=806317"))
		if err := w.act(socket(), engine.GrantRole{User: "carol", Role: engine.RoleAdmin}); err != nil {
			t.Fatal(err)
		}
		desk := w.mustOpen("ada", "471108<code@a1>")
		lost := events.TokenLost{Serial: "c1", Found: engine.FoundRefuse, Until: events.At(w.now.Add(time.Hour))}
		emergency := lost
		emergency.Sealed = []byte("0123456789")
		token := events.TokenImported{Serial: "c2", Kind: "totp", Algorithm: "SHA1", Digits: 6, Period: 30, Sealed: []byte("seed"), PINStyle: "fob", Form: engine.FormFob}
		for what, c := range map[string]engine.Command{
			"temporary PIN": engine.SetTemporaryPIN{Serial: "c1", Revision: w.state.Token("c1").PINRevision + 1, Sealed: []byte("1")},
			"clear PIN":     engine.ClearPIN{Serial: "c1"},
			"new PIN":       engine.RequireNewPIN{Serial: "c1"},
			"emergency":     engine.LoseToken{Lost: emergency},
			"a token":       engine.ImportToken{Token: token, User: "carol"},
			"disable":       engine.DisableUser{User: "carol"},
			"unassign":      engine.UnassignToken{Serial: "c1"},
			"own PIN":       engine.SetTemporaryPIN{Serial: "a1", Revision: w.state.Token("a1").PINRevision + 1, Sealed: []byte("1")},
			"a session":     engine.EndSession{User: "carol"},
		} {
			if what == "a session" {
				w.now = w.now.Add(30 * time.Second)
				w.mustOpen("carol", "806317<code@c1>")
			}
			refusedWith(t, role+": "+what, w.act(desk, c), engine.Forbidden)
		}
		if err := w.act(desk, engine.DisableUser{User: "bob"}); err != nil {
			t.Errorf("%s: bob: %v", role, err)
		}
		if err := w.act(desk, engine.LoseToken{Lost: lost}); err != nil {
			t.Errorf("%s: a lost token: %v", role, err)
		}
	}
}

func TestLastAdministratorCannotBeRemoved(t *testing.T) {
	w := administrator(t, engine.RoleAdmin)
	o := w.mustOpen("ada", "471108<code@a1>")
	refusedWith(t, "the last one", w.act(o, engine.RevokeRole{User: "ada"}), engine.Conflict)
	refusedWith(t, "a lesser role", w.act(o, engine.GrantRole{User: "ada", Role: "auditor"}), engine.Conflict)
	refusedWith(t, "deletion", w.act(socket(), engine.DeleteUser{User: "ada"}), engine.Conflict)
	if err := w.act(o, issue("deploy", w.now.Add(time.Hour), "list-users")); err != nil {
		t.Fatal(err)
	}
	refusedWith(t, "with a limited API token", w.act(o, engine.RevokeRole{User: "ada"}), engine.Conflict)
	if err := w.act(o, issue("spare", w.now.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	if err := w.act(o, engine.RevokeRole{User: "ada"}); err != nil {
		t.Errorf("with an API token: %v", err)
	}
	w = administrator(t, engine.RoleAdmin)
	if err := w.act(socket(), engine.RevokeRole{User: "ada", AtSocket: true}); err != nil {
		t.Errorf("at the socket: %v", err)
	}
}

func TestSessionsOfAUserAreBounded(t *testing.T) {
	w := administrator(t, engine.RoleAdmin)
	var all []events.Origin
	for range 12 {
		w.now = w.now.Add(time.Minute)
		all = append(all, w.mustOpen("ada", "471108<code@a1>"))
	}
	n := 0
	w.state.Sessions(func(*engine.Session) bool { n++; return true })
	if n != 10 || w.state.Session(all[1].Session) != nil || w.state.Session(all[2].Session) == nil {
		t.Errorf("%d sessions; the second is %v", n, w.state.Session(all[1].Session))
	}
}

func TestSessionIsBoundToItsNetwork(t *testing.T) {
	w := administrator(t, engine.RoleAdmin)
	o := w.mustOpen("ada", "471108<code@a1>")
	x, now := w.state.Session(o.Session), events.At(w.now)
	for from, want := range map[string]string{"192.0.2.7": "", "::ffff:192.0.2.7": "", "192.0.2.8": engine.EndAddress, "2001:db8::7": engine.EndAddress} {
		if got := w.state.SessionEnd(x, netip.MustParseAddr(from), now); got != want {
			t.Errorf("from %s: %q, want %q", from, got, want)
		}
	}
	if got := w.state.SessionEnd(x, netip.Addr{}, now); got != engine.EndAddress {
		t.Errorf("from nowhere: %q", got)
	}
	w.do([]string{"policy", "admin.session_bound=no"})
	if got := w.state.SessionEnd(x, netip.MustParseAddr("192.0.2.8"), now); got != "" {
		t.Errorf("unbound: %q", got)
	}
}

// Use keeps a session alive, at the price of a few records.
func TestUseKeepsASessionAlive(t *testing.T) {
	w := administrator(t, engine.RoleAdmin)
	o := w.mustOpen("ada", "471108<code@a1>")
	records := 0
	for range 7 * 60 {
		w.now = w.now.Add(time.Minute)
		if err := w.act(events.Origin{}, engine.RecordUse{Session: o.Session}); err != nil {
			t.Fatal(err)
		}
		records += len(w.news)
	}
	if end := w.state.SessionEnd(w.state.Session(o.Session), home, events.At(w.now)); end != "" || records != 28 {
		t.Errorf("after 7 hours of use: %q, %d records", end, records)
	}
}

// issue is a command that issues an API token with the role admin.
func issue(name string, expires time.Time, commands ...string) engine.IssueAPIToken {
	return engine.IssueAPIToken{Token: events.APITokenIssued{Name: name, Role: engine.RoleAdmin, Digest: sha256.Sum256([]byte(name)), Expires: events.At(expires), Commands: commands}}
}

func TestAPITokenHasAnEnd(t *testing.T) {
	w := administrator(t, engine.RoleAdmin)
	for what, at := range map[string]events.Time{"no end": 0, "more than a year": events.At(w.now.Add(366 * 24 * time.Hour)), "an end that is over": events.At(w.now.Add(-time.Minute))} {
		c := issue("ci", w.now)
		c.Token.Expires = at
		refusedWith(t, what, w.act(socket(), c), engine.Invalid)
	}
	if err := w.act(socket(), issue("ci", w.now.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	ci := events.Origin{Actor: engine.TokenActor("ci")}
	refusedWith(t, "a token that outlives its issuer", w.act(ci, issue("next", w.now.Add(2*time.Hour))), engine.Forbidden)
	if err := w.act(ci, issue("next", w.now.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Hour)
	refusedWith(t, "an expired token", w.act(ci, engine.DisableUser{User: "bob"}), engine.Forbidden)
	if err := w.act(socket(), issue("ci", w.now.Add(time.Hour))); err != nil {
		t.Errorf("the name of an expired token: %v", err)
	}
	w.now = w.now.Add(31 * 24 * time.Hour)
	if err := w.act(socket(), issue("new", w.now.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	if w.state.APIToken("next") != nil {
		t.Error("a token that expired a month ago is still listed")
	}
}

func TestLimitedAPITokenIssuesNone(t *testing.T) {
	w := administrator(t, engine.RoleAdmin)
	if err := w.act(socket(), issue("ci", w.now.Add(time.Hour), "issue-*")); err != nil {
		t.Fatal(err)
	}
	refusedWith(t, "a limited token", w.act(events.Origin{Actor: engine.TokenActor("ci")}, issue("wide", w.now.Add(time.Hour))), engine.Forbidden)
	for what, change := range map[string]func(*events.APITokenIssued){
		"a pattern":          func(t *events.APITokenIssued) { t.Commands = []string{"list-["} },
		"an empty pattern":   func(t *events.APITokenIssued) { t.Commands = []string{""} },
		"a network":          func(t *events.APITokenIssued) { t.Networks = []string{"192.0.2.7/24"} },
		"no network":         func(t *events.APITokenIssued) { t.Networks = []string{"everywhere"} },
		"too many sites":     func(t *events.APITokenIssued) { t.Sites = slices.Repeat([]string{"hq"}, 33) },
		"a very long site":   func(t *events.APITokenIssued) { t.Sites = []string{strings.Repeat("a", 65)} },
		"a name with spaces": func(t *events.APITokenIssued) { t.Name = "a b" },
	} {
		c := issue("x", w.now.Add(time.Hour))
		change(&c.Token)
		refusedWith(t, what, w.act(socket(), c), engine.Invalid)
	}
}

// A linked API token is the person's: it ends with the role, and does not stand
// for a second pair of eyes.
func TestLinkedAPITokenEndsWithItsOwner(t *testing.T) {
	w := administrator(t, "helpdesk")
	c := issue("ada-laptop", w.now.Add(time.Hour))
	if err := w.act(socket(), c); err != nil {
		t.Fatal(err)
	}
	refusedWith(t, "more than the person may do", w.act(socket(), engine.LinkAPIToken{Name: "ada-laptop", User: "ada"}), engine.Conflict)
	refusedWith(t, "nobody's", w.act(socket(), engine.LinkAPIToken{Name: "other", User: "ada"}), engine.NotFound)
	if err := w.act(socket(), engine.GrantRole{User: "ada", Role: engine.RoleAdmin}); err != nil {
		t.Fatal(err)
	}
	if err := w.act(socket(), engine.LinkAPIToken{Name: "ada-laptop", User: "ada"}); err != nil {
		t.Fatal(err)
	}
	o := events.Origin{Actor: engine.TokenActor("ada-laptop")}
	if got := w.state.PersonOf(o.Actor); got != "user:ada" {
		t.Errorf("it is that of %s", got)
	}
	if err := w.act(o, engine.DisableUser{User: "bob"}); err != nil {
		t.Fatal(err)
	}
	if err := w.act(socket(), engine.GrantRole{User: "ada", Role: "helpdesk", AtSocket: true}); err != nil {
		t.Fatal(err)
	}
	refusedWith(t, "after the role was taken away", w.act(o, engine.EnableUser{User: "bob"}), engine.Forbidden)
}
