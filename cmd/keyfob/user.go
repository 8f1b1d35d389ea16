package main

import (
	"net/http"
	"net/url"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"keyfob/api"
)

func (e *environment) userCommand() *cobra.Command {
	return e.group("user", "Users: who owns tokens",
		e.userAdd(),
		e.userList(),
		e.userShow(),
		e.userVerb("disable", "Refuse a user until enabled", "is disabled"),
		e.userVerb("enable", "Let a disabled user log in again", "is enabled"),
		e.userVerb("unlock", "End a lock and set the failures to 0", "is unlocked, without failures"),
		e.removal("delete USER", "Forget a user; the tokens belong to nobody then", []string{"users"}, "Forget user %s, and the PINs of the tokens", "user %s deleted"),
	)
}

func (e *environment) userAdd() *cobra.Command {
	r, out := e.remote(), &output{}
	return out.flag(r.because(command("add USER", "Add a user", func(c *cobra.Command, args []string) error {
		var u api.User
		in := map[string]string{"user": args[0], "reason": r.why(c)}
		if err := r.call(c.Context(), http.MethodPost, "/users", in, &u); err != nil {
			return err
		}
		e.say("user %s added; give a token with keyfob token issue %s", u.User, u.User)
		return out.shown(e, u)
	})))
}

func (e *environment) userList() *cobra.Command {
	r, out := e.remote(), &output{}
	return out.flag(r.flags(command("list", "List users", func(c *cobra.Command, _ []string) error {
		users, err := all[api.User](c.Context(), r, "/users", nil)
		if err != nil {
			return err
		}
		return out.show(e.Out, users, func(tw *tabwriter.Writer) { userRows(tw, users...) })
	})))
}

func (e *environment) userShow() *cobra.Command {
	r, out := e.remote(), &output{}
	return out.flag(r.flags(command("show USER", "Show a user", func(c *cobra.Command, args []string) error {
		var u api.UserSheet
		if err := r.call(c.Context(), http.MethodGet, at("users", args[0]), nil, &u); err != nil {
			return err
		}
		return out.show(e.Out, u, func(tw *tabwriter.Writer) { userSheet(tw, u) })
	})))
}

func (e *environment) userVerb(verb, short, done string) *cobra.Command {
	r, out := e.remote(), &output{}
	return out.flag(r.because(command(verb+" USER", short, func(c *cobra.Command, args []string) error {
		var u api.User
		in := map[string]string{"reason": r.why(c)}
		if err := r.call(c.Context(), http.MethodPost, at("users", args[0], verb), in, &u); err != nil {
			return err
		}
		e.say("user %s %s", u.User, done)
		return out.shown(e, u)
	})))
}

func userRows(tw *tabwriter.Writer, users ...api.User) {
	row(tw, "USER", "STATE", "FAILURES", "TOKENS", "LAST SUCCESS")
	for _, u := range users {
		row(tw, u.User, userState(u), u.Failures, u.Tokens, orNever(u.LastSuccess))
	}
}

func userState(u api.User) string {
	switch {
	case u.Disabled:
		return "disabled"
	case u.Locked && u.LockedUntil != nil:
		return "locked until " + cell(u.LockedUntil)
	case u.Locked:
		return "locked"
	default:
		return "active"
	}
}

func because(reason string) string {
	return "?" + url.Values{"reason": {reason}}.Encode()
}
