package api

import (
	"context"
	"time"

	"keyfob/engine"
	"keyfob/engine/diagnosis"
	"keyfob/events"
)

// User is a user.
type User struct {
	User        string     `json:"user"`
	Role        string     `json:"role,omitempty" doc:"Of an administrator. Only the role admin can change anything about the user then."`
	Disabled    bool       `json:"disabled"`
	Locked      bool       `json:"locked" doc:"Too many failures: refused until locked_until, or until an administrator unlocks the user."`
	LockedUntil *time.Time `json:"locked_until,omitempty"`
	Failures    uint32     `json:"failures" doc:"Since the last success, with all tokens and front ends."`
	Tokens      []string   `json:"tokens" doc:"Serials, in order of assignment."`
	LastSuccess *time.Time `json:"last_success,omitempty"`
	Added       *time.Time `json:"added,omitempty"`
}

// UserSheet is everything that the state knows of a user.
type UserSheet struct {
	User
	Now     []string        `json:"now" doc:"What prevents or complicates the next login, as sentences."`
	Budgets []FailureBudget `json:"budgets" doc:"Failure budgets. Strangers cannot use up the budget of trusted clients."`
	Details []Token         `json:"token_details"`
	Sent    int             `json:"sent_last_hour,omitempty" doc:"Tokencodes sent in the last hour, to all addresses."`
}

func viewUser(u *engine.User, now events.Time) User {
	v := User{
		User:        u.Name,
		Role:        u.Role,
		Disabled:    u.Disabled,
		Failures:    u.Failures,
		Tokens:      append([]string{}, u.Tokens...),
		LastSuccess: instant(u.LastSuccess),
		Added:       instant(u.Added),
	}
	locked, until := u.Locked(now)
	v.Locked, v.LockedUntil = locked, instant(until)
	return v
}

// instant returns nil for the zero time, so that JSON omits it.
func instant(t events.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	std := t.Std()
	return &std
}

// UserPath names a user in a path.
type UserPath struct {
	User string `path:"user" maxLength:"256"`
}

// ListUsersQuery asks for part of the users.
type ListUsersQuery struct {
	Page
	Locked       bool `query:"locked" doc:"Only locked users."`
	Disabled     bool `query:"disabled" doc:"Only disabled users."`
	NeverUsed    bool `query:"never_used" doc:"Only users who have never logged in."`
	WithoutToken bool `query:"without_token" doc:"Only users without a token."`
}

// selects reports whether a user is one of those asked for.
func (q ListUsersQuery) selects(u User) bool {
	return (!q.Locked || u.Locked) && (!q.Disabled || u.Disabled) &&
		(!q.NeverUsed || u.LastSuccess == nil) && (!q.WithoutToken || len(u.Tokens) == 0)
}

// AddUserRequest adds a user.
type AddUserRequest struct {
	CommandRequest
	User string `json:"user" minLength:"1" maxLength:"256"`
}

type addUserInput struct{ Body AddUserRequest }

type userCommand struct {
	UserPath
	Body CommandRequest
}

type userRemoval struct {
	UserPath
	RemovalQuery
}

func (a *API) users() {
	register(a, route{get, "/users", "list-users", "List users, in order of name", readers, 0}, a.listUsers)
	register(a, route{post, "/users", "add-user", "Add a user", enrollers, 201}, a.addUser)
	register(a, route{get, "/users/{user}", "show-user", "Show a user", readers, 0}, a.showUser)
	register(a, route{remove, "/users/{user}", "delete-user", "Delete a user and unassign the tokens", helpers, 0}, a.deleteUser)
	a.userAudit()
	register(a, route{get, "/users/{user}/state", "show-state", "Show the state of a user: tokens, modes, locks, and the last refusals with their reasons", readers, 0}, a.showState)

	register(a, route{post, "/users/{user}/check", "check-caller", "Check the word that a caller reads out", staff, 0}, a.checkCaller)

	a.userCommand("disable", "Disable a user", helpers, func(u string) engine.Command { return engine.DisableUser{User: u} })
	a.userCommand("enable", "Enable a user", helpers, func(u string) engine.Command { return engine.EnableUser{User: u} })
	a.userCommand("unlock", "Unlock a user and set the failure count to 0", helpers, func(u string) engine.Command { return engine.UnlockUser{User: u} })
}

func (a *API) userCommand(verb, summary string, who roles, command func(user string) engine.Command) {
	register(a, route{post, "/users/{user}/" + verb, verb + "-user", summary, who, 0},
		func(ctx context.Context, in *userCommand) (*answer[User], error) {
			if err := a.do(ctx, in.Body.Reason, command(canonical(in.User))); err != nil {
				return nil, err
			}
			return a.userNow(in.User)
		})
}

func (a *API) listUsers(_ context.Context, in *ListUsersQuery) (*answer[List[User]], error) {
	now := events.At(a.cfg.Now())
	return answered(page(in.Page, a.cfg.Node.State().Users,
		func(u *engine.User) string { return u.Name },
		func(u *engine.User) (User, bool) {
			v := viewUser(u, now)
			return v, in.selects(v)
		})), nil
}

func (a *API) addUser(ctx context.Context, in *addUserInput) (*answer[User], error) {
	name, err := engine.Canonical(in.Body.User)
	if err != nil {
		return nil, invalid(err.Error())
	}
	if err := a.do(ctx, in.Body.Reason, engine.AddUser{User: name}); err != nil {
		return nil, err
	}
	return a.userNow(in.Body.User)
}

func (a *API) showUser(_ context.Context, in *UserPath) (*answer[UserSheet], error) {
	s, now := a.cfg.Node.State(), events.At(a.cfg.Now())
	u := s.User(canonical(in.User))
	if u == nil {
		return nil, notFound("user", in.User, engine.HelpListUsers)
	}
	sheet := UserSheet{User: viewUser(u, now), Now: findingWords(u, diagnosis.Findings(s, u, now)), Budgets: viewBudgetsOf(s.Policy, u, now), Details: []Token{}}
	for _, serial := range u.Tokens {
		if t := s.Token(serial); t != nil {
			sheet.Details = append(sheet.Details, viewToken(s, t, now))
		}
	}
	sheet.Sent, _ = s.Sending(u, now)
	return answered(sheet), nil
}

func (a *API) deleteUser(ctx context.Context, in *userRemoval) (*none, error) {
	return nil, a.do(ctx, in.Reason, engine.DeleteUser{User: canonical(in.User)})
}

func (a *API) userNow(name string) (*answer[User], error) {
	u := a.cfg.Node.State().User(canonical(name))
	if u == nil {
		return nil, notFound("user", name, engine.HelpListUsers)
	}
	return answered(viewUser(u, events.At(a.cfg.Now()))), nil
}

// canonical returns a user name as the engine spells it. An invalid name is
// returned unchanged, and not found.
func canonical(typed string) string {
	if name, err := engine.Canonical(typed); err == nil {
		return name
	}
	return typed
}
