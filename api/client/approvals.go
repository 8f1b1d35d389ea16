package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"keyfob/api"
)

// pendingIn returns the answer to a command that waits for a second
// administrator: a *api.PendingCommand.
func pendingIn(resp *http.Response) error {
	p := &api.PendingCommand{}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxProblem)).Decode(p); err != nil {
		return fmt.Errorf("reading the node's answer: %w", err)
	}
	return p
}

// ListApprovals returns the commands that wait for a second administrator, the
// oldest first.
func (c *Client) ListApprovals(ctx context.Context) ([]api.Approval, error) {
	all, err := get[api.List[api.Approval]](ctx, c, "/approvals")
	return all.Items, err
}

// ShowApproval returns a command that waits for a second administrator.
func (c *Client) ShowApproval(ctx context.Context, id string) (api.Approval, error) {
	return get[api.Approval](ctx, c, at("approvals", id))
}

// ApproveCommand approves a command and has it carried out.
func (c *Client) ApproveCommand(ctx context.Context, id, reason string) (api.Approval, error) {
	return post[api.Approval](ctx, c, at("approvals", id, "approve"), api.CommandRequest{Reason: reason})
}

// RefuseCommand refuses a command, or withdraws one's own.
func (c *Client) RefuseCommand(ctx context.Context, id, reason string) error {
	return c.do(ctx, http.MethodPost, at("approvals", id, "refuse"), api.CommandRequest{Reason: reason})
}
