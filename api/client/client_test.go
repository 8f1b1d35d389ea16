package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/api"
	"keyfob/api/client"
)

// recorder answers every request and remembers which operations were called.
type recorder struct {
	seen   []string
	answer func(*http.Request) *http.Response
}

func (r *recorder) Do(req *http.Request) (*http.Response, error) {
	r.seen = append(r.seen, req.Method+" "+req.URL.EscapedPath())
	if r.answer != nil {
		return r.answer(req), nil
	}
	return respond(http.StatusOK, "{}"), nil
}

func respond(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{},
		Request: httptest.NewRequest(http.MethodGet, "http://node/", nil), Status: http.StatusText(status),
	}
}

// operations are those of the API's description, with {} for what is named in
// a path.
func operations(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("../../docs/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	var all []string
	for path, methods := range doc.Paths {
		for method := range methods {
			all = append(all, strings.ToUpper(method)+" "+regexp.MustCompile(`\{[^}]+\}`).ReplaceAllString(path, "NAME"))
		}
	}
	slices.Sort(all)
	return all
}

// TestEveryOperationHasAMethod calls every method and compares what was asked
// for with the description of the API.
func TestEveryOperationHasAMethod(t *testing.T) {
	r := &recorder{}
	c := reflect.ValueOf(client.New(r))
	for i := range c.NumMethod() {
		if c.Type().Method(i).Name == "Profile" { // which is not of the API
			continue
		}
		call(t, c.Method(i))
	}
	slices.Sort(r.seen)
	if diff := cmp.Diff(operations(t), slices.Compact(r.seen)); diff != "" {
		t.Errorf("(-described +called):\n%s", diff)
	}
}

// call calls a method with NAME for every text, and reads what it streams.
func call(t *testing.T, method reflect.Value) {
	t.Helper()
	var in []reflect.Value
	for i := range method.Type().NumIn() {
		switch want := method.Type().In(i); want.Kind() {
		case reflect.Interface:
			in = append(in, reflect.ValueOf(context.Background()))
		case reflect.String:
			in = append(in, reflect.ValueOf("NAME"))
		case reflect.Func:
			in = append(in, reflect.ValueOf(func(uint64, uint64) {}))
		default:
			in = append(in, reflect.Zero(want))
		}
	}
	for _, out := range method.Call(in) {
		if out.Kind() == reflect.Func {
			out.Call([]reflect.Value{reflect.MakeFunc(out.Type().In(0), func([]reflect.Value) []reflect.Value {
				return []reflect.Value{reflect.ValueOf(false)}
			})})
		}
	}
}

func TestListingsAreReadToTheirEnd(t *testing.T) {
	pages := map[string]string{
		"":    `{"items":[{"user":"ada"},{"user":"bob"}],"next":"bob"}`,
		"bob": `{"items":[{"user":"carol"}]}`,
	}
	users, err := client.New(&recorder{answer: func(req *http.Request) *http.Response {
		return respond(http.StatusOK, pages[req.URL.Query().Get("after")])
	}}).ListUsers(t.Context(), api.ListUsersQuery{})
	if err != nil || len(users) != 3 || users[2].User != "carol" {
		t.Errorf("got %+v, %v", users, err)
	}
}

func TestQueriesSayWhatIsSetAndNothingElse(t *testing.T) {
	var query string
	r := &recorder{answer: func(req *http.Request) *http.Response {
		query = req.URL.RawQuery
		return respond(http.StatusOK, "")
	}}
	since := time.Date(2026, 11, 2, 15, 4, 5, 600, time.UTC)
	for range client.New(r).ReadAudit(t.Context(), api.ReadAuditQuery{Since: since, Follow: true}) {
		t.Error("an empty stream has an event")
	}
	if want := "follow=true&since=2026-11-02T15%3A04%3A05.0000006Z"; query != want {
		t.Errorf("got %s, want %s", query, want)
	}
}

func TestARefusalIsAProblem(t *testing.T) {
	r := &recorder{answer: func(*http.Request) *http.Response {
		return respond(http.StatusConflict, `{"type":"urn:keyfob:problem:exists","status":409,"detail":"there is a user ada already"}`)
	}}
	_, err := client.New(r).AddUser(t.Context(), api.AddUserRequest{User: "ada"})
	var p *client.Problem
	if !errors.As(err, &p) || p.Code() != "exists" || p.Status != http.StatusConflict || err.Error() != "there is a user ada already" {
		t.Errorf("got %#v", err)
	}
	if !client.IsProblem(err, "exists") || client.IsProblem(err, "not_found") {
		t.Error("the code is not told apart")
	}
}

func TestWhatIsNotTheAPIIsUnreachable(t *testing.T) {
	r := &recorder{answer: func(*http.Request) *http.Response { return respond(http.StatusNotFound, "<html>") }}
	_, err := client.New(r).ShowPolicy(t.Context())
	var unreachable *client.UnreachableError
	if !errors.As(err, &unreachable) {
		t.Errorf("got %v", err)
	}
}

func TestAnAuditTrailThatIsCutIsAnError(t *testing.T) {
	r := &recorder{answer: func(*http.Request) *http.Response {
		return respond(http.StatusOK, "{\"id\":\"1\"}\n{\"id\":")
	}}
	var lines, failures int
	for line, err := range client.New(r).ReadAudit(t.Context(), api.ReadAuditQuery{}) {
		if err != nil {
			failures++
		} else if string(line) == "{\"id\":\"1\"}\n" {
			lines++
		}
	}
	if lines != 1 || failures != 1 {
		t.Errorf("%d lines and %d failures, want one of each", lines, failures)
	}
}

func TestHTTPSSendsTheTokenAndChecksTheCertificate(t *testing.T) {
	var sent string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header.Get("Authorization")
		_, _ = w.Write([]byte("{}"))
	}))
	defer server.Close()
	strange, err := client.HTTPS(server.URL, "kf_secret", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.New(strange).ShowPolicy(t.Context())
	var unreachable *client.UnreachableError
	if !errors.As(err, &unreachable) || !unreachable.UnknownAuthority() || sent != "" {
		t.Errorf("an unknown authority: got %v, and %q was sent", err, sent)
	}
	known, err := client.HTTPS(server.URL, "kf_secret", server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.New(known).ShowPolicy(t.Context()); err != nil || sent != "Bearer kf_secret" {
		t.Errorf("got %v, and %q was sent", err, sent)
	}
	for _, url := range []string{"http://node:8444", "node:8444", "https://"} {
		if _, err := client.HTTPS(url, "", nil); err == nil {
			t.Errorf("%s was taken", url)
		}
	}
}
