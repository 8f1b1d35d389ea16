package engine

import (
	"bytes"
	"slices"

	"github.com/tidwall/btree"

	"keyfob/events"
)

// Commands on the members of the cluster.
type (
	// RemoveNode removes a member, but not the last one.
	RemoveNode struct {
		Node string `cbor:"1,keyasint"`
	}
	// TransferLeadership records that another node is to lead; an empty name
	// means any. Raft then makes the transfer.
	TransferLeadership struct {
		Node string `cbor:"1,keyasint,omitempty"`
	}
	// Note records what the cluster observed about itself.
	Note struct {
		Event events.Event
	}
)

func (c RemoveNode) decide(s *State, _ events.Time) ([]events.Event, error) {
	if s.Node(c.Node) == nil {
		return nil, refuseHelp(NotFound, HelpListNodes, "node %.64q not found", c.Node)
	}
	if s.nodes.Len() == 1 {
		return nil, refuse(Conflict, "node %s is the only member; the last node of a cluster cannot be removed", c.Node)
	}
	return one(events.NodeRemoved{Node: c.Node})
}

func (c TransferLeadership) decide(s *State, _ events.Time) ([]events.Event, error) {
	if c.Node != "" && s.Node(c.Node) == nil {
		return nil, refuseHelp(NotFound, HelpListNodes, "node %.64q not found", c.Node)
	}
	return one(events.LeaderTransferRequested(c))
}

// decide returns the observation, unless the state already shows it or it is
// about something that does not exist.
func (c Note) decide(s *State, now events.Time) ([]events.Event, error) {
	switch e := c.Event.(type) {
	case events.NodeLost:
		if n := s.Node(e.Node); n == nil || n.Lost {
			return nil, nil
		}
	case events.NodeReturned:
		if n := s.Node(e.Node); n == nil || !n.Lost {
			return nil, nil
		}
	case events.TokencodeNotSent:
		if t := s.Token(e.Serial); t == nil || !t.onDemand() || t.User != e.User {
			return nil, nil
		}
	case events.RootKeyRotated, events.RecordsResealed, events.NodeKeysCurrent, events.RootKeyDropped, events.CheckpointSigned:
		return s.noteOnKeys(e)
	case events.ApprovalExpired:
		if a := s.Approval(e.ID); a == nil || now < a.Expires {
			return nil, nil
		}
	default:
	}
	return one(c.Event)
}

func (s *State) applyCluster(at events.Time, e events.ClusterEvent) {
	switch e := e.(type) {
	case events.ClusterFounded:
		s.Cluster = Cluster{ID: e.Cluster, Certificate: e.Certificate, CAKey: e.Sealed, Keys: RootKeys{Rotated: at}}
	case events.CARotated:
		s.Cluster.Certificate, s.Cluster.CAKey = e.Certificate, e.Sealed
		s.Cluster.Keys.CA = s.Cluster.Keys.Primary()
		s.invitations = btree.Map[string, *Invitation]{}
	case events.InvitationIssued, events.JoinRequested, events.JoinApproved, events.JoinRefused, events.NodeJoined:
		s.applyJoining(at, e)
	case events.NodeRemoved:
		s.removeNode(e.Node)
		s.Cluster.Keys.removedNode(at, e.Node)
	case events.KeyRotationRequested, events.RootKeyRotated, events.RecordsResealed, events.NodeKeysCurrent, events.RootKeyDropped:
		s.applyKeys(at, e)
	case events.NodeLost:
		s.changeNode(e.Node, func(n *NodeRecord) { n.Lost = true })
	case events.NodeReturned:
		s.changeNode(e.Node, func(n *NodeRecord) { n.Lost = false })
	case events.LeaderChanged:
		s.Cluster.Leader = e.Node
	case events.RecoveryKeySet:
		s.Cluster.RecoveryKeys = []RecoveryKey{RecoveryKey(e)}
	case events.RecoveryKeyAdded:
		s.Cluster.RecoveryKeys = append(slices.Clip(s.Cluster.RecoveryKeys), RecoveryKey(e))
	case events.RecoveryKeyRemoved:
		s.Cluster.RecoveryKeys = slices.DeleteFunc(slices.Clone(s.Cluster.RecoveryKeys), func(k RecoveryKey) bool { return bytes.Equal(k.Key, e.Key) })
	case events.ClusterRestored:
		s.restored(at, e)
	case events.InvitationRefused, events.ClockSkewed, events.BackupTaken, events.CheckpointSigned, events.LeaderTransferRequested,
		events.StreamDiffered, events.PublishingFailed, events.PublishingResumed: // for the audit trail only
	}
}

// maxRemoved is how many removed nodes are kept, far more than can be in Raft's
// configuration at the same time.
const maxRemoved = 16

func (s *State) removeNode(name string) {
	record := s.Node(name)
	if record == nil {
		return
	}
	s.nodes.Delete(name)
	removed := append(slices.Clone(s.Cluster.Removed), RemovedNode{Name: name, Key: record.Key})
	s.Cluster.Removed = removed[max(0, len(removed)-maxRemoved):]
}

// NodeKeys returns the hashes of the keys of the member of that name and of removed
// nodes that had the name.
func (s *State) NodeKeys(name string) (keys []events.Hash) {
	if n := s.Node(name); n != nil {
		keys = append(keys, n.Key)
	}
	for _, r := range s.Cluster.Removed {
		if r.Name == name {
			keys = append(keys, r.Key)
		}
	}
	return keys
}
