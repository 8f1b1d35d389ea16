package admin

import (
	"net/http"
	"net/url"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
)

func (e *commands) userCommand() *cobra.Command {
	return e.Group("user", "Users: who owns tokens",
		e.userAdd(),
		e.userList(),
		e.userShow(),
		e.userVerb("disable", "Refuse a user until enabled", "is disabled"),
		e.userVerb("enable", "Let a disabled user log in again", "is enabled"),
		e.userVerb("unlock", "End a lock and set the failures to 0", "is unlocked, without failures"),
		e.removal("delete USER", "Forget a user; the tokens belong to nobody then", []string{"users"}, "Forget user %s, and the PINs of the tokens", "user %s deleted"),
	)
}

func (e *commands) userAdd() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Flag(r.Because(cli.Command("add USER", "Add a user", func(c *cobra.Command, args []string) error {
		var u api.User
		in := map[string]string{"user": args[0], "reason": r.Why(c)}
		if err := r.Call(c.Context(), http.MethodPost, "/users", in, &u); err != nil {
			return err
		}
		e.Say("user %s added; give a token with keyfob token issue %s", u.User, u.User)
		return out.Shown(e.Environment, u)
	})))
}

func (e *commands) userList() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Flag(r.Flags(cli.Command("list", "List users", func(c *cobra.Command, _ []string) error {
		users, err := cli.All[api.User](c.Context(), r, "/users", nil)
		if err != nil {
			return err
		}
		return out.Show(e.Out, users, func(tw *tabwriter.Writer) { userRows(tw, users...) })
	})))
}

func (e *commands) userShow() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Flag(r.Flags(cli.Command("show USER", "Show a user", func(c *cobra.Command, args []string) error {
		var u api.UserSheet
		if err := r.Call(c.Context(), http.MethodGet, cli.At("users", args[0]), nil, &u); err != nil {
			return err
		}
		return out.Show(e.Out, u, func(tw *tabwriter.Writer) { userSheet(tw, u) })
	})))
}

func (e *commands) userVerb(verb, short, done string) *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Flag(r.Because(cli.Command(verb+" USER", short, func(c *cobra.Command, args []string) error {
		var u api.User
		in := map[string]string{"reason": r.Why(c)}
		if err := r.Call(c.Context(), http.MethodPost, cli.At("users", args[0], verb), in, &u); err != nil {
			return err
		}
		e.Say("user %s %s", u.User, done)
		return out.Shown(e.Environment, u)
	})))
}

func userRows(tw *tabwriter.Writer, users ...api.User) {
	cli.Row(tw, "USER", "STATE", "FAILURES", "TOKENS", "LAST SUCCESS")
	for _, u := range users {
		cli.Row(tw, u.User, userState(u), u.Failures, u.Tokens, cli.OrNever(u.LastSuccess))
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

func because(reason string) string {
	return "?" + url.Values{"reason": {reason}}.Encode()
}
