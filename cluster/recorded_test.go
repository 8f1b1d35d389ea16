package cluster

import (
	"crypto/rand"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"keyfob/cluster/vault"
	"keyfob/events"
)

// TestClusterCommandsAreRecordedWithActorAndReason runs the commands that are
// more than a change of the state: each leaves an event that says who asked and
// why.
func TestClusterCommandsAreRecordedWithActorAndReason(t *testing.T) {
	r := newCluster(t, 3)
	key, err := vault.NewRecoveryKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	second, err := vault.NewRecoveryKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	gone := r.nodes[2]
	for _, c := range []struct {
		event events.Event
		run   func(n *testNode, o events.Origin) error
	}{
		{events.InvitationIssued{}, func(n *testNode, o events.Origin) error {
			_, err := n.Invite(t.Context(), o, Invitee{Node: "n9"})
			return err
		}},
		{events.RecoveryKeySet{}, func(n *testNode, o events.Origin) error {
			return n.SetRecoveryKey(t.Context(), o, key.Public().Bytes(), 0, 0)
		}},
		{events.RecoveryKeyAdded{}, func(n *testNode, o events.Origin) error {
			return n.AddRecoveryKey(t.Context(), o, second.Public().Bytes(), 3, 2)
		}},
		{events.RecoveryKeyRemoved{}, func(n *testNode, o events.Origin) error {
			return n.RemoveRecoveryKey(t.Context(), o, key.Public().Name())
		}},
		{events.BackupTaken{}, func(n *testNode, o events.Origin) error {
			_, err := n.Backup(t.Context(), o)
			return err
		}},
		{events.LeaderTransferRequested{}, func(n *testNode, o events.Origin) error {
			return n.Transfer(t.Context(), o, r.follower().name)
		}},
		{events.NodeRemoved{}, func(n *testNode, o events.Origin) error {
			return n.RemoveNode(t.Context(), o, gone.name)
		}},
	} {
		name := reflect.TypeOf(c.event).Name()
		r.ready(3)
		o := admin()
		o.Actor, o.Note = "api token "+name, "ticket "+name
		asked := r.nodes[0]
		if err := c.run(asked, o); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r.eventually(name, func() error {
			var seen []events.Record
			for record, err := range asked.Journal().Records(t.Context(), 1, false) {
				if err != nil {
					return err
				}
				if reflect.TypeOf(record.Event) == reflect.TypeOf(c.event) {
					seen = append(seen, record)
				}
			}
			if !slices.ContainsFunc(seen, func(r events.Record) bool { return r.Origin.Actor == o.Actor && r.Origin.Note == o.Note }) {
				return fmt.Errorf("not recorded with its actor and reason: %v", seen)
			}
			return nil
		})
	}
}
