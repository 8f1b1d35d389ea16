package api

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// withRules is a fake whose commands change its state, and where ada has the role
// and logs in with every passcode.
func withRules(t *testing.T, role string) (*fake, *API) {
	t.Helper()
	f := newFake(t)
	f.rules = true
	f.put(t, engine.TableUsers, engine.User{Name: "bob"})
	f.put(t, engine.TableTokens, engine.Token{Serial: "0001", Kind: "totp", Digits: 6, Period: 30, User: "ada", Seed: []byte("sealed seed"), PIN: []byte("sealed PIN")})
	f.Decide = func(a engine.Attempt) (engine.Outcome, error) {
		user := canonical(a.User)
		f.state.Apply(events.At(f.now), events.Draft{Origin: a.Origin, Event: events.PasscodeAccepted{User: user, Use: events.Use{Serial: "0001"}}})
		return engine.Outcome{Verdict: engine.Accept, User: user}, nil
	}
	a := f.api(t)
	if role != "" {
		if status, body := call(t, a, RoleAdmin, post, "/admins", `{"reason":"r","user":"Ada","role":"`+role+`"}`); status != http.StatusCreated {
			t.Fatalf("status %d: %s", status, body)
		}
	}
	return f, a
}

// with sends a request with a secret from an address.
func with(t *testing.T, a http.Handler, secret, from, method, path, body string) (int, string) {
	t.Helper()
	r := newRequest(t, "", method, path, body)
	r.RemoteAddr = from
	if secret != "" {
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	return send(a, r)
}

const home = "192.0.2.7:4711"

// logIn opens a session of ada from home.
func logIn(t *testing.T, a http.Handler) IssuedSession {
	t.Helper()
	status, body := with(t, a, "", home, post, "/sessions", `{"user":"Ada","passcode":"246813579"}`)
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	v := decode[OpenSessionAnswer](t, body)
	if v.Result != "accept" || v.Session == nil || !strings.HasPrefix(v.Session.Secret, SessionPrefix) {
		t.Fatalf("answer %s", body)
	}
	return *v.Session
}

func TestSessionActsAsThePerson(t *testing.T) {
	f, a := withRules(t, RoleHelpdesk)
	x := logIn(t, a)
	if x.User != "ada" || x.Role != RoleHelpdesk || x.Network != "192.0.2.7/32" || !x.Expires.Equal(noon.Add(8*time.Hour)) {
		t.Errorf("session %+v", x)
	}
	if status, body := with(t, a, x.Secret, home, post, "/users/bob/disable", `{"reason":"on leave"}`); status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	o := f.origins[len(f.origins)-1]
	if o.Actor != "user:ada" || o.Session != x.Session.Session || o.Note != "on leave" || o.SourceIP != "192.0.2.7" {
		t.Errorf("origin %+v", o)
	}
	if status, _ := with(t, a, x.Secret, home, post, "/users", `{"user":"eve","reason":"r"}`); status != http.StatusForbidden {
		t.Errorf("what the role does not permit: status %d", status)
	}
}

// A thief has copied the session file.
func TestCopiedSessionIsRefusedElsewhereAndAfterItsEnd(t *testing.T) {
	for what, tt := range map[string]struct {
		end   func(*testing.T, *fake, *API, IssuedSession)
		from  string
		cause string
	}{
		"another address": {nil, "192.0.2.8:4711", "address"},
		"logout": {func(t *testing.T, _ *fake, a *API, x IssuedSession) {
			if status, body := with(t, a, x.Secret, home, remove, "/sessions/current?reason=r", ""); status != http.StatusNoContent {
				t.Fatalf("status %d: %s", status, body)
			}
		}, home, "unknown"},
		"logout of all": {func(t *testing.T, _ *fake, a *API, x IssuedSession) {
			other := logIn(t, a)
			if status, body := with(t, a, other.Secret, home, remove, "/sessions/current?all=true&reason=r", ""); status != http.StatusNoContent {
				t.Fatalf("status %d: %s", status, body)
			}
		}, home, "unknown"},
		"ended by another": {func(t *testing.T, _ *fake, a *API, x IssuedSession) {
			call(t, a, RoleAdmin, remove, "/sessions/"+x.Session.Session+"?reason=r", "")
		}, home, "unknown"},
		"all ended by another": {func(t *testing.T, _ *fake, a *API, x IssuedSession) {
			call(t, a, RoleAdmin, remove, "/admins/Ada/sessions?reason=r", "")
		}, home, "unknown"},
		"the role was taken": {func(t *testing.T, _ *fake, a *API, x IssuedSession) {
			call(t, a, RoleAdmin, remove, "/admins/ada?reason=r", "")
		}, home, "unknown"},
		"disabled": {func(t *testing.T, _ *fake, a *API, x IssuedSession) {
			call(t, a, RoleAdmin, post, "/users/ada/disable", `{"reason":"r"}`)
		}, home, "unknown"},
		"not used for an hour": {func(t *testing.T, f *fake, _ *API, _ IssuedSession) { f.now = noon.Add(time.Hour) }, home, "idle"},
		"its time is over":     {func(t *testing.T, f *fake, _ *API, _ IssuedSession) { f.now = noon.Add(8 * time.Hour) }, home, "expired"},
		"the clock was put back": {func(t *testing.T, f *fake, _ *API, _ IssuedSession) {
			f.state.Time = events.At(noon.Add(8 * time.Hour))
		}, home, "expired"},
	} {
		f, a := withRules(t, RoleAdmin)
		x := logIn(t, a)
		if status, body := with(t, a, x.Secret, home, get, "/users", ""); status != http.StatusOK {
			t.Fatalf("%s: before: status %d: %s", what, status, body)
		}
		if tt.end != nil {
			tt.end(t, f, a, x)
		}
		f.refused = nil
		status, body := with(t, a, x.Secret, tt.from, get, "/users", "")
		if status != http.StatusUnauthorized || !strings.Contains(body, "log in again") {
			t.Errorf("%s: status %d: %s", what, status, body)
		}
		if len(f.refused) != 1 {
			t.Fatalf("%s: %d records", what, len(f.refused))
		}
		e, ok := f.refused[0].Event.(events.SessionRefused)
		if !ok || e.Cause != tt.cause || f.refused[0].Origin.SourceIP != strings.TrimSuffix(tt.from, ":4711") {
			t.Errorf("%s: record %+v", what, f.refused[0])
		}
	}
}

// A node makes the secret of a session, after the login. What a caller brings
// along never becomes one.
func TestCallerCannotChooseTheSession(t *testing.T) {
	_, a := withRules(t, RoleAdmin)
	const mine = SessionPrefix + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	status, body := with(t, a, mine, home, post, "/sessions", `{"user":"ada","passcode":"246813579"}`)
	if status != http.StatusOK || strings.Contains(body, mine) {
		t.Errorf("status %d: %s", status, body)
	}
	if status, _ := with(t, a, mine, home, get, "/users", ""); status != http.StatusUnauthorized {
		t.Errorf("the chosen session: status %d", status)
	}
	x := logIn(t, a)
	for what, secret := range map[string]string{
		"its public name": SessionPrefix + x.Session.Session, "as an API token": TokenPrefix + strings.TrimPrefix(x.Secret, SessionPrefix),
		"cut": x.Secret[:len(x.Secret)-1], "longer": x.Secret + "A",
	} {
		if status, _ := with(t, a, secret, home, get, "/users", ""); status != http.StatusUnauthorized {
			t.Errorf("%s: status %d", what, status)
		}
	}
	if status, body := with(t, a, "", home, post, "/sessions", `{"user":"ada","passcode":"1","session":"0123"}`); status != http.StatusUnprocessableEntity {
		t.Errorf("a session in the request: status %d: %s", status, body)
	}
}

func TestLoginWithoutARoleOpensNoSession(t *testing.T) {
	f, a := withRules(t, "")
	status, body := with(t, a, "", home, post, "/sessions", `{"user":"ada","passcode":"246813579"}`)
	if status != http.StatusForbidden || !strings.Contains(body, "not an administrator") || strings.Contains(body, SessionPrefix) {
		t.Errorf("status %d: %s", status, body)
	}
	want := events.CommandDenied{Operation: "open-session", Cause: "role"}
	if len(f.refused) != 1 || f.refused[0].Origin.Actor != "user:ada" {
		t.Fatalf("records %+v", f.refused)
	}
	if e, ok := f.refused[0].Event.(events.CommandDenied); !ok || e.Operation != want.Operation || e.Cause != want.Cause {
		t.Errorf("record %+v", f.refused[0].Event)
	}
	f.Decide = func(engine.Attempt) (engine.Outcome, error) { return engine.Outcome{Reason: events.ReasonBadPIN}, nil }
	if status, body := with(t, a, "", home, post, "/sessions", `{"user":"ada","passcode":"1"}`); status != http.StatusOK || strings.Contains(body, "session\":{") {
		t.Errorf("a refused login: status %d: %s", status, body)
	}
}

// A login of an administrator is charged to its address, and its conversation
// continues from there only.
func TestAdministratorsLoginIsAnAttemptLikeEveryOther(t *testing.T) {
	f, a := withRules(t, RoleAdmin)
	with(t, a, "", "[2001:db8::1]:4711", post, "/sessions", `{"user":"ada","passcode":"1","again":"2","choice":"own","conversation":"sealed"}`)
	got := f.Attempts()[0]
	if got.Source.String() != "2001:db8::1" || got.Client != "" || got.Origin.Actor != "" || got.Origin.Client != "" || got.Origin.Door != events.DoorAPI ||
		got.Origin.Request.IsZero() || got.Typed != "1" || got.Again != "2" || got.Choice != "own" || got.Conversation != "sealed" || got.Arrived.IsZero() ||
		got.Holder != "administrator at 2001:db8::/64" {
		t.Errorf("attempt %+v", got)
	}
	r := newRequest(t, "", post, "/sessions", `{"user":"ada","passcode":"1"}`)
	if status, body := send(a, r.WithContext(context.WithValue(r.Context(), localKey{}, uint32(0)))); status != http.StatusConflict {
		t.Errorf("at the socket: status %d: %s", status, body)
	}
}

// A thief has copied an API token.
func TestAPITokenIsRefusedOutsideItsLimits(t *testing.T) {
	f := newFake(t)
	digest := func(secret string) events.Hash { return sha256.Sum256([]byte(secret)) }
	f.put(t, engine.TableAPITokens, engine.APIToken{
		Name: "ci", Role: RoleHelpdesk, Digest: digest("kf_ci"), Expires: events.At(noon.Add(time.Hour)), Used: events.At(noon),
		Commands: []string{"list-*", "show-user", "read-user-audit"}, Sites: []string{"hq", "lab"}, Networks: []string{"192.0.2.0/24", "2001:db8::/32"},
	})
	f.put(t, engine.TableAPITokens, engine.APIToken{
		Name: "far", Role: RoleHelpdesk, Digest: digest("kf_far"), Expires: events.At(noon.Add(time.Hour)), Used: events.At(noon), Sites: []string{"lab"},
	})
	f.put(t, engine.TableAPITokens, engine.APIToken{
		Name: "bobs", Role: RoleHelpdesk, Digest: digest("kf_bobs"), Expires: events.At(noon.Add(time.Hour)), Used: events.At(noon), Owner: "bob",
	})
	a := f.api(t)
	for _, tt := range []struct {
		what, secret, from, method, path, body string
		want                                   int
		event                                  events.Sampled
	}{
		{"within", "kf_ci", home, get, "/users/ada", "", 200, nil},
		{"a pattern", "kf_ci", home, get, "/tokens", "", 200, nil},
		{"another network", "kf_ci", "[2001:db8::1]:1", get, "/users", "", 200, nil},
		{"mapped", "kf_ci", "[::ffff:192.0.2.9]:1", get, "/users", "", 200, nil},
		{"another command", "kf_ci", home, get, "/tokens/0001", "", 403, events.CommandDenied{Operation: "show-token", Role: RoleHelpdesk, Cause: "commands"}},
		{"a change", "kf_ci", home, post, "/users/ada/disable", `{"reason":"r"}`, 403, events.CommandDenied{Operation: "disable-user", Role: RoleHelpdesk, Cause: "commands"}},
		{"beyond the role", "kf_ci", home, get, "/api-tokens", "", 403, events.CommandDenied{Operation: "list-api-tokens", Role: RoleHelpdesk, Cause: "role"}},
		{"another address", "kf_ci", "198.51.100.9:1", get, "/users", "", 401, events.APITokenRefused{Name: "ci", Cause: "address"}},
		{"another site", "kf_far", home, get, "/users", "", 403, events.CommandDenied{Operation: "list-users", Role: RoleHelpdesk, Cause: "site"}},
		{"a person who has no role", "kf_bobs", home, get, "/users", "", 401, events.APITokenRefused{Name: "bobs", Cause: "user"}},
	} {
		f.refused = nil
		if status, body := with(t, a, tt.secret, tt.from, tt.method, tt.path, tt.body); status != tt.want {
			t.Errorf("%s: status %d: %s", tt.what, status, body)
		}
		if tt.event == nil != (len(f.refused) == 0) || tt.event != nil && !sameEvent(f.refused[0].Event, tt.event) {
			t.Errorf("%s: records %+v", tt.what, f.refused)
		}
	}
	f.now = noon.Add(time.Hour)
	if status, _ := with(t, a, "kf_ci", home, get, "/users", ""); status != http.StatusUnauthorized {
		t.Errorf("expired: status %d", status)
	}
	_, body := call(t, a, RoleAuditor, get, "/api-tokens", "")
	for _, token := range decode[List[APIToken]](t, body).Items {
		want := map[string]string{"ci": "expired", "far": "expired", "bobs": "expired"}[token.Name]
		if want == "" {
			want = "valid"
		}
		if token.State != want {
			t.Errorf("%s is listed as %s, want %s", token.Name, token.State, want)
		}
	}
}

func sameEvent(a, b events.Sampled) bool {
	return slices.Equal(events.Describe(a).Detail, events.Describe(b).Detail) && events.Name(a) == events.Name(b)
}

func TestAPITokenIsIssuedWithLimitsThatPermitSomething(t *testing.T) {
	f, a := withRules(t, "")
	for body, want := range map[string]int{
		`"name":"a1","role":"helpdesk","commands":["unlock-user","show-*"],"from":["192.0.2.7","2001:db8::/32"],"sites":["hq"]`: 201,
		`"name":"a2","role":"helpdesk","commands":["issue-api-token"]`:                                                          422,
		`"name":"a3","role":"helpdesk","commands":["unlock-["]`:                                                                 422,
		`"name":"a4","role":"helpdesk","from":["192.0.2.7/24"]`:                                                                 422,
		`"name":"a5","role":"helpdesk","from":["office"]`:                                                                       422,
		`"name":"a6","role":"helpdesk","ttl_seconds":31622400`:                                                                  422,
		`"name":"a7","role":"helpdesk"`:                                                                                         201,
	} {
		if status, answer := call(t, a, RoleAdmin, post, "/api-tokens", `{"reason":"r",`+body+`}`); status != want {
			t.Errorf("%s: status %d: %s", body, status, answer)
		}
	}
	got := f.state.APIToken("a1")
	if got == nil || strings.Join(got.Networks, " ") != "192.0.2.7/32 2001:db8::/32" || got.IssuedBy != "token:admin" {
		t.Errorf("issued %+v", got)
	}
	if got := f.state.APIToken("a7"); got == nil || got.Expires != events.At(noon.Add(engine.DefaultAPITokenTTL)) {
		t.Errorf("issued %+v", got)
	}
	own := *f.state.APIToken(RoleAdmin)
	own.Expires = events.At(noon.Add(time.Hour))
	f.put(t, engine.TableAPITokens, own)
	if status, answer := call(t, a, RoleAdmin, post, "/api-tokens", `{"reason":"r","name":"a8","role":"admin"}`); status != http.StatusCreated || f.state.APIToken("a8").Expires != own.Expires {
		t.Errorf("a token issued with one that ends sooner: status %d: %s", status, answer)
	}
}

// The last use is recorded, at most once an hour for an API token.
func TestUseOfAnAPITokenIsRecordedNowAndThen(t *testing.T) {
	f := newFake(t)
	f.rules = true
	a := f.api(t)
	for range 120 {
		f.now = f.now.Add(time.Minute)
		for range 3 {
			call(t, a, RoleAuditor, get, "/users", "")
		}
	}
	if len(f.origins) != 2 || f.state.APIToken(RoleAuditor).Used != events.At(noon.Add(2*time.Hour)) {
		t.Errorf("%d records, the last use at %v", len(f.origins), f.state.APIToken(RoleAuditor).Used.Std())
	}
	f.refuse, f.rules = engine.ErrUndecided, false
	f.now = noon.Add(4 * time.Hour)
	for range 3 {
		if status, _ := call(t, a, RoleAuditor, get, "/users", ""); status != http.StatusOK {
			t.Errorf("without a leader: status %d", status)
		}
	}
	if len(f.origins) != 3 {
		t.Errorf("%d tries to record", len(f.origins))
	}
}

func TestOpenAuditStreamEndsWithTheSession(t *testing.T) {
	f, a := withRules(t, RoleAuditor)
	x := logIn(t, a)
	f.refusals(events.ReasonBadPIN, events.ReasonBadTokencode)
	r := newRequest(t, "", get, "/audit?follow=true", "")
	r.Header.Set("Authorization", "Bearer "+x.Secret)
	w := &onWrite{httptest.NewRecorder(), func() { call(t, a, RoleAdmin, remove, "/admins/ada?reason=r", "") }}
	defer func() {
		if recover() == nil {
			t.Error("the connection was not cut")
		}
		if got := sequences(t, w.Body.String()); got != "1" {
			t.Errorf("events %q, want that before the end only", got)
		}
	}()
	a.ServeHTTP(w, r)
}
