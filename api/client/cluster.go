package client

import (
	"context"
	"io"
	"net/http"
	"strconv"

	"keyfob/api"
)

// ClusterStatus returns the cluster as the node sees it.
func (c *Client) ClusterStatus(ctx context.Context) (api.Status, error) {
	return get[api.Status](ctx, c, "/cluster")
}

// InviteNode invites a machine to join.
func (c *Client) InviteNode(ctx context.Context, in api.InviteNodeRequest) (api.Invitation, error) {
	return post[api.Invitation](ctx, c, "/cluster/invitations", in)
}

// RotateKeys starts a rotation of the root key.
func (c *Client) RotateKeys(ctx context.Context, in api.CommandRequest) error {
	return c.do(ctx, http.MethodPost, "/cluster/rotate-keys", in)
}

// ApproveJoin approves the keys of a machine that asks to join.
func (c *Client) ApproveJoin(ctx context.Context, node string, in api.ApproveJoinRequest) error {
	return c.do(ctx, http.MethodPost, at("cluster", "joins", node, "approve"), in)
}

// RefuseJoin refuses a machine that asks to join, or withdraws its invitation.
func (c *Client) RefuseJoin(ctx context.Context, node, reason string) error {
	return c.remove(ctx, at("cluster", "joins", node), reason)
}

// TransferLeadership transfers leadership to another node.
func (c *Client) TransferLeadership(ctx context.Context, in api.TransferLeadershipRequest) error {
	return c.do(ctx, http.MethodPost, "/cluster/transfer", in)
}

// RemoveNode removes a member, for a reason.
func (c *Client) RemoveNode(ctx context.Context, node, reason string) error {
	return c.remove(ctx, at("cluster", "nodes", node), reason)
}

// ListRecoveryKeys returns the keys that backups are sealed for.
func (c *Client) ListRecoveryKeys(ctx context.Context) ([]api.RecoveryKey, error) {
	keys, err := get[api.List[api.RecoveryKey]](ctx, c, "/cluster/recovery-keys")
	return keys.Items, err
}

// AddRecoveryKey seals backups for a key.
func (c *Client) AddRecoveryKey(ctx context.Context, in api.AddRecoveryKeyRequest) error {
	return c.do(ctx, http.MethodPost, "/cluster/recovery-keys", in)
}

// RemoveRecoveryKey no longer seals backups for a key, for a reason.
func (c *Client) RemoveRecoveryKey(ctx context.Context, name, reason string) error {
	return c.remove(ctx, at("cluster", "recovery-keys", name), reason)
}

// BackUp streams a backup and returns its approximate size. A backup
// that ends with an error is incomplete.
func (c *Client) BackUp(ctx context.Context, in api.CommandRequest) (backup io.ReadCloser, size int64, err error) {
	resp, err := c.stream(ctx, http.MethodPost, "/cluster/backup", in)
	if err != nil {
		return nil, 0, err
	}
	size, _ = strconv.ParseInt(resp.Header.Get(api.SizeHeader), 10, 64)
	return resp.Body, size, nil
}

// AddClient adds a RADIUS client.
func (c *Client) AddClient(ctx context.Context, in api.AddClientRequest) (api.Client, error) {
	return post[api.Client](ctx, c, "/clients", in)
}

// ListClients returns all RADIUS clients, in order of name.
func (c *Client) ListClients(ctx context.Context) ([]api.Client, error) {
	return list[api.Client](ctx, c, "/clients", values(api.Page{}))
}

// ShowClient returns a RADIUS client.
func (c *Client) ShowClient(ctx context.Context, name string) (api.Client, error) {
	return get[api.Client](ctx, c, at("clients", name))
}

// SetClient changes the settings of a RADIUS client that are not nil.
func (c *Client) SetClient(ctx context.Context, name string, in api.SetClientRequest) (api.Client, error) {
	return call[api.Client](ctx, c, http.MethodPatch, at("clients", name), in)
}

// RotateClientSecret gives a RADIUS client a new shared secret.
func (c *Client) RotateClientSecret(ctx context.Context, name string, in api.RotateClientSecretRequest) (api.Client, error) {
	return post[api.Client](ctx, c, at("clients", name, "rotate-secret"), in)
}

// ClearSigned lets addresses of a RADIUS client send requests without a
// Message-Authenticator again.
func (c *Client) ClearSigned(ctx context.Context, name string, in api.ClearSignedRequest) (api.Client, error) {
	return post[api.Client](ctx, c, at("clients", name, "clear-signed"), in)
}

// RemoveClient removes a RADIUS client, for a reason.
func (c *Client) RemoveClient(ctx context.Context, name, reason string) error {
	return c.remove(ctx, at("clients", name), reason)
}

// IssueAPIToken issues an API token.
func (c *Client) IssueAPIToken(ctx context.Context, in api.IssueAPITokenRequest) (api.IssuedAPIToken, error) {
	return post[api.IssuedAPIToken](ctx, c, "/api-tokens", in)
}

// ListAPITokens returns all API tokens, in order of name.
func (c *Client) ListAPITokens(ctx context.Context) ([]api.APIToken, error) {
	return list[api.APIToken](ctx, c, "/api-tokens", values(api.Page{}))
}

// RevokeAPIToken revokes an API token, for a reason.
func (c *Client) RevokeAPIToken(ctx context.Context, name, reason string) error {
	return c.remove(ctx, at("api-tokens", name), reason)
}

// Authenticate decides a login, or the next step of one. A retry has the same
// key; an empty one is for an attempt that is not repeated.
func (c *Client) Authenticate(ctx context.Context, key string, in api.LoginRequest) (api.LoginAnswer, error) {
	header := http.Header{}
	if key != "" {
		header.Set("Idempotency-Key", key)
	}
	return callWith[api.LoginAnswer](ctx, c, http.MethodPost, "/authenticate", in, header)
}
