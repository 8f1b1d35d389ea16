package engine_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
	"keyfob/events"
)

// TestActivationCodeIsOfTheSameCommand checks that the command and its
// activation code are carried out together or not at all, and once however
// often they are sent.
func TestActivationCodeIsOfTheSameCommand(t *testing.T) {
	code := engine.ActivationCode{Revision: 1, Sealed: []byte("190283")}
	stale := engine.ActivationCode{Revision: 2, Sealed: []byte("190283")}
	set := events.PINSet{Serial: "a1", User: "ann", Revision: 1, Sealed: []byte("190283"), Temporary: true}
	for _, tt := range []struct {
		name  string
		given []engine.Command
		when  engine.Command
		then  []events.Event // nil: refused
	}{
		{
			"a token is assigned", nil,
			engine.AssignToken{Serial: "a1", User: "Ann", Activation: &code},
			[]events.Event{events.TokenAssigned{Serial: "a1", User: "ann"}, set},
		},
		{
			"the same command again, when its sender did not hear of it",
			[]engine.Command{engine.AssignToken{Serial: "a1", User: "ann", Activation: &code}},
			engine.AssignToken{Serial: "a1", User: "ann", Activation: &code},
			[]events.Event{},
		},
		{
			"a code of another revision", nil, engine.AssignToken{Serial: "a1", User: "ann", Activation: &stale}, nil,
		},
		{
			"another administrator was faster",
			[]engine.Command{engine.AssignToken{Serial: "a1", User: "ann", Activation: &engine.ActivationCode{Revision: 1, Sealed: []byte("555190")}}},
			engine.AssignToken{Serial: "a1", User: "ann", Activation: &code},
			nil,
		},
		{
			"a PIN is cleared",
			[]engine.Command{engine.AssignToken{Serial: "a1", User: "ann"}},
			engine.ClearPIN{Serial: "a1", Activation: &code},
			[]events.Event{events.PINCleared{Serial: "a1", User: "ann"}, set},
		},
		{
			"it was taken from its user meanwhile", nil, engine.ClearPIN{Serial: "a1", Activation: &code}, nil,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.do([]string{"user", "ann"})
			w.do([]string{"token", "a1"})
			for _, c := range tt.given {
				w.command(c)
			}
			d, err := engine.Decide(w.state, w.origin("admin"), tt.when, events.At(w.now))
			if tt.then == nil {
				if refusal := (*engine.Refusal)(nil); !errors.As(err, &refusal) || refusal.Code != engine.Conflict {
					t.Fatalf("not refused as a conflict: %v", err)
				}
				return
			}
			got := []events.Event{}
			for _, draft := range d.Drafts {
				got = append(got, draft.Event)
			}
			if diff := cmp.Diff(tt.then, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestPreviewCountsTokensThatAChangeLocksOut(t *testing.T) {
	w := newWorld(t)
	for _, line := range [][]string{
		{"user", "ann"},
		{"user", "bea"},
		{"token", "a1", "user=ann"},                  // no PIN yet: shut out
		{"token", "a2", "user=ann", "pin=471108"},    // has one
		{"token", "a3", "user=ann", "style=none"},    // needs none
		{"token", "a4"},                              // belongs to nobody
		{"token", "a5", "user=bea", "kind=ondemand"}, // was shut out before
		{"token", "a6", "user=bea", "style=fob"},     // shut out
	} {
		w.do(line)
	}
	for _, tt := range []struct {
		key, value string
		want       int
	}{{"pin.first", "activation_code", 2}, {"profile", "strict", 2}, {"pin.min", "5", 0}} {
		p, err := engine.PreviewPolicy(w.state, map[string]string{tt.key: tt.value}, events.At(w.now))
		if err != nil || p.Unclaimed != tt.want {
			t.Errorf("%s=%s: %d tokens, want %d: %v", tt.key, tt.value, p.Unclaimed, tt.want, err)
		}
	}
	w.do([]string{"policy", "pin.first=activation_code"})
	if p, err := engine.PreviewPolicy(w.state, map[string]string{"pin.first": "tokencode"}, events.At(w.now)); err != nil || p.Unclaimed != 0 {
		t.Errorf("back again: %d tokens: %v", p.Unclaimed, err)
	}
}
