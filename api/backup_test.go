package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"keyfob/engine"
)

func TestBackupIsSentToAnAdministrator(t *testing.T) {
	f := newFake(t)
	a := f.api(t)
	w := httptest.NewRecorder()
	a.ServeHTTP(w, newRequest(t, RoleAdmin, post, "/cluster/backup", `{"reason":"nightly"}`))
	if w.Code != http.StatusOK || w.Body.String() != "backup" || w.Header().Get(SizeHeader) != "6" {
		t.Fatalf("status %d, %q, %v", w.Code, w.Body, w.Header())
	}
	if o := f.origins[len(f.origins)-1]; o.Note != "nightly" || o.Actor == "" {
		t.Errorf("the trail would say %+v", o)
	}
	f.refuse = &engine.Refusal{Code: engine.Conflict, Text: "no key"}
	if status, _ := call(t, a, RoleAdmin, post, "/cluster/backup", `{"reason":"nightly"}`); status != http.StatusConflict {
		t.Errorf("refused with status %d", status)
	}
	f.refuse = nil
	if status, _ := call(t, a, RoleAdmin, post, "/cluster/backup", `{"reason":"nightly"}`); status != http.StatusOK {
		t.Errorf("after one that was refused none is written any more: status %d", status)
	}
}

func TestFailedBackupIsCutOff(t *testing.T) {
	f := newFake(t)
	f.broken = errors.New("disk")
	a := f.api(t)
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			t.Errorf("the answer ended in order: %v", err)
		}
	}()
	a.ServeHTTP(httptest.NewRecorder(), newRequest(t, RoleAdmin, post, "/cluster/backup", `{"reason":"nightly"}`))
}

func TestRecoveryKeysAreAddedReplacedListedAndRemoved(t *testing.T) {
	f := newFake(t)
	a := f.api(t)
	ask := func(method, path string, fields map[string]any) string {
		t.Helper()
		body := ""
		if fields != nil {
			fields["reason"] = "safe B"
			text, err := json.Marshal(fields)
			if err != nil {
				t.Fatal(err)
			}
			body = string(text)
		}
		status, text := call(t, a, RoleAdmin, method, "/cluster/recovery-keys"+path, body)
		if status >= 300 {
			t.Fatalf("status %d: %s", status, text)
		}
		return text
	}
	names := func() (names []string) {
		for _, k := range decode[List[RecoveryKey]](t, ask(get, "", nil)).Items {
			names = append(names, fmt.Sprintf("%s %d/%d", k.Name, k.Threshold, k.Shares))
		}
		return names
	}
	for _, step := range []struct {
		do   func()
		want []string
	}{
		{func() { ask(post, "", map[string]any{"public": []byte("A")}) }, []string{"A 0/0"}},
		{func() { ask(post, "", map[string]any{"public": []byte("B"), "shares": 3, "threshold": 2}) }, []string{"A 0/0", "B 2/3"}},
		{func() { ask(remove, "/A?reason=gone", nil) }, []string{"B 2/3"}},
		{func() { ask(post, "", map[string]any{"public": []byte("C"), "replace": true}) }, []string{"C 0/0"}},
	} {
		if step.do(); !slices.Equal(names(), step.want) {
			t.Errorf("the keys are %q, want %q", names(), step.want)
		}
	}
}
