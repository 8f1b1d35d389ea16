package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// maxProfile is the longest profile, in bytes.
const maxProfile = 64 << 20

// Profile has the node take a CPU profile. A node does so at its socket alone.
func (c *Client) Profile(ctx context.Context, seconds int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("/debug/pprof/profile?seconds=%d", seconds), nil)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	resp, err := c.transport.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the node answered %s", resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxProfile))
}
