package admin

import (
	"context"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/api/client"
	"keyfob/cmd/keyfob/cli"
)

func (e *commands) userCommand() *cobra.Command {
	return e.Group("user", "Manage users",
		e.userAdd(),
		e.userList(),
		e.userShow(),
		e.userVerb("disable", "Disable a user", "disabled", (*client.Client).DisableUser),
		e.userVerb("enable", "Enable a disabled user", "enabled", (*client.Client).EnableUser),
		e.userVerb("unlock", "Unlock a user and reset the failures to 0", "unlocked; failures reset to 0", (*client.Client).UnlockUser),
		e.userCheck(),
		e.removal(removal{
			use: "delete USER", short: "Delete a user and unassign the tokens",
			question: "Delete user %s, and the PINs of the tokens", done: "user %s deleted",
			remove: (*client.Client).DeleteUser, names: cli.Users,
		}),
	)
}

func (e *commands) userAdd() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	c := cli.Command("add USER", "Add a user", func(c *cobra.Command, args []string) error {
		u, err := r.AddUser(c.Context(), api.AddUserRequest{CommandRequest: r.Reason(c), User: args[0]})
		if err != nil {
			return err
		}
		e.Say("user %s added; issue a token with keyfob token issue %s", u.User, u.User)
		return out.Shown(e.Environment, u)
	})
	return out.Flag(r.Because(r.Completes(c)))
}

func (e *commands) userList() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var query api.ListUsersQuery
	c := cli.Command("list", "List users", func(c *cobra.Command, _ []string) error {
		users, err := r.ListUsers(c.Context(), query)
		if err != nil {
			return err
		}
		return out.Show(e.Out, users, func(t *cli.Table) { userRows(t, users...) })
	})
	f := c.Flags()
	f.BoolVar(&query.Locked, "locked", false, "users who are locked")
	f.BoolVar(&query.Disabled, "disabled", false, "users who are disabled")
	f.BoolVar(&query.NeverUsed, "never-used", false, "users who have never logged in")
	f.BoolVar(&query.WithoutToken, "without-token", false, "users without a token")
	return out.Listing(r.Flags(c))
}

func (e *commands) userShow() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	c := cli.Command("show USER", "Show a user", func(c *cobra.Command, args []string) error {
		u, err := r.ShowUser(c.Context(), args[0])
		if err != nil {
			return err
		}
		return out.Show(e.Out, u, func(t *cli.Table) { userSheet(t, u) })
	})
	return out.Flag(r.Flags(r.Completes(c, cli.Users)))
}

// userVerb returns a command whose only argument is a user.
func (e *commands) userVerb(verb, short, done string, do func(*client.Client, context.Context, string, api.CommandRequest) (api.User, error)) *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	c := cli.Command(verb+" USER", short, func(c *cobra.Command, args []string) error {
		u, err := do(r.Client, c.Context(), args[0], r.Reason(c))
		if err != nil {
			return err
		}
		e.Say("user %s %s", u.User, done)
		return out.Shown(e.Environment, u)
	})
	return out.Flag(r.Because(r.Completes(c, cli.Users)))
}

func userRows(t *cli.Table, users ...api.User) {
	t.Row("USER", "STATE", "FAILURES", "TOKENS", "LAST SUCCESS")
	for _, u := range users {
		t.Row(u.User, userState(u), u.Failures, u.Tokens, cli.OrNever(u.LastSuccess))
	}
}

func userState(u api.User) string {
	switch {
	case u.Disabled:
		return "disabled"
	case u.Locked && u.LockedUntil != nil:
		return "locked until " + cli.Cell(u.LockedUntil)
	case u.Locked:
		return "locked"
	default:
		return "active"
	}
}
