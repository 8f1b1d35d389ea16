package api

import (
	"net/http"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// A word is right once; the answer says how long the caller may be helped, and
// every check is recorded.
func TestWordOfACallerIsRightOnce(t *testing.T) {
	f := newFake(t)
	a := f.api(t)
	now := events.At(f.now)
	f.Execute = func(c engine.Command) error {
		d, err := engine.Decide(f.state, f.origins[len(f.origins)-1], c, now)
		for _, draft := range d.Drafts {
			if _, ok := draft.Event.(events.CallerChecked); !ok {
				t.Errorf("recorded %T", draft.Event)
			}
			f.state.Apply(now, draft)
		}
		return err
	}
	f.state.Apply(now, events.Draft{Event: events.CallerProofShown{
		User: "ada", Digest: f.CallerDigest("ada", "7K3MQX"), Expires: now.Add(time.Minute),
	}})
	until := f.now.Add(f.state.Policy.CallerHelp)
	for _, tt := range []struct {
		word  string
		right bool
	}{{"000 000", false}, {"7k3-mqx", true}, {"7K3 MQX", false}} {
		status, body := call(t, a, RoleHelpdesk, post, "/users/ada/check", `{"reason":"called","word":"`+tt.word+`"}`)
		got := decode[CallerCheck](t, body)
		if status != http.StatusOK || got.Right != tt.right || got.User != "ada" {
			t.Errorf("word %s: status %d: %s", tt.word, status, body)
		}
		if tt.right && (got.Until == nil || !got.Until.Equal(until)) {
			t.Errorf("until %v, want %v", got.Until, until)
		}
	}
	if len(f.origins) != 3 {
		t.Errorf("%d checks reached the node, want 3", len(f.origins))
	}
}
