package admin

import (
	"strings"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/api/client"
	"keyfob/cmd/keyfob/cli"
)

func (e *commands) administratorCommand() *cobra.Command {
	return e.Group("admin", "Manage administrators: users with a role",
		e.administratorAdd(),
		e.administratorList(),
		e.removal(removal{
			use: "remove USER", short: "Take the role from an administrator, and end the sessions",
			question: "Take the role from user %s", done: "user %s is not an administrator any more",
			remove: (*client.Client).RemoveAdministrator, names: cli.Administrators,
		}),
		e.administratorLink(),
		e.Group("session", "Manage the sessions of administrators", e.sessionList(), e.sessionEnd()),
	)
}

func (e *commands) administratorAdd() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var role string
	c := cli.Command("add USER", "Make a user an administrator, or change the role", func(c *cobra.Command, args []string) error {
		a, err := r.AddAdministrator(c.Context(), api.AddAdministratorRequest{CommandRequest: r.Reason(c), User: args[0], Role: role})
		if err != nil {
			return err
		}
		e.Say("user %s has the role %s; log in with keyfob login %s", a.User, a.Role, a.User)
		return out.Shown(e.Environment, a)
	})
	c.Flags().StringVar(&role, "role", "", "`ROLE`: "+strings.Join(api.PersonRoles(), ", "))
	_ = c.MarkFlagRequired("role") // the flag exists
	r.CompletesFlag(c, "role", cli.Of(api.PersonRoles()...))
	return out.Flag(r.Because(r.Completes(c, cli.Users)))
}

func (e *commands) administratorList() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Listing(r.Flags(cli.Command("list", "List administrators", func(c *cobra.Command, _ []string) error {
		all, err := r.ListAdministrators(c.Context())
		if err != nil {
			return err
		}
		return out.Show(e.Out, all, func(t *cli.Table) {
			t.Row("USER", "ROLE", "STATE", "SESSIONS", "API TOKENS", "LAST SUCCESS")
			for _, a := range all {
				t.Row(a.User, a.Role, map[bool]string{true: "disabled", false: "active"}[a.Disabled], a.Sessions, a.APITokens, cli.OrNever(a.LastSuccess))
			}
		})
	})))
}

func (e *commands) administratorLink() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Flag(r.Because(r.Completes(cli.Command("link USER NAME", "Link an API token to an administrator", func(c *cobra.Command, args []string) error {
		t, err := r.LinkAPIToken(c.Context(), args[1], api.LinkAPITokenRequest{CommandRequest: r.Reason(c), User: args[0]})
		if err != nil {
			return err
		}
		e.Say("API token %s is that of user %s", t.Name, t.User)
		return out.Shown(e.Environment, t)
	}), cli.Administrators, cli.APITokens)))
}

func (e *commands) sessionList() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Listing(r.Flags(cli.Command("list", "List the sessions of administrators", func(c *cobra.Command, _ []string) error {
		all, err := r.ListSessions(c.Context())
		if err != nil {
			return err
		}
		return out.Show(e.Out, all, func(t *cli.Table) {
			t.Row("SESSION", "USER", "ROLE", "FROM", "OPENED", "LAST USE", "EXPIRES")
			for _, s := range all {
				t.Row(s.Session, s.User, s.Role, s.Network, s.Issued, s.Used, s.Expires)
			}
		})
	})))
}

func (e *commands) sessionEnd() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var user string
	c := cli.Command("end [SESSION]", "End a session, or all of a user", func(c *cobra.Command, args []string) error {
		end, name := (*client.Client).EndSession, strings.Join(args, "")
		switch {
		case (user == "") == (name == ""):
			return cli.Usagef("want either SESSION or --user")
		case user != "":
			end, name = (*client.Client).EndSessions, user
		}
		if err := e.Confirm(c, "End %s", name); err != nil {
			return err
		}
		if err := end(r.Client, c.Context(), name, r.Why(c)); err != nil {
			return err
		}
		e.Say("ended: %s", name)
		return out.Shown(e.Environment, removed{name, true})
	})
	c.Flags().StringVar(&user, "user", "", "end all sessions of `USER`")
	r.CompletesFlag(c, "user", cli.Administrators)
	return cli.Destructive(out.Flag(r.Because(r.Completes(c, cli.Sessions))))
}
