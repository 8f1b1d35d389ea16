package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
	"keyfob/events"
)

func TestCommandCarriesWhoAndWhy(t *testing.T) {
	f := newFake(t)
	status, body := call(t, f.api(t), RoleHelpdesk, post, "/users/ADA/unlock", `{"reason":"came to the desk"}`)
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	if diff := cmp.Diff([]engine.Command{engine.UnlockUser{User: "ada"}}, f.Commands()); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	o := f.origins[0]
	if o.Request.IsZero() || o.Reference == "" {
		t.Error("the command has no request number or no reference")
	}
	o.Request, o.Reference = events.Request{}, ""
	want := events.Origin{Node: "n1", Site: "hq", Door: events.DoorAPI, SourceIP: "192.0.2.7", Actor: "token:helpdesk", Note: "came to the desk"}
	if diff := cmp.Diff(want, o); diff != "" {
		t.Errorf("origin (-want +got):\n%s", diff)
	}
}

func TestEveryChangeDemandsAReason(t *testing.T) {
	f := newFake(t)
	a := f.api(t)
	for _, op := range operations(a) {
		if op.Method == get || unrecorded[op.OperationID] {
			continue
		}
		path := strings.NewReplacer("{user}", "ada", "{serial}", "0001", "{name}", "n9", "{session}", "0123456789ab").Replace(strings.TrimPrefix(op.Path, Prefix))
		status, body := call(t, a, RoleAdmin, op.Method, path, `{}`)
		if status != http.StatusUnprocessableEntity || !strings.Contains(body, "reason") {
			t.Errorf("%s %s without a reason: status %d, %s", op.Method, op.Path, status, body)
		}
	}
	if len(f.Commands()) != 0 {
		t.Errorf("%d commands were carried out without a reason", len(f.Commands()))
	}
}

func TestUnknownFieldsAreRefusedAndNotEchoed(t *testing.T) {
	f := newFake(t)
	a := f.api(t)
	const seed = "NBSWY3DPEHPK3PXP"
	for _, body := range []string{
		`{"reason":"r","serial":"0002","kind":"totp","seed":"` + seed + `","admin":true}`,
		`{"reason":"r","serial":"0002","kind":"` + seed + `","seed":"x"}`,
		`{"reason":"r","serial":"0002","kind":"totp","seed":"` + seed + `1"}`,
		`{"reason":"r","serial":"0002","kind":"totp","seed":"` + seed,
	} {
		status, answer := call(t, a, RoleAdmin, post, "/tokens", body)
		if status/100 != 4 {
			t.Errorf("%s: status %d", body, status)
		}
		if strings.Contains(answer, seed) {
			t.Errorf("the answer repeats what was sent: %s", answer)
		}
	}
	if status, _ := call(t, a, RoleAdmin, get, "/tokens?usr=ada", ""); status != http.StatusUnprocessableEntity {
		t.Errorf("unknown query parameter: status %d", status)
	}
	if len(f.Commands()) != 0 {
		t.Errorf("%v was carried out", f.Commands())
	}
}

func TestLongBodyIsRefused(t *testing.T) {
	body := `{"reason":"` + strings.Repeat("a", maxBody) + `","user":"bob"}`
	if status, _ := call(t, newFake(t).api(t), RoleAdmin, post, "/users", body); status != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d, want 413", status)
	}
}

func TestExpiredTokenIsRefused(t *testing.T) {
	f := newFake(t)
	record := *f.state.APIToken(RoleAdmin)
	record.Expires = events.At(noon)
	f.put(t, engine.TableAPITokens, record)
	a := f.api(t)
	if status, _ := call(t, a, RoleAdmin, get, "/users", ""); status != http.StatusUnauthorized {
		t.Errorf("at its end: status %d, want 401", status)
	}
	f.now = noon.Add(-time.Second)
	if status, _ := call(t, a, RoleAdmin, get, "/users", ""); status != http.StatusOK {
		t.Errorf("before its end: status %d, want 200", status)
	}
	f.state.Time = events.At(noon)
	if status, _ := call(t, a, RoleAdmin, get, "/users", ""); status != http.StatusUnauthorized {
		t.Errorf("after its end, when the clock was put back: status %d, want 401", status)
	}
}

func TestErrorsBecomeProblems(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
		hidden string
	}{
		{&engine.Refusal{Code: "not_found", Text: "there is no user bob"}, 404, "not_found", ""},
		{&engine.Refusal{Code: "exists", Text: "there is a user bob"}, 409, "exists", ""},
		{&engine.Refusal{Code: "conflict", Text: "no"}, 409, "conflict", ""},
		{&engine.Refusal{Code: "invalid", Text: "no"}, 422, "invalid", ""},
		{fmt.Errorf("proposing: %w", engine.ErrUndecided), 503, "undecided", "proposing"},
		{fmt.Errorf("argon2: %w", engine.ErrBusy), 503, "busy", "argon2"},
		{errors.New("disk on fire at /var/lib"), 500, "internal", "fire"},
	} {
		f := newFake(t)
		f.refuse, f.Impossible = c.err, c.status == 500
		status, body := call(t, f.api(t), RoleAdmin, post, "/users", `{"user":"bob","reason":"r"}`)
		p := decode[huma.ErrorModel](t, body)
		if status != c.status || p.Type != "urn:keyfob:problem:"+c.code || p.Status != status {
			t.Errorf("%v: status %d, problem %s", c.err, status, body)
		}
		if c.hidden != "" && strings.Contains(body, c.hidden) {
			t.Errorf("the inner error reached the caller: %s", body)
		}
	}
}

// TestProblemNamesWhatHelps: an operation, not a command line.
func TestProblemNamesWhatHelps(t *testing.T) {
	type problem struct{ Type, Detail, Help string }
	f := newFake(t)
	a := f.api(t)
	_, body := call(t, a, RoleAdmin, get, "/users/nobody", "")
	want := problem{"urn:keyfob:problem:not_found", `user "nobody" not found`, "list_users"}
	if got := decode[problem](t, body); got != want {
		t.Errorf("not found here: %+v, want %+v", got, want)
	}
	f.refuse = &engine.Refusal{Code: engine.Exists, Text: "client vpn already exists", Help: engine.HelpSetClient}
	status, body := call(t, a, RoleAdmin, post, "/users", `{"user":"bob","reason":"r"}`)
	want = problem{"urn:keyfob:problem:exists", "client vpn already exists", "set_client"}
	if got := decode[problem](t, body); status != http.StatusConflict || got != want {
		t.Errorf("refused by the rules: status %d, %+v, want %+v", status, got, want)
	}
	f.refuse = engine.ErrUndecided
	w := httptest.NewRecorder()
	a.ServeHTTP(w, newRequest(t, RoleAdmin, post, "/users", `{"user":"bob","reason":"r"}`))
	if got := decode[problem](t, w.Body.String()); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || got.Help != "list_nodes" ||
		w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("undecided: status %d, %+v, %v", w.Code, got, w.Header())
	}
}

func TestTokenIsSealedBeforeItLeavesTheNode(t *testing.T) {
	f := newFake(t)
	f.put(t, engine.TableUsers, engine.User{Name: "bob"})
	call(t, f.api(t), RoleAdmin, post, "/tokens",
		`{"reason":"r","serial":"0002","kind":"totp","seed":"nbsw y3dp-ehpk 3pxp","user":"Bob","pin":"2468"}`)
	want := []engine.Command{engine.ImportToken{
		Token: events.TokenImported{
			Serial: "0002", Kind: "totp", Algorithm: "SHA1", Digits: 6, Period: 30, PINStyle: "fob", Form: "fob",
			Sealed: []byte("sealed seed of 0002"),
		},
		User: "bob",
		PIN:  []byte("sealed PIN of 0002"),
	}}
	if diff := cmp.Diff(want, f.Commands()); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

func TestListingContinuesAfterThePage(t *testing.T) {
	f := newFake(t)
	for _, name := range []string{"bob", "carol", "dave"} {
		f.put(t, engine.TableUsers, engine.User{Name: name})
	}
	a := f.api(t)
	var names []string
	next := ""
	for pages := 0; pages < 3; pages++ {
		_, body := call(t, a, RoleAuditor, get, "/users?limit=2&after="+next, "")
		list := decode[List[User]](t, body)
		for _, u := range list.Items {
			names = append(names, u.User)
		}
		if next = list.Next; next == "" {
			break
		}
	}
	if diff := cmp.Diff([]string{"ada", "bob", "carol", "dave"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestServerUserNeedsNoTokenOnTheSocket(t *testing.T) {
	a := newFake(t).api(t)
	path := filepath.Join(t.TempDir(), "admin.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: a, ConnContext: Local, ReadHeaderTimeout: time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	defer func() {
		_ = server.Close()
		<-done
	}()

	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), get, "http://keyfob"+Prefix+"/users/ada", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d, want 200", resp.StatusCode)
	}
}
