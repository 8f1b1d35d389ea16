package api

import (
	"context"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// Status is the cluster as this node sees it.
type Status struct {
	Summary string       `json:"summary" doc:"In words: who leads, how many nodes answer, what does not work."`
	Leader  string       `json:"leader" doc:"Empty: no leader."`
	Nodes   []NodeStatus `json:"nodes"`
	Joining []Joining    `json:"joining,omitempty" doc:"Machines that ask to join."`

	Rotation RotationStatus `json:"rotation"`
}

// RotationStatus is how far the rotation of the root key is.
type RotationStatus struct {
	Version    int       `json:"version" doc:"Version of the root key that seals."`
	Since      time.Time `json:"since" doc:"When this version was made."`
	Reason     string    `json:"reason,omitempty" doc:"Why the last rotation began."`
	Step       string    `json:"step" doc:"wanted, resealing, disks, dropping, done."`
	Done       int       `json:"done" doc:"During a rotation: sealed values in the state that are under this version."`
	Total      int       `json:"total" doc:"During a rotation: sealed values in the state."`
	WaitingFor []string  `json:"waiting_for" doc:"Members on whose disks something is still sealed under an older version."`
	Due        bool      `json:"due" doc:"The version is older than the policy keys.rotate_every."`
	Exposed    int       `json:"exposed" doc:"Tokens whose seed was in the cluster while a node was a member that has been removed since."`
	Problem    string    `json:"problem,omitempty" doc:"What keeps this node from bringing its disk up to date."`
}

// Joining is a machine that asks to join. It gets nothing before it is approved.
type Joining struct {
	Name        string    `json:"name"`
	Address     string    `json:"address"`
	Fingerprint string    `json:"fingerprint" doc:"Of its keys. The machine shows the same one while it waits."`
	Asked       time.Time `json:"asked"`
	Expires     time.Time `json:"expires" doc:"When its invitation expires."`
	Approved    bool      `json:"approved"`
}

// NodeStatus is one member.
type NodeStatus struct {
	Name          string `json:"name"`
	Address       string `json:"address"`
	State         string `json:"state" doc:"leader, follower, unreachable."`
	Voter         bool   `json:"voter"`
	LastIndex     uint64 `json:"last_index" doc:"Last index of the Raft log."`
	Sequence      uint64 `json:"sequence" doc:"Sequence number of the last event applied."`
	ClockOffsetMS int64  `json:"clock_offset_ms" doc:"Offset from the median of the nodes."`
	Version       string `json:"version"`

	AuditState     string `json:"audit_state" doc:"Publishing of the audit trail on NATS: publishing, waiting (for records that the node lacks), failing, idle (the leader publishes), off. Empty: not known."`
	AuditPublished uint64 `json:"audit_published" doc:"Sequence number of the last event that the audit stream of the node holds."`
	AuditError     string `json:"audit_error,omitempty" doc:"Why publishing fails."`
}

// Invitation lets one machine join the cluster once.
type Invitation struct {
	Invitation string    `json:"invitation" doc:"For keyfob cluster join on the new node. It pins the cluster's CA."`
	Expires    time.Time `json:"expires"`
}

// InviteNodeRequest invites a machine to join the cluster.
type InviteNodeRequest struct {
	CommandRequest
	Node       string `json:"node" minLength:"1" maxLength:"53" doc:"The name that the machine joins under."`
	TTLSeconds int    `json:"ttl_seconds,omitempty" minimum:"60" maximum:"3600" default:"900"`
	Approved   bool   `json:"approved,omitempty" doc:"The machine gets the root key without an approval of its keys."`
}

// Invitee describes the machine that an invitation is for.
type Invitee struct {
	Node     string
	TTL      time.Duration
	Approved bool
}

// ApproveJoinRequest approves the keys of a machine that asks to join.
type ApproveJoinRequest struct {
	CommandRequest
	Fingerprint string `json:"fingerprint" minLength:"1" maxLength:"40" doc:"As the machine shows it. Case, spaces and hyphens do not matter."`
}

type approveJoinInput struct {
	Name string `path:"name" maxLength:"53"`
	Body ApproveJoinRequest
}

type joinRefusal struct {
	Name string `path:"name" maxLength:"53"`
	RemovalQuery
}

type inviteNodeInput struct{ Body InviteNodeRequest }

// TransferLeadershipRequest moves leadership to another node.
type TransferLeadershipRequest struct {
	CommandRequest
	Node string `json:"node,omitempty" maxLength:"63" doc:"The new leader; absent: the most current node."`
}

type transferInput struct{ Body TransferLeadershipRequest }

type nodeRemoval struct {
	Name string `path:"name" maxLength:"63"`
	RemovalQuery
}

func (a *API) cluster() {
	register(a, route{get, "/cluster", "cluster-status", "Show the status of the cluster", readers, 0}, a.status)
	register(a, route{post, "/cluster/invitations", "invite-node", "Invite a machine to join the cluster once", administrators, 201}, a.invite)
	register(a, route{post, "/cluster/joins/{name}/approve", "approve-join", "Approve the keys of a machine that asks to join", administrators, 0}, a.approveJoin)
	register(a, route{remove, "/cluster/joins/{name}", "refuse-join", "Refuse a machine that asks to join, or withdraw its invitation", administrators, 0}, a.refuseJoin)
	register(a, route{post, "/cluster/transfer", "transfer-leadership", "Transfer the leadership to another node", administrators, 0}, a.transfer)
	register(a, route{post, "/cluster/rotate-keys", "rotate-keys", "Rotate the root key and everything sealed under it", administrators, 0}, a.rotateKeys)
	register(a, route{remove, "/cluster/nodes/{name}", "remove-node", "Remove a node from the cluster", administrators, 0}, a.removeNode)
}

func (a *API) status(ctx context.Context, _ *struct{}) (*answer[Status], error) {
	s, err := a.cfg.Cluster.Status(ctx)
	if err != nil {
		return nil, err
	}
	return answered(s), nil
}

func (a *API) invite(ctx context.Context, in *inviteNodeInput) (*answer[Invitation], error) {
	o, err := a.origin(ctx, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	ttl := time.Duration(in.Body.TTLSeconds) * time.Second
	expires := events.At(a.cfg.Now().Add(ttl)).Std()
	text, err := a.cfg.Cluster.Invite(ctx, o, Invitee{Node: in.Body.Node, TTL: ttl, Approved: in.Body.Approved})
	if err != nil {
		return nil, a.pending(err, func(p *PendingCommand) { p.Invitation = text })
	}
	return answered(Invitation{Invitation: text, Expires: expires}), nil
}

func (a *API) approveJoin(ctx context.Context, in *approveJoinInput) (*none, error) {
	return nil, a.do(ctx, in.Body.Reason, engine.ApproveJoin{Node: in.Name, Fingerprint: in.Body.Fingerprint})
}

func (a *API) refuseJoin(ctx context.Context, in *joinRefusal) (*none, error) {
	return nil, a.do(ctx, in.Reason, engine.RefuseJoin{Node: in.Name})
}

func (a *API) transfer(ctx context.Context, in *transferInput) (*none, error) {
	o, err := a.origin(ctx, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return nil, a.cfg.Cluster.Transfer(ctx, o, in.Body.Node)
}

func (a *API) rotateKeys(ctx context.Context, in *struct{ Body CommandRequest }) (*none, error) {
	o, err := a.origin(ctx, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return nil, a.cfg.Cluster.RotateKeys(ctx, o)
}

func (a *API) removeNode(ctx context.Context, in *nodeRemoval) (*none, error) {
	o, err := a.origin(ctx, in.Reason)
	if err != nil {
		return nil, err
	}
	return nil, a.cfg.Cluster.RemoveNode(ctx, o, in.Name)
}
