package admin

import (
	"net/http"
	"net/url"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
)

func (e *commands) tokenCommand() *cobra.Command {
	return e.Group("token", "Tokens: devices and apps that display tokencodes",
		e.tokenImport(),
		e.tokenAdd(),
		e.tokenIssue(),
		e.tokenList(),
		e.tokenShow(),
		e.tokenAssign(),
		e.Careful(e.tokenVerb("unassign", "Take a token from its user; its PIN is gone", "belongs to nobody"), "Take token %s from its user, and forget its PIN"),
		e.tokenVerb("enable", "Let a token be used again", "is enabled"),
		e.tokenVerb("disable", "Refuse a token until it is enabled", "is disabled"),
		e.Careful(e.tokenClearPIN(), "Forget the PIN of token %s"),
		e.tokenVerb("new-pin", "Demand a new PIN at the next login", "asks for a new PIN at the next login"),
		e.tokenVerb("next-tokencode", "Demand the next tokencode at the next login", "asks for the next tokencode at the next login"),
		e.tokenZeroDrift(),
		e.tokenVerb("found", "End the emergency tokencodes: the token is with its owner again", "is with its owner again"),
		e.tokenTemporaryPIN(),
		e.tokenResync(),
		e.tokenLost(),
		e.tokenReplace(),
		e.removal("delete SERIAL", "Forget a token and its seed", []string{"tokens"}, "Forget token %s and its seed for good", "token %s deleted"),
	)
}

func (e *commands) tokenList() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var user string
	var unassigned, drifting bool
	c := cli.Command("list", "List tokens", func(c *cobra.Command, _ []string) error {
		if drifting && (user != "" || unassigned) {
			return cli.Usagef("--drifting goes with neither --user nor --unassigned")
		}
		if drifting {
			return e.listDrifting(c.Context(), r, out)
		}
		query := url.Values{}
		if user != "" {
			query.Set("user", user)
		}
		if unassigned {
			query.Set("unassigned", "true")
		}
		tokens, err := cli.All[api.Token](c.Context(), r, "/tokens", query)
		if err != nil {
			return err
		}
		return out.Show(e.Out, tokens, func(tw *tabwriter.Writer) { tokenRows(tw, tokens...) })
	})
	c.Flags().StringVar(&user, "user", "", "only this `USER`'s")
	c.Flags().BoolVar(&unassigned, "unassigned", false, "only those that belong to nobody")
	c.Flags().BoolVar(&drifting, "drifting", false, "those whose clock drifts, by how soon it leaves the small window, or is off by more than that")
	return out.Flag(r.Flags(c))
}

func (e *commands) tokenShow() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Flag(r.Flags(cli.Command("show SERIAL", "Show a token", func(c *cobra.Command, args []string) error {
		var t api.Token
		if err := r.Call(c.Context(), http.MethodGet, cli.At("tokens", args[0]), nil, &t); err != nil {
			return err
		}
		return out.Show(e.Out, t, func(tw *tabwriter.Writer) { tokenSheet(tw, t) })
	})))
}

func (e *commands) tokenAssign() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Flag(r.Because(cli.Command("assign SERIAL USER", "Give a token to a user", func(c *cobra.Command, args []string) error {
		var t api.GivenToken
		in := map[string]string{"user": args[1], "reason": r.Why(c)}
		if err := r.Call(c.Context(), http.MethodPost, cli.At("tokens", args[0], "assign"), in, &t); err != nil {
			return err
		}
		return e.given(out, t, "token %s belongs to %s; %s", t.Serial, t.User, nextLogin(t))
	})))
}

func (e *commands) tokenClearPIN() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Flag(r.Because(cli.Command("clear-pin SERIAL", "Forget the PIN; the next login sets one, with an activation code where pin.first asks for it", func(c *cobra.Command, args []string) error {
		var t api.GivenToken
		in := map[string]string{"reason": r.Why(c)}
		if err := r.Call(c.Context(), http.MethodPost, cli.At("tokens", args[0], "clear-pin"), in, &t); err != nil {
			return err
		}
		next := nextLogin(t)
		if t.User == "" {
			next = "it belongs to nobody"
		}
		return e.given(out, t, "the PIN of token %s is forgotten; %s", t.Serial, next)
	})))
}

func (e *commands) tokenVerb(verb, short, done string) *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Flag(r.Because(cli.Command(verb+" SERIAL", short, func(c *cobra.Command, args []string) error {
		var t api.Token
		in := map[string]string{"reason": r.Why(c)}
		if err := r.Call(c.Context(), http.MethodPost, cli.At("tokens", args[0], verb), in, &t); err != nil {
			return err
		}
		e.Say("token %s %s", t.Serial, done)
		return out.Shown(e.Environment, t)
	})))
}

func tokenRows(tw *tabwriter.Writer, tokens ...api.Token) {
	cli.Row(tw, "SERIAL", "KIND", "USER", "STATE", "PIN", "DRIFT", "LAST USE")
	for _, t := range tokens {
		cli.Row(tw, t.Serial, t.Kind, t.User, cli.InLocalTime(t.State), t.HasPIN, t.Drift, t.LastUse)
	}
}
