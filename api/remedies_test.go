package api

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTemporaryPINIsMadeByTheNodeAndShown(t *testing.T) {
	f := newFake(t)
	a := f.api(t)
	status, body := call(t, a, RoleHelpdesk, post, "/tokens/0001/temporary-pin", `{"reason":"forgot it"}`)
	if status != http.StatusOK || decode[TemporaryPIN](t, body).PIN != "135790" {
		t.Errorf("status %d: %s", status, body)
	}
	if f.origins[0].Note != "forgot it" {
		t.Errorf("reason %q", f.origins[0].Note)
	}
	status, _ = call(t, a, RoleHelpdesk, post, "/tokens/0001/temporary-pin", `{"reason":"r","pin":"1234"}`)
	if status != http.StatusUnprocessableEntity {
		t.Errorf("with a chosen PIN: status %d, want 422", status)
	}
}

func TestLostTokenHasTheEmergencyThatWasAskedFor(t *testing.T) {
	for body, want := range map[string]Loss{
		`{"reason":"r"}`: {Codes: 10, For: 7 * 24 * time.Hour, Found: "refuse"},
		`{"reason":"r","fixed":true,"for_seconds":3600,"found":"allow"}`: {Codes: 10, Fixed: true, For: time.Hour, Found: "allow"},
		`{"reason":"r","tokencodes":0}`:                                  {For: 7 * 24 * time.Hour, Found: "refuse"},
	} {
		f := newFake(t)
		status, answer := call(t, f.api(t), RoleHelpdesk, post, "/tokens/0001/lost", body)
		if status != http.StatusOK {
			t.Fatalf("%s: status %d: %s", body, status, answer)
		}
		want.Serial = "0001"
		if diff := cmp.Diff([]Loss{want}, f.losses); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
		if e := decode[Emergency](t, answer); len(e.Tokencodes) != 1 || !e.Until.Equal(noon.Add(want.For)) {
			t.Errorf("%s: answer %+v", body, e)
		}
	}
}
