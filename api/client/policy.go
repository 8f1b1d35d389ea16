package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"keyfob/api"
)

// ShowPolicy returns the policy.
func (c *Client) ShowPolicy(ctx context.Context) (api.Policy, error) {
	return get[api.Policy](ctx, c, "/policy")
}

// SetPolicy changes settings of the policy, all or none.
func (c *Client) SetPolicy(ctx context.Context, in api.SetPolicyRequest) (api.Policy, error) {
	return call[api.Policy](ctx, c, http.MethodPatch, "/policy", in)
}

// PreviewPolicy returns what a change of settings would do.
func (c *Client) PreviewPolicy(ctx context.Context, in api.PolicySettings) (api.PolicyPreview, error) {
	return post[api.PolicyPreview](ctx, c, "/policy/preview", in)
}

// SimulatePolicy replays the audit trail under other settings. Progress is called
// regularly with the events replayed and the total.
func (c *Client) SimulatePolicy(ctx context.Context, in api.SimulatePolicyRequest, progress func(done, total uint64)) (api.SimulationResult, error) {
	resp, err := c.stream(ctx, http.MethodPost, "/policy/simulate", in)
	if err != nil {
		return api.SimulationResult{}, err
	}
	defer resp.Body.Close()
	for lines := json.NewDecoder(resp.Body); ; {
		var line api.SimulationLine
		if err := lines.Decode(&line); err != nil {
			return api.SimulationResult{}, fmt.Errorf("the node ended the simulation before its result: %w; its log says why", err)
		}
		if line.Result != nil {
			return *line.Result, nil
		}
		progress(line.Done, line.Total)
	}
}
