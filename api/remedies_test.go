package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
)

func TestTemporaryPINIsGeneratedAndShown(t *testing.T) {
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

// TestActivationCodeIsShownOnce: only the answer of the command that makes it.
func TestActivationCodeIsShownOnce(t *testing.T) {
	for path, body := range map[string]string{
		"/tokens/0001/assign":    `{"reason":"r","user":"ada"}`,
		"/tokens/0001/clear-pin": `{"reason":"r"}`,
		"/tokens/0001/replace":   `{"reason":"r","replacement":"0001"}`,
	} {
		f := newFake(t)
		a := f.api(t)
		status, answer := call(t, a, RoleAdmin, post, path, body)
		if got := decode[GivenToken](t, answer); status != http.StatusOK || got.Serial != "0001" || got.ActivationCode != "" || strings.Contains(answer, "activation_code") {
			t.Errorf("%s where none is needed: status %d: %s", path, status, answer)
		}
		f.activation = "190283"
		status, answer = call(t, a, RoleAdmin, post, path, body)
		if got := decode[GivenToken](t, answer); status != http.StatusOK || got.ActivationCode != "190283" {
			t.Errorf("%s: status %d: %s", path, status, answer)
		}
		if _, answer = call(t, a, RoleAdmin, get, "/tokens/0001", ""); strings.Contains(answer, "190283") {
			t.Errorf("%s: shown again: %s", path, answer)
		}
	}
}

func TestLostTokenHasTheRequestedEmergencyAccess(t *testing.T) {
	few := engine.DefaultPolicy()
	few.EmergencyCodes, few.EmergencyFor = 3, 24*time.Hour
	for body, want := range map[string]Loss{
		`{"reason":"r"}`: {Codes: 10, For: 7 * 24 * time.Hour, Found: "refuse"},
		`{"reason":"r","fixed":true,"for_seconds":3600,"found":"allow"}`: {Codes: 10, Fixed: true, For: time.Hour, Found: "allow"},
		`{"reason":"r","tokencodes":0}`:                                  {For: 7 * 24 * time.Hour, Found: "refuse"},
		`{"reason":"by policy"}`:                                         {Codes: 3, For: 24 * time.Hour, Found: "refuse"},
	} {
		f := newFake(t)
		if body == `{"reason":"by policy"}` {
			f.state.Policy = few
		}
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

func TestReplacementKeepsThePINAsThePolicySays(t *testing.T) {
	for _, tt := range []struct {
		body, style string
		policy      bool
		want        bool
	}{
		{`{"reason":"r","replacement":"0002"}`, "", false, false},
		{`{"reason":"r","replacement":"0002"}`, "", true, true},
		{`{"reason":"r","replacement":"0002"}`, "pinpad", true, false}, // it cannot
		{`{"reason":"r","replacement":"0002","keep_pin":true}`, "", false, true},
		{`{"reason":"r","replacement":"0002","keep_pin":false}`, "", true, false},
	} {
		f := newFake(t)
		f.put(t, engine.TableTokens, engine.Token{Serial: "0002", Kind: "totp", Digits: 6, Period: 30, PINStyle: tt.style, Seed: []byte("sealed seed")})
		f.state.Policy.ReplaceKeepsPIN = tt.policy
		if status, answer := call(t, f.api(t), RoleAdmin, post, "/tokens/0001/replace", tt.body); status != http.StatusOK {
			t.Fatalf("%s: status %d: %s", tt.body, status, answer)
		}
		if f.kept != tt.want {
			t.Errorf("%s by policy %v on a %q token: the PIN goes along: %v", tt.body, tt.policy, tt.style, f.kept)
		}
	}
}
