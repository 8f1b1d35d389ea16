package engine

import (
	"crypto/sha256"
	"encoding/base32"
	"slices"
	"strings"

	"keyfob/events"
)

// Commands by which a machine becomes a member.
type (
	// Invite permits one machine to join under that name, as the holder of the
	// secret behind Digest. It replaces an earlier invitation for the name.
	Invite struct {
		Digest   events.Hash `cbor:"1,keyasint"`
		Expires  events.Time `cbor:"2,keyasint"`
		Node     string      `cbor:"3,keyasint"`
		Approved bool        `cbor:"4,keyasint,omitempty"` // the root key leaves without ApproveJoin
	}
	// AdmitNode is asked again and again by the holder of an invitation. The first
	// time records the request and binds the invitation to the machine's keys; once
	// it is approved, the machine becomes a member.
	AdmitNode struct {
		Node       string      `cbor:"1,keyasint"`
		Address    string      `cbor:"2,keyasint"`
		Invitation events.Hash `cbor:"3,keyasint"`
		Key        events.Hash `cbor:"4,keyasint"` // SHA-256 of its public TLS key
		SealKey    []byte      `cbor:"5,keyasint"` // public
	}
	// ApproveJoin lets a machine join whose keys an administrator has compared.
	ApproveJoin struct {
		Node        string `cbor:"1,keyasint"`
		Fingerprint string `cbor:"2,keyasint"`
	}
	// RefuseJoin withdraws the invitation for a node, also if a machine has used
	// it to ask.
	RefuseJoin struct {
		Node string `cbor:"1,keyasint"`
	}
)

// maxInvitations is how many invitations may be open at the same time.
const maxInvitations = 64

// Invitation permits one machine to join. It is kept until it expires, also when it
// was used, so that a second use is noticed.
type Invitation struct {
	Digest   events.Hash `cbor:"1,keyasint"` // of the secret
	Expires  events.Time `cbor:"2,keyasint"`
	Node     string      `cbor:"3,keyasint,omitempty"`
	Approved bool        `cbor:"4,keyasint,omitempty"` // the root key may leave
	Used     bool        `cbor:"5,keyasint,omitempty"` // the machine is a member

	// Of the machine that asked, zero if none did.
	Asked   events.Time `cbor:"6,keyasint,omitempty"`
	Address string      `cbor:"7,keyasint,omitempty"`
	Key     events.Hash `cbor:"8,keyasint,omitzero"`
	SealKey []byte      `cbor:"9,keyasint,omitempty"`
}

// Fingerprint is the fingerprint of the keys of the machine that asked to join, empty
// if none did.
func (i *Invitation) Fingerprint() string {
	if i.Asked == 0 {
		return ""
	}
	return Fingerprint(i.Node, i.Key, i.SealKey)
}

// Fingerprint names the keys of a new node in a form that can be read aloud: 80 bits
// in base32, in four groups.
func Fingerprint(node string, key events.Hash, sealKey []byte) string {
	h := sha256.New()
	for _, part := range [][]byte{[]byte("keyfob node"), []byte(node), key[:], sealKey} {
		sum := sha256.Sum256(part)
		h.Write(sum[:])
	}
	text := base32.StdEncoding.EncodeToString(h.Sum(nil)[:10])
	return strings.Join([]string{text[:4], text[4:8], text[8:12], text[12:]}, "-")
}

// SameFingerprint compares fingerprints as people enter them.
func SameFingerprint(a, b string) bool {
	plain := strings.NewReplacer("-", "", " ", "")
	return strings.EqualFold(plain.Replace(a), plain.Replace(b))
}

func (c Invite) decide(s *State, now events.Time) ([]events.Event, error) {
	switch {
	case !nameForm.MatchString(c.Node):
		return nil, refuse(Invalid, "%.80q is not a valid node name: use 1 to 64 letters, digits, dots, dashes or underscores", c.Node)
	case s.Node(c.Node) != nil:
		return nil, refuse(Exists, "node %q is already a member; choose another name, or remove it first", c.Node)
	case len(s.openInvitations(now)) >= maxInvitations:
		return nil, refuse(Conflict, "%d invitations are open; wait until some expire, or refuse some", maxInvitations)
	}
	return one(events.InvitationIssued(c))
}

func (c AdmitNode) decide(s *State, now events.Time) ([]events.Event, error) {
	i, _ := s.invitations.Get(c.Invitation.String())
	switch {
	case i == nil || i.Expires <= now:
		return nil, refuseHelp(Invalid, HelpInvite, "the invitation is unknown or expired; ask for a new one")
	case i.Node != c.Node:
		return nil, refuse(Invalid, "the invitation is for node %s; set node to that name, or ask for another invitation", i.Node)
	case i.Asked != 0 && (i.Key != c.Key || i.Address != c.Address || !slices.Equal(i.SealKey, c.SealKey)):
		return nil, refuse(Conflict, "another machine has used the invitation; find out which one, and have the invitation refused or the node removed")
	case i.Used:
		return nil, nil // the machine did not get the answer
	case s.Node(c.Node) != nil:
		return nil, refuse(Exists, "node %q is already a member; choose another name, or remove it first", c.Node)
	case i.Approved:
		return one(events.NodeJoined(c))
	case i.Asked != 0:
		return nil, nil // it waits for the approval
	}
	return one(events.JoinRequested{
		Node: c.Node, Address: c.Address, Invitation: c.Invitation, Key: c.Key, SealKey: c.SealKey,
		Fingerprint: Fingerprint(c.Node, c.Key, c.SealKey),
	})
}

func (c ApproveJoin) decide(s *State, now events.Time) ([]events.Event, error) {
	i := s.Joining(c.Node, now)
	switch {
	case i == nil || i.Asked == 0:
		return nil, refuseHelp(NotFound, HelpListNodes, "no machine asks to join as node %.64q", c.Node)
	case !SameFingerprint(i.Fingerprint(), c.Fingerprint):
		return nil, refuse(Conflict, "the machine that asks to join as node %s has another fingerprint; if it is not the one that the machine shows, refuse it", c.Node)
	case i.Approved:
		return nil, nil
	}
	return one(events.JoinApproved{Node: i.Node, Invitation: i.Digest, Fingerprint: i.Fingerprint()})
}

func (c RefuseJoin) decide(s *State, now events.Time) ([]events.Event, error) {
	i := s.Joining(c.Node, now)
	if i == nil {
		return nil, refuseHelp(NotFound, HelpListNodes, "no invitation for node %.64q is open", c.Node)
	}
	return one(events.JoinRefused{Node: i.Node, Invitation: i.Digest, Fingerprint: i.Fingerprint()})
}

// openInvitations are the invitations that can still lead to a member, by digest.
func (s *State) openInvitations(now events.Time) (open []*Invitation) {
	s.invitations.Scan(func(_ string, i *Invitation) bool {
		if i.Expires > now && !i.Used {
			open = append(open, i)
		}
		return true
	})
	return open
}

// Joining returns the open invitation for a node, or nil.
func (s *State) Joining(node string, now events.Time) *Invitation {
	for _, i := range s.openInvitations(now) {
		if i.Node == node {
			return i
		}
	}
	return nil
}

// Invited reports whether an invitation has that digest, valid or not.
func (s *State) Invited(digest events.Hash) bool {
	_, ok := s.invitations.Get(digest.String())
	return ok
}

// Asking are the invitations with which machines ask to join, by name.
func (s *State) Asking(now events.Time) (asking []*Invitation) {
	for _, i := range s.openInvitations(now) {
		if i.Asked != 0 {
			asking = append(asking, i)
		}
	}
	slices.SortFunc(asking, func(a, b *Invitation) int { return strings.Compare(a.Node, b.Node) })
	return asking
}

func (s *State) applyJoining(at events.Time, e events.ClusterEvent) {
	switch e := e.(type) {
	case events.InvitationIssued:
		s.invite(at, &Invitation{Digest: e.Digest, Expires: e.Expires, Node: e.Node, Approved: e.Approved})
	case events.JoinRequested:
		s.changeInvitation(e.Invitation, func(i *Invitation) {
			i.Asked, i.Address, i.Key, i.SealKey = at, e.Address, e.Key, e.SealKey
		})
	case events.JoinApproved:
		s.changeInvitation(e.Invitation, func(i *Invitation) { i.Approved = true })
	case events.JoinRefused:
		s.invitations.Delete(e.Invitation.String())
	case events.NodeJoined:
		s.nodes.Set(e.Node, &NodeRecord{Name: e.Node, Address: e.Address, Joined: at, Key: e.Key, SealKey: e.SealKey})
		s.changeInvitation(e.Invitation, func(i *Invitation) {
			i.Used, i.Address, i.Key, i.SealKey = true, e.Address, e.Key, e.SealKey
			if i.Asked == 0 {
				i.Asked = at
			}
		})
	default: // of other parts of the cluster
	}
}

// invite adds an invitation, and removes those that are expired or for the same node.
func (s *State) invite(now events.Time, next *Invitation) {
	var over []string
	s.invitations.Scan(func(digest string, i *Invitation) bool {
		if i.Expires <= now || i.Node == next.Node && !i.Used {
			over = append(over, digest)
		}
		return true
	})
	for _, digest := range over {
		s.invitations.Delete(digest)
	}
	s.invitations.Set(next.Digest.String(), next)
}

func (s *State) changeInvitation(digest events.Hash, change func(*Invitation)) {
	if i, ok := s.invitations.Get(digest.String()); ok {
		next := *i
		change(&next)
		s.invitations.Set(digest.String(), &next)
	}
}
