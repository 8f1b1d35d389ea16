package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// Approval is a command that waits for a second administrator, or an approved
// backup that was not taken yet.
type Approval struct {
	ID        string     `json:"approval"`
	State     string     `json:"state" enum:"waiting,approved" doc:"approved: a backup that its requester can take until expires."`
	Command   string     `json:"command"`
	Groups    []string   `json:"groups" doc:"Why it waits: groups of the policy setting approval.required."`
	Summary   []string   `json:"summary" doc:"What the command does. It is carried out only if it still does exactly this."`
	Requester string     `json:"requester"`
	Reason    string     `json:"reason"`
	Node      string     `json:"node" doc:"Node that was asked."`
	SourceIP  string     `json:"source_ip,omitempty"`
	Requested *time.Time `json:"requested"`
	Expires   *time.Time `json:"expires"`
	Approver  string     `json:"approver,omitempty"`
}

// PendingCommand is the answer to a command that waits for a second
// administrator: nothing has changed yet. Secrets that the command makes are
// shown now, to who asked, and are of no use before the approval.
type PendingCommand struct {
	ID             string     `json:"approval" doc:"ID of the approval."`
	Detail         string     `json:"detail"`
	Expires        *time.Time `json:"expires,omitempty" doc:"When the command is dropped if nobody has approved it."`
	Token          string     `json:"token,omitempty" doc:"The secret of an API token, valid after the approval."`
	Invitation     string     `json:"invitation,omitempty" doc:"An invitation, valid after the approval."`
	PIN            string     `json:"temporary_pin,omitempty" doc:"A temporary PIN, valid after the approval."`
	ActivationCode string     `json:"activation_code,omitempty" doc:"An activation code, valid after the approval."`
	Tokencodes     []string   `json:"emergency_tokencodes,omitempty" doc:"Emergency tokencodes, valid after the approval."`
}

// Error implements error.
func (p *PendingCommand) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *PendingCommand) GetStatus() int { return http.StatusAccepted }

// pending returns the answer to a command that waits, with the secrets that it
// made. Any other error is returned as it is.
func (a *API) pending(err error, show func(*PendingCommand)) error {
	var waits *engine.Waiting
	if !errors.As(err, &waits) {
		return err
	}
	p := &PendingCommand{ID: waits.ID, Detail: waits.Error()}
	if found := a.cfg.Node.State().Approval(waits.ID); found != nil {
		p.Expires = instant(found.Expires)
	}
	if show != nil {
		show(p)
	}
	return p
}

func viewApproval(a *engine.Approval) Approval {
	v := Approval{
		ID: a.ID, State: "waiting", Command: a.Command, Groups: a.Groups, Summary: a.Summary,
		Requester: a.Origin.Actor, Reason: a.Origin.Note, Node: a.Origin.Node, SourceIP: a.Origin.SourceIP,
		Requested: instant(a.Requested), Expires: instant(a.Expires), Approver: a.Approver,
	}
	if a.Approver != "" {
		v.State = "approved"
	}
	return v
}

// ApprovalPath names an approval in a path.
type ApprovalPath struct {
	ID string `path:"id" maxLength:"20" doc:"In any spelling, such as 7k3m-qx4p."`
}

type judgeInput struct {
	ApprovalPath
	Body CommandRequest
}

func (a *API) approvals() {
	register(a, route{get, "/approvals", "list-approvals", "List the commands that wait for a second administrator, the oldest first", auditors, 0}, a.listApprovals)
	register(a, route{get, "/approvals/{id}", "show-approval", "Show a command that waits for a second administrator", auditors, 0}, a.showApproval)
	register(a, route{post, "/approvals/{id}/approve", "approve-command", "Approve a command that another administrator requested, and carry it out", administrators, 0}, a.approve)
	register(a, route{post, "/approvals/{id}/refuse", "refuse-command", "Refuse a command that another administrator requested, or withdraw one's own", administrators, 0}, a.refuseApproval)
}

func (a *API) listApprovals(context.Context, *struct{}) (*answer[List[Approval]], error) {
	list := List[Approval]{Items: []Approval{}}
	for _, one := range a.cfg.Node.State().ApprovalList(events.At(a.cfg.Now())) {
		list.Items = append(list.Items, viewApproval(one))
	}
	return answered(list), nil
}

// approval returns an approval that has not expired, or a problem.
func (a *API) approval(id string) (Approval, error) {
	found := a.cfg.Node.State().Approval(id)
	if found == nil || events.At(a.cfg.Now()) >= found.Expires {
		return Approval{}, notFound("approval", id, engine.HelpListApprovals)
	}
	return viewApproval(found), nil
}

func (a *API) showApproval(_ context.Context, in *ApprovalPath) (*answer[Approval], error) {
	v, err := a.approval(in.ID)
	if err != nil {
		return nil, err
	}
	return answered(v), nil
}

// approve answers what was carried out. An approved backup is still listed.
func (a *API) approve(ctx context.Context, in *judgeInput) (*answer[Approval], error) {
	v, err := a.approval(in.ID)
	if err != nil { // this node may lag; the leader knows
		v = Approval{ID: in.ID, Groups: []string{}, Summary: []string{}}
	}
	if err := a.do(ctx, in.Body.Reason, engine.Approve{ID: in.ID}); err != nil {
		return nil, err
	}
	if now, err := a.approval(in.ID); err == nil {
		v = now
	}
	v.State, v.Approver = "approved", callerOf(ctx).name
	return answered(v), nil
}

func (a *API) refuseApproval(ctx context.Context, in *judgeInput) (*none, error) {
	return nil, a.do(ctx, in.Body.Reason, engine.RefuseApproval{ID: in.ID})
}
