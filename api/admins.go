package api

import (
	"context"
	"time"

	"keyfob/engine"
)

// Administrator is a user with a role.
type Administrator struct {
	User        string     `json:"user"`
	Role        string     `json:"role"`
	Disabled    bool       `json:"disabled"`
	LastSuccess *time.Time `json:"last_success,omitempty"`
	Sessions    int        `json:"sessions" doc:"Number of sessions that are open."`
	APITokens   []string   `json:"api_tokens" doc:"Names of the API tokens that are linked to the user."`
}

// AddAdministratorRequest gives a user a role.
type AddAdministratorRequest struct {
	CommandRequest
	User string `json:"user" minLength:"1" maxLength:"256"`
	Role string `json:"role" enum:"admin,helpdesk,enrolment,auditor"`
}

type addAdministratorInput struct{ Body AddAdministratorRequest }

type administratorRemoval struct {
	UserPath
	RemovalQuery
}

// LinkAPITokenRequest makes an API token that of a person.
type LinkAPITokenRequest struct {
	CommandRequest
	User string `json:"user" minLength:"1" maxLength:"256"`
}

type linkAPITokenInput struct {
	Name string `path:"name" maxLength:"64"`
	Body LinkAPITokenRequest
}

func (a *API) administrators() {
	register(a, route{get, "/admins", "list-administrators", "List the users who have a role", auditors, 0}, a.listAdministrators)
	register(a, route{post, "/admins", "add-administrator", "Give a user a role, or another one", administrators, 201}, a.addAdministrator)
	register(a, route{remove, "/admins/{user}", "remove-administrator", "Take the role from a user, and end the user's sessions", administrators, 0}, a.removeAdministrator)
	register(a, route{post, "/api-tokens/{name}/link", "link-api-token", "Link an API token to a person, with whose role it ends", administrators, 0}, a.linkAPIToken)
}

func (a *API) viewAdministrator(u *engine.User) Administrator {
	s := a.cfg.Node.State()
	v := Administrator{User: u.Name, Role: u.Role, Disabled: u.Disabled, LastSuccess: instant(u.LastSuccess), APITokens: []string{}}
	for x := range a.openSessions() {
		if x.User == u.Name {
			v.Sessions++
		}
	}
	s.APITokens(func(t *engine.APIToken) bool {
		if t.Owner == u.Name {
			v.APITokens = append(v.APITokens, t.Name)
		}
		return true
	})
	return v
}

func (a *API) listAdministrators(_ context.Context, in *Page) (*answer[List[Administrator]], error) {
	return answered(page(*in, a.cfg.Node.State().Users,
		func(u *engine.User) string { return u.Name },
		func(u *engine.User) (v Administrator, ok bool) {
			if u.Role == "" {
				return v, false
			}
			return a.viewAdministrator(u), true
		})), nil
}

func (a *API) addAdministrator(ctx context.Context, in *addAdministratorInput) (*answer[Administrator], error) {
	name := canonical(in.Body.User)
	if err := a.do(ctx, in.Body.Reason, engine.GrantRole{User: name, Role: in.Body.Role, AtSocket: callerOf(ctx).local}); err != nil {
		return nil, err
	}
	u := a.cfg.Node.State().User(name)
	if u == nil {
		return nil, notFound("user", name, engine.HelpListUsers)
	}
	return answered(a.viewAdministrator(u)), nil
}

func (a *API) removeAdministrator(ctx context.Context, in *administratorRemoval) (*none, error) {
	return nil, a.do(ctx, in.Reason, engine.RevokeRole{User: canonical(in.User), AtSocket: callerOf(ctx).local})
}

func (a *API) linkAPIToken(ctx context.Context, in *linkAPITokenInput) (*answer[APIToken], error) {
	if err := a.do(ctx, in.Body.Reason, engine.LinkAPIToken{Name: in.Name, User: canonical(in.Body.User)}); err != nil {
		return nil, err
	}
	t := a.cfg.Node.State().APIToken(in.Name)
	if t == nil {
		return nil, notFound("API token", in.Name, "")
	}
	return answered(a.viewAPIToken(t)), nil
}
