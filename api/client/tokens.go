package client

import (
	"context"

	"keyfob/api"
)

// AddToken imports one token.
func (c *Client) AddToken(ctx context.Context, in api.AddTokenRequest) (api.GivenToken, error) {
	return post[api.GivenToken](ctx, c, "/tokens", in)
}

// AddOnDemandToken adds a token whose tokencodes are sent to its user.
func (c *Client) AddOnDemandToken(ctx context.Context, in api.AddOnDemandTokenRequest) (api.GivenToken, error) {
	return post[api.GivenToken](ctx, c, "/tokens/ondemand", in)
}

// ImportTokens imports up to 500 tokens and returns a result for each, in
// their order.
func (c *Client) ImportTokens(ctx context.Context, in api.ImportTokensRequest) ([]api.ImportedToken, error) {
	answer, err := post[api.List[api.ImportedToken]](ctx, c, "/tokens/import", in)
	return answer.Items, err
}

// ListTokens returns all tokens that a query selects, in order of serial.
func (c *Client) ListTokens(ctx context.Context, query api.ListTokensQuery) ([]api.Token, error) {
	return list[api.Token](ctx, c, "/tokens", values(query))
}

// ListDrifting returns the tokens whose clocks drift, the most urgent first.
func (c *Client) ListDrifting(ctx context.Context, query api.ListDriftingQuery) ([]api.TokenDrift, error) {
	answer, err := get[api.List[api.TokenDrift]](ctx, c, "/drift"+encode(query))
	return answer.Items, err
}

// ShowToken returns a token.
func (c *Client) ShowToken(ctx context.Context, serial string) (api.Token, error) {
	return get[api.Token](ctx, c, at("tokens", serial))
}

// DeleteToken deletes a token and its seed, for a reason.
func (c *Client) DeleteToken(ctx context.Context, serial, reason string) error {
	return c.remove(ctx, at("tokens", serial), reason)
}

// AssignToken assigns a token to a user.
func (c *Client) AssignToken(ctx context.Context, serial string, in api.AssignTokenRequest) (api.GivenToken, error) {
	return post[api.GivenToken](ctx, c, at("tokens", serial, "assign"), in)
}

// UnassignToken takes a token from its user.
func (c *Client) UnassignToken(ctx context.Context, serial string, in api.CommandRequest) (api.Token, error) {
	return post[api.Token](ctx, c, at("tokens", serial, "unassign"), in)
}

// EnableToken enables a token.
func (c *Client) EnableToken(ctx context.Context, serial string, in api.CommandRequest) (api.Token, error) {
	return post[api.Token](ctx, c, at("tokens", serial, "enable"), in)
}

// DisableToken disables a token.
func (c *Client) DisableToken(ctx context.Context, serial string, in api.CommandRequest) (api.Token, error) {
	return post[api.Token](ctx, c, at("tokens", serial, "disable"), in)
}

// ClearPIN clears the PIN of a token.
func (c *Client) ClearPIN(ctx context.Context, serial string, in api.CommandRequest) (api.GivenToken, error) {
	return post[api.GivenToken](ctx, c, at("tokens", serial, "clear-pin"), in)
}

// RequireNewPIN puts a token into New PIN mode; the present PIN is still asked
// for.
func (c *Client) RequireNewPIN(ctx context.Context, serial string, in api.CommandRequest) (api.Token, error) {
	return post[api.Token](ctx, c, at("tokens", serial, "new-pin"), in)
}

// RequireNextTokencode puts a token into Next Tokencode mode.
func (c *Client) RequireNextTokencode(ctx context.Context, serial string, in api.CommandRequest) (api.Token, error) {
	return post[api.Token](ctx, c, at("tokens", serial, "next-tokencode"), in)
}

// SetTemporaryPIN sets a generated PIN that must be changed at its first use.
func (c *Client) SetTemporaryPIN(ctx context.Context, serial string, in api.CommandRequest) (api.TemporaryPIN, error) {
	return post[api.TemporaryPIN](ctx, c, at("tokens", serial, "temporary-pin"), in)
}

// ResyncToken resynchronizes a token by two consecutive tokencodes.
func (c *Client) ResyncToken(ctx context.Context, serial string, in api.ResyncTokenRequest) (api.Token, error) {
	return post[api.Token](ctx, c, at("tokens", serial, "resync"), in)
}

// ZeroDrift resets the drift of a token.
func (c *Client) ZeroDrift(ctx context.Context, serial string, in api.CommandRequest) (api.Token, error) {
	return post[api.Token](ctx, c, at("tokens", serial, "zero-drift"), in)
}

// ReportLost reports a token lost and returns its emergency tokencodes.
func (c *Client) ReportLost(ctx context.Context, serial string, in api.LostTokenRequest) (api.Emergency, error) {
	return post[api.Emergency](ctx, c, at("tokens", serial, "lost"), in)
}

// ReportFound ends the emergency access of a lost token.
func (c *Client) ReportFound(ctx context.Context, serial string, in api.CommandRequest) (api.Token, error) {
	return post[api.Token](ctx, c, at("tokens", serial, "found"), in)
}

// ReplaceToken assigns a replacement to the owner of a token.
func (c *Client) ReplaceToken(ctx context.Context, serial string, in api.ReplaceTokenRequest) (api.GivenToken, error) {
	return post[api.GivenToken](ctx, c, at("tokens", serial, "replace"), in)
}
