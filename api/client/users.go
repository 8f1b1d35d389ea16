package client

import (
	"context"

	"keyfob/api"
)

// AddUser adds a user.
func (c *Client) AddUser(ctx context.Context, in api.AddUserRequest) (api.User, error) {
	return post[api.User](ctx, c, "/users", in)
}

// ListUsers returns all users that a query selects, in order of name.
func (c *Client) ListUsers(ctx context.Context, query api.ListUsersQuery) ([]api.User, error) {
	return list[api.User](ctx, c, "/users", values(query))
}

// ShowUser returns a user.
func (c *Client) ShowUser(ctx context.Context, user string) (api.UserSheet, error) {
	return get[api.UserSheet](ctx, c, at("users", user))
}

// ShowState returns the state of a user, now or at an earlier point.
func (c *Client) ShowState(ctx context.Context, user string, query api.ShowStateQuery) (api.UserState, error) {
	return get[api.UserState](ctx, c, at("users", user, "state")+encode(query))
}

// DisableUser disables a user.
func (c *Client) DisableUser(ctx context.Context, user string, in api.CommandRequest) (api.User, error) {
	return post[api.User](ctx, c, at("users", user, "disable"), in)
}

// EnableUser enables a user.
func (c *Client) EnableUser(ctx context.Context, user string, in api.CommandRequest) (api.User, error) {
	return post[api.User](ctx, c, at("users", user, "enable"), in)
}

// UnlockUser ends the locks of a user and sets the failures to 0.
func (c *Client) UnlockUser(ctx context.Context, user string, in api.CommandRequest) (api.User, error) {
	return post[api.User](ctx, c, at("users", user, "unlock"), in)
}

// CheckCaller checks the word that a caller reads out.
func (c *Client) CheckCaller(ctx context.Context, user string, in api.CheckCallerRequest) (api.CallerCheck, error) {
	return post[api.CallerCheck](ctx, c, at("users", user, "check"), in)
}

// DeleteUser deletes a user, for a reason.
func (c *Client) DeleteUser(ctx context.Context, user, reason string) error {
	return c.remove(ctx, at("users", user), reason)
}
