package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
	"keyfob/events"
)

// TestSimulationTellsWhomAPolicyWouldHaveTouched records a morning and plays
// it under other policies.
func TestSimulationTellsWhomAPolicyWouldHaveTouched(t *testing.T) {
	w := newWorld(t)
	var journal []events.Record
	w.record = func(at events.Time, d events.Draft) {
		journal = append(journal, events.Record{Time: at, Draft: d})
	}
	for _, line := range []string{
		"user ada", "token a1 user=ada pin=471108", "user bob", "token b1 user=bob pin=593174", "user carl", "token c1 user=carl pin=806317", "clock c1 -1",
	} {
		w.do(strings.Fields(line))
	}
	w.now = w.now.Add(time.Hour)
	since := events.At(w.now)
	for _, line := range []string{
		"at 14:00:00 login ada 471108<code>",
		"at 14:01:00 login bob 1", "at 14:02:00 login bob 2", "at 14:03:00 login bob 593174<code>",
		"at 14:05:00 login carl 806317<code>",
		"at 15:05:00 login carl 806317<code>",
		"at 15:06:00 login ada 471108<code>",
	} {
		w.do(strings.Fields(line))
	}
	for _, tt := range []struct {
		name     string
		settings map[string]string
		want     []engine.Effect
	}{
		{"the same policy touches nobody", map[string]string{"lock.after": "10"}, nil},
		{"a lock after two failures", map[string]string{"lock.after": "2", "next_tokencode.after": "9"}, []engine.Effect{{User: "bob", Logins: 1, Refused: 1, Locked: 1}}},
		{"a lock after two failures in a minute", map[string]string{"lock.after": "2", "lock.within": "1m", "next_tokencode.after": "9"}, nil},
		{"a lock after two failures in two minutes", map[string]string{"lock.after": "2", "lock.within": "2m", "lock.for": "0s", "next_tokencode.after": "9"}, []engine.Effect{{User: "bob", Logins: 1, Refused: 1, Locked: 1}}},
		{"next tokencode after two failures", map[string]string{"next_tokencode.after": "2"}, []engine.Effect{{User: "bob", Logins: 1, Next: 1}}},
		{"no window at all", map[string]string{"window.fob.small": "0"}, []engine.Effect{{User: "carl", Logins: 2, Next: 1}}},
		{"a profile", map[string]string{"profile": "default", "lock.after": "2", "next_tokencode.after": "9"}, []engine.Effect{{User: "bob", Logins: 1, Refused: 1, Locked: 1}}},
		{"longer PINs", map[string]string{"pin.min": "7"}, []engine.Effect{
			{User: "ada", Logins: 2, NewPIN: 1}, {User: "bob", Logins: 1, NewPIN: 1}, {User: "carl", Logins: 2, NewPIN: 1},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := engine.Simulate(tt.settings, since)
			for _, r := range journal {
				if err := s.Play(r); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tt.want, s.Effects()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if all, users := s.Totals(); all.Logins != 5 || users != 3 {
				t.Errorf("%d logins of %d users, want 5 of 3", all.Logins, users)
			}
		})
	}
	for key, value := range map[string]string{"pin.min": "99", "profile": "lax"} {
		if err := engine.Simulate(map[string]string{key: value}, since).Play(journal[len(journal)-1]); err == nil {
			t.Errorf("%s=%s is simulated", key, value)
		}
	}
}
