package client

import (
	"context"
	"net/http"

	"keyfob/api"
)

// OpenSession logs an administrator in, or takes the next step of that login.
func (c *Client) OpenSession(ctx context.Context, in api.OpenSessionRequest) (api.OpenSessionAnswer, error) {
	return post[api.OpenSessionAnswer](ctx, c, "/sessions", in)
}

// EndOwnSession ends the session that the client uses, or all of its user.
func (c *Client) EndOwnSession(ctx context.Context, all bool, reason string) error {
	query := encode(api.RemovalQuery{Reason: reason})
	if all {
		query += "&all=true"
	}
	return c.do(ctx, http.MethodDelete, "/sessions/current"+query, nil)
}

// ListSessions returns all sessions of administrators, in order of name.
func (c *Client) ListSessions(ctx context.Context) ([]api.Session, error) {
	return list[api.Session](ctx, c, "/sessions", values(api.Page{}))
}

// EndSession ends a session, for a reason.
func (c *Client) EndSession(ctx context.Context, session, reason string) error {
	return c.remove(ctx, at("sessions", session), reason)
}

// EndSessions ends all sessions of a user, for a reason.
func (c *Client) EndSessions(ctx context.Context, user, reason string) error {
	return c.remove(ctx, at("admins", user, "sessions"), reason)
}

// ListAdministrators returns all users who have a role, in order of name.
func (c *Client) ListAdministrators(ctx context.Context) ([]api.Administrator, error) {
	return list[api.Administrator](ctx, c, "/admins", values(api.Page{}))
}

// AddAdministrator gives a user a role, or another one.
func (c *Client) AddAdministrator(ctx context.Context, in api.AddAdministratorRequest) (api.Administrator, error) {
	return post[api.Administrator](ctx, c, "/admins", in)
}

// RemoveAdministrator takes the role from a user, for a reason.
func (c *Client) RemoveAdministrator(ctx context.Context, user, reason string) error {
	return c.remove(ctx, at("admins", user), reason)
}

// LinkAPIToken links an API token to a person.
func (c *Client) LinkAPIToken(ctx context.Context, name string, in api.LinkAPITokenRequest) (api.APIToken, error) {
	return post[api.APIToken](ctx, c, at("api-tokens", name, "link"), in)
}
