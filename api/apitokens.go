package api

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"keyfob/engine"
	"keyfob/events"
)

// APIToken is an API token without its secret.
type APIToken struct {
	Name    string     `json:"name"`
	Role    string     `json:"role" enum:"admin,helpdesk,enrolment,auditor,login"`
	Issued  *time.Time `json:"issued,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
	APITokenLimits
	State    string     `json:"state" enum:"valid,expired,invalid" doc:"invalid: the user that it is linked to no longer has its role."`
	Used     *time.Time `json:"used,omitempty" doc:"Last recorded use, up to an hour ago."`
	IssuedBy string     `json:"issued_by,omitempty"`
	User     string     `json:"user,omitempty" doc:"The person that it is linked to."`
}

// APITokenLimits are what an API token permits less than its role.
type APITokenLimits struct {
	Commands []string `json:"commands,omitempty" maxItems:"32" doc:"Operations, as their operationId; * stands for any characters. Absent: all that the role permits."`
	Sites    []string `json:"sites,omitempty" maxItems:"32" doc:"Only nodes of these sites accept it."`
	From     []string `json:"from,omitempty" maxItems:"32" doc:"Only from these addresses or networks (CIDR) is it accepted."`
}

// IssuedAPIToken is a new API token with its secret.
type IssuedAPIToken struct {
	APIToken
	Token string `json:"token" doc:"The secret, shown only this once."`
}

func (a *API) viewAPIToken(t *engine.APIToken) APIToken {
	s := a.cfg.Node.State()
	v := APIToken{
		Name: t.Name, Role: t.Role, Issued: instant(t.Issued), Expires: instant(t.Expires), State: "valid",
		APITokenLimits: APITokenLimits{Commands: t.Commands, Sites: t.Sites, From: t.Networks},
		Used:           instant(t.Used), IssuedBy: t.IssuedBy, User: t.Owner,
	}
	switch s.APITokenEnd(t, a.now(s)) {
	case "":
	case engine.EndExpired:
		v.State = "expired"
	default:
		v.State = "invalid"
	}
	return v
}

// IssueAPITokenRequest issues an API token.
type IssueAPITokenRequest struct {
	CommandRequest
	Name string `json:"name" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9._-]+$"`
	Role string `json:"role" enum:"admin,helpdesk,enrolment,auditor,login"`
	APITokenLimits
	TTLSeconds int `json:"ttl_seconds,omitempty" minimum:"60" maximum:"315360000" doc:"Lifetime, at most 365 days; absent: 90 days, or the rest of the lifetime of the API token that issues it."`
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
		func(t *engine.APIToken) (APIToken, bool) { return a.viewAPIToken(t), true })), nil
}

func (a *API) issueAPIToken(ctx context.Context, in *issueAPITokenInput) (*answer[IssuedAPIToken], error) {
	who := callerOf(ctx)
	issued := events.APITokenIssued{
		Name: in.Body.Name, Role: in.Body.Role, Expires: a.end(who, in.Body.TTLSeconds),
		Commands: in.Body.Commands, Sites: in.Body.Sites,
	}
	if err := a.checkCommands(in.Body.Role, in.Body.Commands); err != nil {
		return nil, err
	}
	for _, from := range in.Body.From {
		network, err := networkIn(from)
		if err != nil {
			return nil, invalid(err.Error())
		}
		issued.Networks = append(issued.Networks, network.String())
	}
	token, digest, err := NewBearer(a.cfg.Random)
	if err != nil {
		return nil, err
	}
	issued.Digest = digest
	if err := a.do(ctx, in.Body.Reason, engine.IssueAPIToken{Token: issued}); err != nil {
		return nil, a.pending(err, func(p *PendingCommand) { p.Token = token.Reveal() })
	}
	return answered(IssuedAPIToken{Token: token.Reveal(), APIToken: a.viewAPIToken(&engine.APIToken{
		Name: issued.Name, Role: issued.Role, Issued: events.At(a.cfg.Now()), Expires: issued.Expires,
		Commands: issued.Commands, Sites: issued.Sites, Networks: issued.Networks, IssuedBy: who.name,
	})}), nil
}

// checkCommands refuses a pattern that permits nothing: it would be a mistake.
func (a *API) checkCommands(role string, patterns []string) error {
	for _, pattern := range patterns {
		limited := engine.APIToken{Commands: []string{pattern}}
		if !slices.ContainsFunc(a.Operations(role), limited.Permits) {
			return invalid(fmt.Sprintf("%.64q is no operation that the role %s permits; see %s/openapi.json", pattern, role, Prefix))
		}
	}
	return nil
}

// Operations lists the operations that a role permits.
func (a *API) Operations(role string) []string {
	var all []string
	for _, item := range a.huma.OpenAPI().Paths {
		for _, o := range []*huma.Operation{item.Get, item.Post, item.Patch, item.Put, item.Delete} {
			if o != nil && allowedTo(o).has(role) {
				all = append(all, o.OperationID)
			}
		}
	}
	slices.Sort(all)
	return all
}

// networkIn reads an address or a network.
func networkIn(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil || network != network.Masked() || network.Addr().Is4In6() {
		return network, fmt.Errorf("%.64q is neither an address nor a network, such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32", text)
	}
	return network, nil
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
