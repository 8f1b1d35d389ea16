package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
)

// peerClient sends requests to other nodes.
type peerClient struct{ http *http.Client }

// call sends a request to the node of that id and reads the whole answer, up to
// limit bytes.
func (p peerClient) call(ctx context.Context, method, id, path string, body []byte, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "https://"+id+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the answer of %s to %s: %w", id, path, err)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answered %s with %s: %.200s", id, path, resp.Status, data)
	case int64(len(data)) > limit:
		return nil, fmt.Errorf("%s answered %s with more than %d bytes", id, path, limit)
	}
	return data, nil
}
