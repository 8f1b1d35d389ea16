package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
	"keyfob/events"
)

func TestPolicyIsShownWithItsGuessBudgetsAndProfiles(t *testing.T) {
	_, body := call(t, newFake(t).api(t), RoleHelpdesk, get, "/policy", "")
	p := decode[Policy](t, body)
	if len(p.Settings) != len(engine.Settings()) || len(p.Budgets) != 6 || len(p.Assumed) == 0 || p.MaxGuess != engine.MaxGuess {
		t.Errorf("%d settings, %d budgets, at most %g", len(p.Settings), len(p.Budgets), p.MaxGuess)
	}
	for _, b := range p.Budgets {
		if b.Day <= 0 || b.Year <= b.Day || b.Arithmetic == "" {
			t.Errorf("%+v", b)
		}
	}
	profiles := map[string]map[string]string{}
	for _, one := range p.Profiles {
		profiles[one.Name] = one.Settings
	}
	if len(profiles) != len(engine.Profiles()) || len(profiles["default"]) != 0 || profiles["rsa"]["lock.after"] != "5" || profiles["rsa"]["next_tokencode.after"] != "" {
		t.Errorf("profiles %v", profiles)
	}
}

func TestPreviewShowsTheEffectOfAChange(t *testing.T) {
	f := newFake(t)
	a := f.api(t)
	_, body := call(t, a, RoleAuditor, post, "/policy/preview", `{"settings":{"pin.min":"7","window.app.small":"20","window.app.medium":"20"}}`)
	p := decode[PolicyPreview](t, body)
	want := []SettingChange{{"pin.min", "6", "7"}, {"window.app.medium", "12", "20"}, {"window.app.small", "10", "20"}}
	if diff := cmp.Diff(want, p.Changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"app"}, p.Risky); diff != "" || p.NewPIN != 0 { // ada must set one anyhow
		t.Errorf("new PINs %d, risky (-want +got):\n%s", p.NewPIN, diff)
	}
	f.put(t, engine.TableTokens, engine.Token{Serial: "b1", Kind: "totp", Period: 60, User: "bob", PIN: []byte("sealed PIN"), PINMin: 6})
	_, body = call(t, a, RoleAuditor, post, "/policy/preview", `{"settings":{"profile":"strict"}}`)
	if p := decode[PolicyPreview](t, body); p.NewPIN != 1 || len(p.Risky) != 0 || len(p.Changes) < 8 {
		t.Errorf("%+v", p)
	}
	for _, bad := range []string{`{"no.such":"1"}`, `{"pin.min":"99"}`, `{"profile":"lax"}`} {
		if status, body := call(t, a, RoleAuditor, post, "/policy/preview", `{"settings":`+bad+`}`); status != http.StatusUnprocessableEntity && status != http.StatusNotFound {
			t.Errorf("%s: status %d: %s", bad, status, body)
		}
	}
	if len(f.Commands()) != 0 {
		t.Errorf("a preview commanded %v", f.Commands())
	}
}

func TestForcedChangeIsRecordedAsForced(t *testing.T) {
	f := newFake(t)
	a := f.api(t)
	for body, want := range map[string]engine.SetPolicy{
		`{"settings":{"pin.min":"7"},"reason":"why"}`:              {Settings: map[string]string{"pin.min": "7"}},
		`{"settings":{"pin.min":"7"},"reason":"why","force":true}`: {Settings: map[string]string{"pin.min": "7"}, Force: true},
	} {
		f.Reset()
		f.origins = nil
		if status, answer := call(t, a, RoleAdmin, patch, "/policy", body); status != http.StatusOK {
			t.Fatalf("status %d: %s", status, answer)
		}
		if diff := cmp.Diff([]engine.Command{want}, f.Commands()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if forced := f.origins[0].Note == "why (forced)"; forced != want.Force {
			t.Errorf("note %q", f.origins[0].Note)
		}
	}
}

// morning is a journal with a user who fails twice and then logs in.
func (f *fake) morning(t *testing.T) {
	t.Helper()
	s := engine.NewState()
	at := events.At(noon)
	add := func(d engine.Decision, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for _, draft := range d.Drafts {
			s.Apply(at, draft)
			f.records = append(f.records, events.Record{Sequence: uint64(len(f.records) + 1), Time: at, Draft: draft})
		}
		at = at.Add(time.Minute)
	}
	admin := func(n byte) events.Origin { return events.Origin{Request: events.Request{n}, Actor: "admin"} }
	add(engine.Decide(s, admin(1), engine.AddUser{User: "bob"}, at))
	add(engine.Decide(s, admin(2), engine.ImportToken{User: "bob", PIN: []byte("sealed PIN"), Token: events.TokenImported{
		Serial: "b1", Kind: "totp", Algorithm: "SHA1", Digits: 6, Period: 60, Form: engine.FormFob, Sealed: []byte("sealed seed"),
	}}, at))
	at = events.At(noon.Add(time.Hour))
	evidence := engine.TokenEvidence{Serial: "b1", Revision: s.Token("b1").Revision}
	for n := range byte(3) {
		if n == 2 {
			evidence.Found, evidence.PIN, evidence.Interval = true, true, at.Std().Unix()/60
		}
		login := engine.Authenticate{User: "bob", Evidence: engine.Evidence{Tokens: []engine.TokenEvidence{evidence}}}
		add(engine.DecideLogin(s, events.Origin{Request: events.Request{10 + n}, Door: events.DoorWeb}, login, at))
	}
}

func TestPolicyIsSimulatedOverTheJournal(t *testing.T) {
	f := newFake(t)
	f.morning(t)
	a := f.api(t)
	for name, tc := range map[string]struct {
		since, settings string
		want            SimulatedEffect
		touched         int
	}{
		"a lock after two failures": {"2026-11-02T13:00:00Z", `{"lock.after":"2","next_tokencode.after":"9"}`, SimulatedEffect{Logins: 1, Refused: 1, Locked: 1}, 1},
		"longer PINs":               {"2026-11-02T13:00:00Z", `{"pin.min":"7"}`, SimulatedEffect{Logins: 1, NewPIN: 1}, 1},
		"the same policy":           {"2026-11-02T13:00:00Z", `{"lock.after":"10"}`, SimulatedEffect{Logins: 1}, 0},
		"after all of it":           {"2026-11-02T15:00:00Z", `{"lock.after":"2"}`, SimulatedEffect{}, 0},
	} {
		status, body := call(t, a, RoleAuditor, post, "/policy/simulate", `{"since":"`+tc.since+`","settings":`+tc.settings+`}`)
		if status != http.StatusOK {
			t.Fatalf("%s: status %d: %s", name, status, body)
		}
		r := decode[SimulationLine](t, body).Result
		if diff := cmp.Diff(tc.want, r.Totals); diff != "" || r.Touched != tc.touched || len(r.Effects) != tc.touched || !r.Complete || r.Sequence != uint64(len(f.records)) {
			t.Errorf("%s: %+v; totals (-want +got):\n%s", name, r, diff)
		}
	}
}

func TestSimulationIsBounded(t *testing.T) {
	f := newFake(t)
	f.morning(t)
	a := f.api(t)
	const question = `{"since":"2026-11-02T13:00:00Z","settings":{"lock.after":"2"}}`
	if status, _ := call(t, a, RoleAuditor, post, "/policy/simulate", `{"since":"2026-11-02T13:00:00Z","settings":{"lock.after":"0"}}`); status != http.StatusUnprocessableEntity {
		t.Errorf("a policy out of bounds: status %d", status)
	}
	a.folding <- struct{}{}
	if status, _ := call(t, a, RoleAuditor, post, "/policy/simulate", question); status != http.StatusServiceUnavailable {
		t.Errorf("while another runs: status %d", status)
	}
	<-a.folding

	for len(f.records) < 3*simulateStride {
		f.attempt("", events.UserAdded{User: "zoe"})
	}
	a.cfg.Now = func() time.Time { f.now = f.now.Add(simulateFor/2 - time.Second); return f.now }
	_, body := call(t, a, RoleAuditor, post, "/policy/simulate", question)
	said := strings.Split(strings.TrimSpace(body), "\n")
	if len(said) != 3 {
		t.Fatalf("%d lines, want two of how far it is, and the result: %s", len(said), body)
	}
	if p := decode[SimulationLine](t, said[0]); p.Done != simulateStride || p.Total != uint64(len(f.records)) {
		t.Errorf("progress %+v", p)
	}
	if r := decode[SimulationLine](t, said[2]).Result; r == nil || r.Complete || r.Sequence != 3*simulateStride {
		t.Errorf("%+v", r)
	}
	a.folding <- struct{}{} // it has given its place back
	<-a.folding
	f.records = f.records[1:]
	if status, _ := call(t, a, RoleAuditor, post, "/policy/simulate", question); status != http.StatusConflict {
		t.Errorf("of a journal without its beginning: status %d", status)
	}
}
