package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// RotationStatus is how far a rotation of the root key is.
type RotationStatus struct {
	Version    int       `json:"version"` // that seals now
	Since      time.Time `json:"since"`   // when it was made
	Reason     string    `json:"reason,omitempty"`
	Step       string    `json:"step"`
	Done       int       `json:"done"`        // values in the state that are sealed under Version; 0 after a rotation
	Total      int       `json:"total"`       // values in the state; 0 after a rotation
	WaitingFor []string  `json:"waiting_for"` // members whose disks are not done
	Due        bool      `json:"due"`         // the version is older than the policy keys.rotate_every
	Exposed    int       `json:"exposed"`     // tokens whose seed was in the cluster while a node was a member that has been removed since
	Problem    string    `json:"problem,omitempty"`
}

// The steps, in order.
const (
	RotationWanted    = "wanted"    // the leader is to make the new version
	RotationResealing = "resealing" // values in the state are being sealed again
	RotationDisks     = "disks"     // members are cleaning their disks
	RotationDropping  = "dropping"  // the old version is about to be forgotten
	RotationDone      = "done"
)

// Rotation is how far the rotation of the root key is.
func (n *Node) Rotation() RotationStatus {
	s := n.State()
	k := s.Cluster.Keys
	left, all := 0, 0
	if k.Rotating() { // it takes a quarter of a second for a million tokens
		left, all = n.keychain.census.count(s)
	}
	r := RotationStatus{
		Version: int(k.Primary()), Since: k.Rotated.Std(), Step: RotationDone, Done: all - left, Total: all,
		Due: k.Due(s.Policy, events.At(n.c.Now())), Problem: n.upkeep.state(), WaitingFor: []string{},
	}
	if key, ok := k.Key(k.Primary()); ok {
		r.Reason = key.Reason
	}
	if !k.Exposed.IsZero() {
		for t := range s.Tokens {
			if s.Exposed(t) {
				r.Exposed++
			}
		}
	}
	switch {
	case k.Wanted != "":
		r.Step, r.Reason = RotationWanted, k.Wanted
	case !k.Rotating():
		return r
	case left > 0:
		r.Step = RotationResealing
	case len(s.WaitingFor()) > 0:
		r.Step = RotationDisks
	default:
		r.Step = RotationDropping
	}
	if k.Rotating() {
		r.WaitingFor = append(r.WaitingFor, s.WaitingFor()...)
	}
	return r
}

// words is what the summary of the cluster says about a rotation, empty if there is
// nothing to say.
func (r RotationStatus) words() string {
	text := ""
	switch r.Step {
	case RotationWanted:
		text = fmt.Sprintf("a new root key is to be made (%s)", r.Reason)
	case RotationResealing:
		text = fmt.Sprintf("the root key is being rotated (%s): %d of %d values are sealed again", r.Reason, r.Done, r.Total)
	case RotationDisks:
		text = fmt.Sprintf("the root key is being rotated (%s): waiting for %s", r.Reason, strings.Join(r.WaitingFor, ", "))
	case RotationDropping:
		text = fmt.Sprintf("the root key is being rotated (%s): the old version is dropped when open conversations have ended", r.Reason)
	default:
		if r.Due {
			text = "the root key is older than keys.rotate_every; rotate it"
		}
	}
	if r.Version >= engine.FewKeyVersions {
		text = strings.TrimPrefix(fmt.Sprintf("%s; the root key has version %d of %d", text, r.Version, engine.MaxKeyVersion), "; ")
	}
	return text
}

// RotateKeys starts a rotation of the root key. It goes on by itself.
func (n *Node) RotateKeys(ctx context.Context, o events.Origin) error {
	return n.Do(ctx, o, engine.RotateKeys{})
}
