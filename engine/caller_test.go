package engine_test

import (
	"errors"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// With caller.required, the help desk helps a caller whom it has checked, and
// otherwise only with a second administrator. What takes something away needs
// neither.
func TestHelpDeskHelpsCallersWhomItHasChecked(t *testing.T) {
	o := newOffice(t)
	for _, e := range []events.Event{
		events.APITokenIssued{Name: "desk", Role: "helpdesk"},
		events.UserAdded{User: "ada"},
		events.UserLockedOut{User: "ada", Failures: 10},
		events.PolicyChanged{Key: "caller.required", Before: "no", After: "yes"},
		events.CallerProofShown{User: "ada", Digest: "right", Expires: o.now.Add(5 * time.Minute)},
	} {
		o.state.Apply(o.now, events.Draft{Event: e})
	}
	unlock := engine.UnlockUser{User: "ada"}
	id, err := o.do(token("desk"), unlock)
	if err != nil || id == "" {
		t.Fatalf("unlocking an unchecked caller: approval %q, %v", id, err)
	}
	if _, err := o.do(token("desk"), engine.DisableUser{User: "ada"}); err != nil || !o.state.User("ada").Disabled {
		t.Errorf("disabling: %v", err)
	}
	var refusal *engine.Refusal
	if _, err := o.do(token("desk"), engine.Approve{ID: id}); !errors.As(err, &refusal) {
		t.Errorf("the help desk approves its own command: %v", err)
	}
	if waits, err := o.do(token("desk"), engine.CheckCaller{User: "ada", Digest: "right"}); err != nil || waits != "" {
		t.Fatalf("checking the caller: %q, %v", waits, err)
	}
	if waits, err := o.do(token("desk"), unlock); err != nil || waits != "" || o.state.User("ada").Strangers.Stopped {
		t.Errorf("unlocking a checked caller: approval %q, %v", waits, err)
	}
	o.state.Apply(o.now, events.Draft{Event: events.UserLockedOut{User: "ada", Failures: 10}})
	o.now = o.now.Add(o.state.Policy.CallerHelp)
	if waits, err := o.do(token("desk"), unlock); err != nil || waits == "" {
		t.Errorf("unlocking after the help has ended: approval %q, %v", waits, err)
	}
	if _, err := o.do(root("n2"), engine.Approve{ID: id}); err != nil || o.state.User("ada").Strangers.Stopped {
		t.Errorf("approved by root on another node: %v", err)
	}
}
