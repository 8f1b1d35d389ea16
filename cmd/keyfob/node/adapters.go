package node

import (
	"context"

	"keyfob/api"
	"keyfob/cluster"
	"keyfob/events"
)

// members adapts the node to api.Cluster.
type members struct{ *cluster.Node }

// Status implements api.Cluster.
func (m members) Status(ctx context.Context) (api.Status, error) {
	s, err := m.Node.Status(ctx)
	if err != nil {
		return api.Status{}, err
	}
	out := api.Status{Summary: s.Summary, Leader: s.Leader, Nodes: []api.NodeStatus{}, Rotation: api.RotationStatus(s.Rotation)}
	for _, n := range s.Nodes {
		out.Nodes = append(out.Nodes, api.NodeStatus(n))
	}
	for _, j := range s.Joining {
		out.Joining = append(out.Joining, api.Joining(j))
	}
	return out, nil
}

// RecoveryKeys implements api.Cluster.
func (m members) RecoveryKeys() []api.RecoveryKey {
	keys := []api.RecoveryKey{}
	for _, k := range m.Node.RecoveryKeys() {
		keys = append(keys, api.RecoveryKey(k))
	}
	return keys
}

// Invite implements api.Cluster.
func (m members) Invite(ctx context.Context, o events.Origin, to api.Invitee) (string, error) {
	return m.Node.Invite(ctx, o, cluster.Invitee(to))
}

// Backup implements api.Cluster.
func (m members) Backup(ctx context.Context, o events.Origin) (api.Backup, error) {
	return m.Node.Backup(ctx, o)
}

// remedies adapts the node to api.Remedies.
type remedies struct{ *cluster.Node }

// Lose implements api.Remedies.
func (r remedies) Lose(ctx context.Context, o events.Origin, loss api.Loss) ([]string, error) {
	return r.Node.Lose(ctx, o, cluster.Loss(loss))
}
