package engine

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"testing"
	"time"

	"keyfob/events"
)

// keyed is a state with members and a root key of that version.
func keyed(version uint8, nodes ...string) *State {
	s := NewState()
	s.Apply(1, events.Draft{Event: events.ClusterFounded{Cluster: "c"}})
	for _, n := range nodes {
		s.Apply(1, events.Draft{Event: events.NodeJoined{Node: n}})
	}
	s.Cluster.Keys.Version, s.Cluster.Keys.Oldest = version, version
	return s
}

// rotation is a new version for holders, signed.
func rotation(version uint8, holders ...string) events.RootKeyRotated {
	before, after := ed25519.NewKeyFromSeed(make([]byte, 32)), ed25519.NewKeyFromSeed([]byte(fmt.Sprintf("%032d", version)))
	e := events.RootKeyRotated{
		Version: version, CheckpointKeyBefore: before.Public().(ed25519.PublicKey), CheckpointKey: after.Public().(ed25519.PublicKey),
	}
	text := events.CheckpointKeyText("c", version, e.CheckpointKeyBefore, e.CheckpointKey)
	e.SignatureBefore, e.Signature = ed25519.Sign(before, text), ed25519.Sign(after, text)
	for _, n := range holders {
		e.Boxes = append(e.Boxes, events.KeyBox{For: n, Sealed: []byte("box")})
	}
	return e
}

func code(err error) string {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Code
	}
	return fmt.Sprint(err)
}

func TestNewRootKeyIsForExactlyTheMembers(t *testing.T) {
	s := keyed(1, "n1", "n2", "n3")
	s.Apply(2, events.Draft{Event: events.NodeRemoved{Node: "n3"}})
	unsigned := rotation(2, "n1", "n2")
	unsigned.SignatureBefore = nil
	for name, bad := range map[string]events.RootKeyRotated{
		"the removed node":     rotation(2, "n1", "n2", "n3"),
		"not every member":     rotation(2, "n1"),
		"one member twice":     rotation(2, "n1", "n1"),
		"a version left out":   rotation(3, "n1", "n2"),
		"the version of today": rotation(1, "n1", "n2"),
		"not signed":           unsigned,
	} {
		if d, err := Decide(s, events.Origin{}, Note{Event: bad}, 3); err == nil {
			t.Errorf("%s: %v", name, d.Drafts)
		}
	}
	good := rotation(2, "n2", "n1")
	d, err := Decide(s, events.Origin{}, Note{Event: good}, 3)
	if err != nil || len(d.Drafts) != 1 {
		t.Fatalf("%v, %v", d.Drafts, err)
	}
	s.Apply(3, d.Drafts[0])
	if k := s.Cluster.Keys; k.Primary() != 2 || k.Wanted != "" || !k.Rotating() {
		t.Errorf("%+v", k)
	}
	if _, err := Decide(s, events.Origin{}, Note{Event: rotation(3, "n1", "n2")}, 4); code(err) != Conflict {
		t.Errorf("a version that nobody wants: %v", err)
	}
}

func TestOldRootKeyIsDroppedWhenAllMembersHaveReported(t *testing.T) {
	s := keyed(1, "n1", "n2")
	s.Apply(2, events.Draft{Event: events.KeyRotationRequested{}})
	s.Apply(2, events.Draft{Event: rotation(2, "n1", "n2")})
	note := func(e events.Event) int {
		d, err := Decide(s, events.Origin{}, Note{Event: e}, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, draft := range d.Drafts {
			s.Apply(3, draft)
		}
		return len(d.Drafts)
	}
	drop := events.RootKeyDropped{Oldest: 2}
	for _, step := range []struct {
		event events.Event
		want  int
	}{
		{drop, 0},
		{events.NodeKeysCurrent{Node: "n1", Version: 1}, 0},
		{events.NodeKeysCurrent{Node: "n9", Version: 2}, 0},
		{events.NodeKeysCurrent{Node: "n1", Version: 2}, 1},
		{events.NodeKeysCurrent{Node: "n1", Version: 2}, 0},
		{drop, 0},
		{events.NodeKeysCurrent{Node: "n2", Version: 2}, 1},
		{events.RootKeyDropped{Oldest: 3}, 0},
		{drop, 1},
		{drop, 0},
	} {
		if got := note(step.event); got != step.want {
			t.Errorf("%+v makes %d events, want %d", step.event, got, step.want)
		}
	}
	if s.Cluster.Keys.Rotating() {
		t.Error("the rotation has not ended")
	}
}

func TestLastVersionsAreKeptForRemovals(t *testing.T) {
	for version, want := range map[uint8]string{1: "<nil>", FewKeyVersions - 1: "<nil>", FewKeyVersions: Conflict, MaxKeyVersion: Conflict} {
		if _, err := Decide(keyed(version, "n1"), events.Origin{}, RotateKeys{}, 2); code(err) != want {
			t.Errorf("a rotation on request at version %d: %v, want %s", version, err, want)
		}
	}
	s := keyed(MaxKeyVersion, "n1", "n2")
	if d, err := Decide(s, events.Origin{}, RemoveNode{Node: "n2"}, 2); err != nil || len(d.Drafts) != 1 {
		t.Errorf("a removal at the last version: %v, %v", d.Drafts, err)
	}
}

func TestTokensThatARemovedNodeMayKnowAreExposed(t *testing.T) {
	s := keyed(1, "n1", "n2")
	add := func(at events.Time, serial string) {
		s.Apply(at, events.Draft{Event: events.TokenImported{Serial: serial, Sealed: []byte("s")}})
	}
	add(10, "old")
	if s.Exposed(s.Token("old")) {
		t.Error("a token is exposed although no node was removed")
	}
	s.Apply(20, events.Draft{Event: events.NodeRemoved{Node: "n2"}})
	add(21, "new")
	if !s.Exposed(s.Token("old")) || s.Exposed(s.Token("new")) {
		t.Errorf("exposed: old %v, new %v", s.Exposed(s.Token("old")), s.Exposed(s.Token("new")))
	}
}

func TestRotationIsDue(t *testing.T) {
	s := keyed(1, "n1")
	at := func(age time.Duration) bool { return s.Cluster.Keys.Due(s.Policy, s.Cluster.Keys.Rotated.Add(age)) }
	if at(364*day) || !at(365*day) {
		t.Errorf("after 364 days %v, after 365 days %v", at(364*day), at(365*day))
	}
	s.Policy.KeysRotateEvery = 0
	if at(3650 * day) {
		t.Error("it is due although the policy says never")
	}
}
