package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
	"keyfob/events"
)

// ask sends a request with an Authorization header from an address.
func ask(t *testing.T, a http.Handler, from, authorization string) *httptest.ResponseRecorder {
	t.Helper()
	r := newRequest(t, "", get, "/users", "")
	r.RemoteAddr = from
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w
}

func TestWrongTokensAreCountedWhereTheyComeFrom(t *testing.T) {
	const from, wrong = "198.51.100.9:4711", "Bearer kf_wrong"
	f := newFake(t)
	f.state.Policy.SourceFailures, f.state.Policy.SourceEvery = 3, 20*time.Second
	a := f.api(t)
	for i := range 1000 {
		want := http.StatusUnauthorized
		if i >= 3 {
			want = http.StatusTooManyRequests
		}
		w := ask(t, a, from, wrong)
		if w.Code != want {
			t.Fatalf("wrong token %d: status %d, want %d", i, w.Code, want)
		}
		if after := w.Header().Get("Retry-After"); want == http.StatusTooManyRequests && after != "20" {
			t.Fatalf("wrong token %d: Retry-After %q", i, after)
		}
	}
	for _, tt := range []struct {
		what, from, authorization string
		want                      int
	}{
		{"a right one from there", from, "Bearer " + bearer(RoleAdmin), http.StatusOK},
		{"none from there", from, "", http.StatusUnauthorized},
		{"another scheme from there", from, "Basic YTpi", http.StatusTooManyRequests},
		{"a wrong one from elsewhere", "192.0.2.7:4711", wrong, http.StatusUnauthorized},
	} {
		if w := ask(t, a, tt.from, tt.authorization); w.Code != tt.want {
			t.Errorf("%s: status %d, want %d", tt.what, w.Code, tt.want)
		}
	}
	f.now = noon.Add(20 * time.Second)
	if w := ask(t, a, from, wrong); w.Code != http.StatusUnauthorized {
		t.Errorf("after a while: status %d", w.Code)
	}
}

// TestNodeThatIsBehindRefusesNoToken: its list of API tokens may be out of date.
func TestNodeThatIsBehindRefusesNoToken(t *testing.T) {
	f := newFake(t)
	a := f.api(t)
	behind := errors.New("catching up: at record 5 of 9")
	a.cfg.CaughtUp = func() error { return behind }
	for what, authorization := range map[string]string{
		"an unknown token": "Bearer kf_new",
		"a known token":    "Bearer " + bearer(RoleAdmin),
		"no token":         "",
	} {
		w := ask(t, a, "198.51.100.9:4711", authorization)
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "at record 5 of 9") {
			t.Errorf("%s: status %d, %s", what, w.Code, w.Body)
		}
	}
	local := newRequest(t, "", get, "/users", "")
	if code, body := send(a, local.WithContext(context.WithValue(local.Context(), localKey{}, uint32(0)))); code != http.StatusOK {
		t.Errorf("root at the socket: status %d, %s", code, body)
	}
	behind = nil
	if w := ask(t, a, "198.51.100.9:4711", "Bearer kf_new"); w.Code != http.StatusUnauthorized {
		t.Errorf("once it has caught up: status %d", w.Code)
	}
}

// TestRefusedRequestsAreEvents: they name the caller as far as it is known, and
// never contain the token.
func TestRefusedRequestsAreEvents(t *testing.T) {
	const secret = "kf_notissuedbyanybody"
	for name, tt := range map[string]struct {
		authorization string
		want          *refused
	}{
		"an unknown token": {"Bearer " + secret, &refused{
			"198.51.100.9/32", events.Origin{Node: "n1", Site: "hq", Door: events.DoorAPI, SourceIP: "198.51.100.9"}, events.APITokenRefused{Cause: "unknown"},
		}},
		"another scheme": {"Basic YTpi", &refused{
			"198.51.100.9/32", events.Origin{Node: "n1", Site: "hq", Door: events.DoorAPI, SourceIP: "198.51.100.9"}, events.APITokenRefused{Cause: "unknown"},
		}},
		"an expired token": {"Bearer " + bearer("old"), &refused{
			"198.51.100.9/32", events.Origin{Node: "n1", Site: "hq", Door: events.DoorAPI, SourceIP: "198.51.100.9"}, events.APITokenRefused{Name: "old", Cause: "expired"},
		}},
		"a role that does not permit it": {"Bearer " + bearer(RoleLogin), &refused{
			"token:login",
			events.Origin{Node: "n1", Site: "hq", Door: events.DoorAPI, SourceIP: "198.51.100.9", Actor: "token:login"},
			events.CommandDenied{Operation: "list-users", Role: RoleLogin, Cause: "role"},
		}},
		"no token":      {"", nil},
		"a valid token": {"Bearer " + bearer(RoleAuditor), nil},
	} {
		f := newFake(t)
		f.put(t, engine.TableAPITokens, engine.APIToken{Name: "old", Role: RoleAdmin, Digest: sha256.Sum256([]byte(bearer("old"))), Expires: events.At(noon)})
		ask(t, f.api(t), "198.51.100.9:4711", tt.authorization)
		var want []refused
		if tt.want != nil {
			want = append(want, *tt.want)
		}
		if diff := cmp.Diff(want, f.refused); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if strings.Contains(fmt.Sprintf("%+v", f.refused), secret) {
			t.Errorf("%s: the event holds the token", name)
		}
	}
}

// TestNodeThatIsBehindRecordsNothing: the token may be valid.
func TestNodeThatIsBehindRecordsNothing(t *testing.T) {
	f := newFake(t)
	a := f.api(t)
	a.cfg.CaughtUp = func() error { return errors.New("catching up") }
	ask(t, a, "198.51.100.9:4711", "Bearer kf_new")
	if len(f.refused) != 0 {
		t.Errorf("%v", f.refused)
	}
}
