package api

import (
	"context"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// APIToken is an API token without its secret.
type APIToken struct {
	Name    string     `json:"name"`
	Role    string     `json:"role" enum:"admin,helpdesk,enrolment,auditor,login"`
	Issued  *time.Time `json:"issued,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
}

// IssuedAPIToken is a new API token with its secret.
type IssuedAPIToken struct {
	APIToken
	Token string `json:"token" doc:"The secret, shown only this once."`
}

func viewAPIToken(t *engine.APIToken) APIToken {
	return APIToken{Name: t.Name, Role: t.Role, Issued: instant(t.Issued), Expires: instant(t.Expires)}
}

// IssueAPITokenRequest issues an API token.
type IssueAPITokenRequest struct {
	CommandRequest
	Name       string `json:"name" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9._-]+$"`
	Role       string `json:"role" enum:"admin,helpdesk,enrolment,auditor,login"`
	TTLSeconds int    `json:"ttl_seconds,omitempty" minimum:"60" maximum:"31536000" doc:"Lifetime; absent: 90 days, or the rest of the lifetime of the API token that issues it."`
}

type issueAPITokenInput struct{ Body IssueAPITokenRequest }

type apiTokenRemoval struct {
	Name string `path:"name" maxLength:"64"`
	RemovalQuery
}

func (a *API) apiTokens() {
	register(a, route{get, "/api-tokens", "list-api-tokens", "List API tokens by name", auditors, 0}, a.listAPITokens)
	register(a, route{post, "/api-tokens", "issue-api-token", "Issue an API token, shown once", administrators, 201}, a.issueAPIToken)
	register(a, route{remove, "/api-tokens/{name}", "revoke-api-token", "Revoke an API token", administrators, 0}, a.revokeAPIToken)
}

func (a *API) listAPITokens(_ context.Context, in *Page) (*answer[List[APIToken]], error) {
	return answered(page(*in, a.cfg.Node.State().APITokens,
		func(t *engine.APIToken) string { return t.Name },
		func(t *engine.APIToken) (APIToken, bool) { return viewAPIToken(t), true })), nil
}

func (a *API) issueAPIToken(ctx context.Context, in *issueAPITokenInput) (*answer[IssuedAPIToken], error) {
	token, digest, err := NewBearer(a.cfg.Random)
	if err != nil {
		return nil, err
	}
	now := a.cfg.Now()
	issued := events.APITokenIssued{Name: in.Body.Name, Digest: digest, Role: in.Body.Role, Expires: a.end(callerOf(ctx), in.Body.TTLSeconds)}
	if err := a.do(ctx, in.Body.Reason, engine.IssueAPIToken{Token: issued}); err != nil {
		return nil, err
	}
	return answered(IssuedAPIToken{
		APIToken: APIToken{Name: issued.Name, Role: issued.Role, Issued: instant(events.At(now)), Expires: instant(issued.Expires)},
		Token:    token.Reveal(),
	}), nil
}

// end returns when an API token is to expire. Unless stated, one that was issued
// with another expires no later than that one.
func (a *API) end(who caller, ttlSeconds int) events.Time {
	now := a.cfg.Now()
	if ttlSeconds > 0 {
		return events.At(now.Add(time.Duration(ttlSeconds) * time.Second))
	}
	end := events.At(now.Add(engine.DefaultAPITokenTTL))
	if t := a.cfg.Node.State().APIToken(who.token); t != nil && !t.Expires.IsZero() {
		end = min(end, t.Expires)
	}
	return end
}

func (a *API) revokeAPIToken(ctx context.Context, in *apiTokenRemoval) (*none, error) {
	return nil, a.do(ctx, in.Reason, engine.RevokeAPIToken{Name: in.Name})
}
