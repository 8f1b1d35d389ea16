package engine

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"keyfob/events"
)

// RootKeys is the state of the cluster's root key. The first version, which the
// cluster was founded with, is 1; a rotation adds the next one.
type RootKeys struct {
	Version uint8       `cbor:"1,keyasint,omitempty"` // that seals; 0: the first, which was never rotated
	Oldest  uint8       `cbor:"2,keyasint,omitempty"` // that is still in use; 0: the first
	Live    []RootKey   `cbor:"3,keyasint,omitempty"` // made by rotations and still in use, in order
	Reports []KeyReport `cbor:"4,keyasint,omitempty"` // by node
	Wanted  string      `cbor:"5,keyasint,omitempty"` // why a rotation must begin; empty: none must
	Rotated events.Time `cbor:"6,keyasint,omitempty"` // when the present version was made
	// CheckpointKey is the public key that signs checkpoints, empty until the first
	// rotation.
	CheckpointKey []byte `cbor:"9,keyasint,omitempty"`

	CA      uint8       `cbor:"8,keyasint,omitempty"` // version at which the CA was made; 0: the first
	Exposed events.Time `cbor:"7,keyasint,omitempty"` // when a node was last removed, whose disk held what was in the state
}

// RootKey is a version of the root key, sealed for those who need it.
type RootKey struct {
	Version  uint8           `cbor:"1,keyasint"`
	Reason   string          `cbor:"2,keyasint"`
	Boxes    []events.KeyBox `cbor:"3,keyasint"`           // by name of a node
	Recovery []events.KeyBox `cbor:"4,keyasint,omitempty"` // by short name of a recovery key
}

// KeyReport says under which version everything on the disk of a node is sealed.
type KeyReport struct {
	Node    string `cbor:"1,keyasint"`
	Version uint8  `cbor:"2,keyasint"`
}

// Versions of the root key are numbered by one byte, and a number is never used
// again: an old value must not open under a new key. When few are left, they are
// kept for removals.
const (
	MaxKeyVersion      = 255
	FewKeyVersions     = 200 // rotations on request end here
	textTooManyVersion = "the root key has version %d of %d; the remaining versions are kept for the removal of nodes"
)

func keySettings() []Setting {
	return []Setting{
		span("keys.rotate_every", 0, 3650*day, "age of the root key at which the cluster warns that it should be rotated; 0 for never",
			func(p *Policy) *time.Duration { return &p.KeysRotateEvery }).
			least(day, "a rotation seals every record again", func(p Policy) time.Duration { return p.KeysRotateEvery }),
	}
}

// Due reports whether the policy wants a rotation.
func (k RootKeys) Due(p Policy, now events.Time) bool {
	return p.KeysRotateEvery > 0 && !k.Rotated.IsZero() && !k.Rotating() && now.Sub(k.Rotated) >= p.KeysRotateEvery
}

// Primary is the version that seals.
func (k RootKeys) Primary() uint8 { return max(k.Version, 1) }

// OldestLive is the oldest version that is still in use.
func (k RootKeys) OldestLive() uint8 { return max(k.Oldest, 1) }

// Rotating reports whether older versions are still in use.
func (k RootKeys) Rotating() bool { return k.OldestLive() < k.Primary() }

// Key returns a version that was made by a rotation and is still in use.
func (k RootKeys) Key(version uint8) (RootKey, bool) {
	i := slices.IndexFunc(k.Live, func(one RootKey) bool { return one.Version == version })
	if i < 0 {
		return RootKey{}, false
	}
	return k.Live[i], true
}

// Reported is the version under which everything on the disk of a node is sealed,
// as far as the node has reported.
func (k RootKeys) Reported(node string) uint8 {
	for _, r := range k.Reports {
		if r.Node == node {
			return r.Version
		}
	}
	return 0
}

// WaitingFor are the members that may still have something on their disks that is
// sealed under an older version.
func (s *State) WaitingFor() (names []string) {
	for n := range s.Nodes {
		if s.Cluster.Keys.Reported(n.Name) < s.Cluster.Keys.Primary() {
			names = append(names, n.Name)
		}
	}
	return names
}

// Exposed reports whether the seed of a token was in the cluster while a node was a
// member that has been removed since. The disk of that node may hold it.
func (s *State) Exposed(t *Token) bool {
	return !s.Cluster.Keys.Exposed.IsZero() && t.Imported <= s.Cluster.Keys.Exposed
}

// RotateKeys starts a rotation of the root key. The leader makes the new version.
type RotateKeys struct{}

func (RotateKeys) decide(s *State, _ events.Time) ([]events.Event, error) {
	k := s.Cluster.Keys
	if k.Wanted != "" {
		return nil, nil // it is about to begin
	}
	if k.Rotating() {
		return nil, refuse(Conflict, "the root key is being rotated; wait until that is done")
	}
	if k.Primary() >= FewKeyVersions {
		return nil, refuse(Conflict, textTooManyVersion, k.Primary(), MaxKeyVersion)
	}
	return one(events.KeyRotationRequested{})
}

// rotatable returns the refusal of a new version of the root key, or nil. It must
// be sealed for exactly the present members, so that no removed one can follow.
func (s *State) rotatable(e events.RootKeyRotated) error {
	k := s.Cluster.Keys
	if k.Wanted == "" || int(e.Version) != int(k.Primary())+1 {
		return refuse(Conflict, "version %d of the root key is not wanted", e.Version)
	}
	var members, holders []string
	for n := range s.Nodes {
		members = append(members, n.Name)
	}
	for _, b := range e.Boxes {
		holders = append(holders, b.For)
	}
	slices.Sort(holders)
	if !slices.Equal(members, holders) {
		return refuse(Conflict, "the root key is not sealed for exactly the members")
	}
	return e.Verify(s.Cluster.ID)
}

// noteOnKeys decides a note about the root key; see Note.decide.
func (s *State) noteOnKeys(e events.Event) ([]events.Event, error) {
	k := s.Cluster.Keys
	switch e := e.(type) {
	case events.RootKeyRotated:
		if err := s.rotatable(e); err != nil {
			return nil, err
		}
	case events.CheckpointSigned:
		if len(k.CheckpointKey) > 0 && !bytes.Equal(e.Key, k.CheckpointKey) {
			return nil, nil // it was signed before a rotation; the next one follows
		}
	case events.RecordsResealed:
		if e.Version != k.Primary() {
			return nil, nil // a later rotation seals them anyway
		}
	case events.NodeKeysCurrent:
		if s.Node(e.Node) == nil || e.Version != k.Primary() || k.Reported(e.Node) == e.Version {
			return nil, nil
		}
	case events.RootKeyDropped:
		if e.Oldest != k.Primary() || !k.Rotating() || len(s.WaitingFor()) > 0 {
			return nil, nil
		}
	default:
	}
	return one(e)
}

// wantRotation records why a rotation must begin. The first reason counts.
func (k *RootKeys) wantRotation(why string) {
	if k.Wanted == "" {
		k.Wanted = why
	}
}

func (s *State) applyKeys(at events.Time, e events.Event) {
	k := &s.Cluster.Keys
	switch e := e.(type) {
	case events.KeyRotationRequested:
		k.wantRotation("requested")
	case events.RootKeyRotated:
		k.Version, k.Wanted, k.Rotated, k.CheckpointKey = e.Version, "", at, e.CheckpointKey
		s.approvals.Clear() // secrets in them are sealed under the earlier version
		k.Live = append(slices.Clone(k.Live), RootKey{Version: e.Version, Reason: e.Reason, Boxes: e.Boxes, Recovery: e.Recovery})
	case events.RecordsResealed:
		for _, v := range e.Values {
			s.reseal(v)
		}
	case events.NodeKeysCurrent:
		k.forgetReport(e.Node)
		k.Reports = append(k.Reports, KeyReport(e))
		slices.SortFunc(k.Reports, func(a, b KeyReport) int { return strings.Compare(a.Node, b.Node) })
	case events.RootKeyDropped:
		k.Oldest = e.Oldest
		k.Live = slices.DeleteFunc(slices.Clone(k.Live), func(one RootKey) bool { return one.Version < e.Oldest })
	default:
	}
}

// forgetReport removes what a node reported: it is no longer a member, or reports
// again.
func (k *RootKeys) forgetReport(node string) {
	k.Reports = slices.DeleteFunc(slices.Clone(k.Reports), func(r KeyReport) bool { return r.Node == node })
}

// restored records that all former members left. Their keys may have been copied.
func (k *RootKeys) restored(at events.Time) {
	k.Reports, k.Exposed = nil, at
	k.wantRotation("the cluster was restored from a backup")
}

// removedNode records that a node left which knows the root key and the seeds.
func (k *RootKeys) removedNode(at events.Time, node string) {
	k.forgetReport(node)
	k.Exposed = at
	k.wantRotation("node " + node + " was removed")
}

// NeedsOldKey reports whether a user may still hold a ticket that was sealed under an
// older version of the root key, or repeat a login whose id depends on one.
func (s *State) NeedsOldKey(now events.Time) bool {
	rotated := s.Cluster.Keys.Rotated
	tickets := rotated.Add(max(s.Policy.ConversationFor, s.Policy.OnDemandFor))
	repeats := rotated.Add(s.Policy.RetryLoginFor)
	if now > max(tickets, repeats) {
		return false
	}
	for u := range s.Users {
		if c := u.Conversation; c != nil && c.Expires > now && c.Expires <= tickets {
			return true
		}
		for _, a := range u.Answers {
			if a.At <= rotated && now.Sub(a.At) < s.Policy.RetryLoginFor {
				return true
			}
		}
	}
	return false
}
