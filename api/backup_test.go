package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"keyfob/engine"
)

func TestBackupIsSentToAnAdministrator(t *testing.T) {
	f := newFake(t)
	a := f.api(t)
	body, _ := json.Marshal(map[string]any{"public": []byte("public half"), "reason": "the first"})
	if status, text := call(t, a, RoleAdmin, post, "/cluster/recovery-key", string(body)); status != http.StatusOK || f.recovery != "public half" {
		t.Fatalf("status %d: %s", status, text)
	}
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
