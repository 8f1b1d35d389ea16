package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"keyfob/engine"
	"keyfob/events"
)

func recoveryKeyNames(s *engine.State) (names []string) {
	for _, k := range s.Cluster.RecoveryKeys {
		names = append(names, fmt.Sprintf("%s %d/%d", k.Key, k.Threshold, k.Shares))
	}
	return names
}

func TestRecoveryKeysAreAddedReplacedAndRemoved(t *testing.T) {
	s, now := engine.NewState(), time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	key := func(name string) []byte { return []byte(name) }
	for _, step := range []struct {
		command engine.Command
		refused string
		want    []string
	}{
		{engine.TakeBackup{}, engine.Conflict, nil},
		{engine.AddRecoveryKey{}, engine.Invalid, nil},
		{engine.AddRecoveryKey{Key: key("A"), Shares: 2, Threshold: 3}, engine.Invalid, nil},
		{engine.AddRecoveryKey{Key: key("A"), Shares: 2, Threshold: 1}, engine.Invalid, nil},
		{engine.AddRecoveryKey{Key: key("A"), Threshold: 2}, engine.Invalid, nil},
		{engine.AddRecoveryKey{Key: key("A")}, "", []string{"A 0/0"}},
		{engine.AddRecoveryKey{Key: key("A")}, engine.Exists, []string{"A 0/0"}},
		{engine.RemoveRecoveryKey{Key: key("A")}, engine.Conflict, []string{"A 0/0"}},
		{engine.AddRecoveryKey{Key: key("B"), Shares: 3, Threshold: 2}, "", []string{"A 0/0", "B 2/3"}},
		{engine.RemoveRecoveryKey{Key: key("C")}, engine.NotFound, []string{"A 0/0", "B 2/3"}},
		{engine.RemoveRecoveryKey{Key: key("A")}, "", []string{"B 2/3"}},
		{engine.TakeBackup{}, "", []string{"B 2/3"}},
		{engine.SetRecoveryKey{Key: key("D")}, "", []string{"D 0/0"}},
	} {
		err := commandAt(s, now, step.command)
		var refusal *engine.Refusal
		if step.refused == "" && err != nil || step.refused != "" && (!errors.As(err, &refusal) || refusal.Code != step.refused) {
			t.Errorf("%+v: %v", step.command, err)
		}
		if !slices.Equal(recoveryKeyNames(s), step.want) {
			t.Errorf("after %+v the keys are %q, want %q", step.command, recoveryKeyNames(s), step.want)
		}
	}
	for i := range 8 {
		err := commandAt(s, now, engine.AddRecoveryKey{Key: key(fmt.Sprint(i))})
		if (err == nil) != (i < 7) {
			t.Errorf("key %d: %v", i+2, err)
		}
	}
}

// A reader of an earlier copy of the state sees the keys of its time.
func TestCopyKeepsItsRecoveryKeys(t *testing.T) {
	s, now := engine.NewState(), time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	for _, name := range []string{"A", "B", "C"} {
		if err := commandAt(s, now, engine.AddRecoveryKey{Key: []byte(name)}); err != nil {
			t.Fatal(err)
		}
	}
	before := s.Copy()
	for _, c := range []engine.Command{engine.RemoveRecoveryKey{Key: []byte("A")}, engine.AddRecoveryKey{Key: []byte("D")}} {
		if err := commandAt(s, now, c); err != nil {
			t.Fatal(err)
		}
	}
	if got := recoveryKeyNames(before); !slices.Equal(got, []string{"A 0/0", "B 0/0", "C 0/0"}) {
		t.Errorf("the copy has %q", got)
	}
}

// Snapshots had one recovery key. The state is the same as the one folded from the
// events of that time.
func TestRecoveryKeyOfAnOldSnapshotIsKept(t *testing.T) {
	folded, read := engine.NewState(), engine.NewState()
	folded.Apply(1, events.Draft{Event: events.RecoveryKeySet{Key: []byte("A")}})
	old, err := cbor.Marshal(map[int]any{1: map[int]any{1: "c", 2: []byte{1}, 3: []byte{2}, 4: "", 6: []byte("A")}, 2: map[int]any{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := read.PutRecord(engine.TableHead, func(into any) error { return cbor.Unmarshal(old, into) }); err != nil {
		t.Fatal(err)
	}
	if got, want := recoveryKeyNames(read), recoveryKeyNames(folded); !slices.Equal(got, want) || read.Cluster.OnlyRecoveryKey != nil {
		t.Errorf("the keys are %q, want %q", got, want)
	}
}
