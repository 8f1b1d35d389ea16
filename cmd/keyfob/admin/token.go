package admin

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/api/client"
	"keyfob/cmd/keyfob/cli"
)

func (e *commands) tokenCommand() *cobra.Command {
	return e.Group("token", "Manage tokens",
		e.tokenImport(),
		e.tokenAdd(),
		e.tokenIssue(),
		e.tokenList(),
		e.tokenShow(),
		e.tokenAssign(),
		e.tokenUnassign(),
		e.tokenVerb("enable", "Enable a disabled token", "enabled", (*client.Client).EnableToken),
		e.tokenVerb("disable", "Disable a token", "disabled", (*client.Client).DisableToken),
		e.tokenClearPIN(),
		e.tokenVerb("new-pin", "Put a token into New PIN mode; the present PIN is still asked for", "asks for a new PIN at the next login", (*client.Client).RequireNewPIN),
		e.tokenVerb("next-tokencode", "Put a token into Next Tokencode mode", "asks for the next tokencode at the next login", (*client.Client).RequireNextTokencode),
		e.tokenZeroDrift(),
		e.tokenVerb("found", "Report a lost token found and end the emergency tokencodes", "found; its own tokencodes are accepted again", (*client.Client).ReportFound),
		e.tokenTemporaryPIN(),
		e.tokenResync(),
		e.tokenLost(),
		e.tokenReplace(),
		e.tokenReplaceExposed(),
		e.tokenDelete(),
	)
}

func (e *commands) tokenList() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var query api.ListTokensQuery
	var drifting bool
	var expiring, pinAge time.Duration
	c := cli.Command("list", "List tokens", func(c *cobra.Command, _ []string) error {
		switch {
		case drifting && (query != api.ListTokensQuery{} || expiring != 0 || pinAge != 0):
			return cli.Usagef("--drifting cannot be combined with other filters")
		case drifting:
			return e.listDrifting(c.Context(), r, out)
		}
		if c.Flags().Changed("expiring") {
			query.ExpiresBefore = e.Now().Add(expiring)
		}
		if c.Flags().Changed("pin-older-than") {
			query.PINSetBefore = e.Now().Add(-pinAge)
		}
		tokens, err := r.ListTokens(c.Context(), query)
		if err != nil {
			return err
		}
		return out.Show(e.Out, tokens, func(t *cli.Table) { tokenRows(t, tokens...) })
	})
	f := c.Flags()
	f.StringVar(&query.User, "user", "", "tokens of this `USER`")
	f.BoolVar(&query.Unassigned, "unassigned", false, "tokens without an owner")
	f.StringVar(&query.Mode, "mode", "", "tokens in this `MODE`: normal, new_pin or next_tokencode")
	f.BoolVar(&query.Lost, "lost", false, "tokens that are reported lost")
	f.BoolVar(&query.Exposed, "exposed", false, "tokens whose seed was in the cluster while a node was a member that has been removed since")
	cli.DurationVar(f, &expiring, "expiring", 0, "tokens that expire within this time, such as 30d, or have expired")
	cli.DurationVar(f, &pinAge, "pin-older-than", 0, "tokens whose PIN was set longer ago than this, such as 365d")
	f.BoolVar(&drifting, "drifting", false, "tokens whose clock drifts, by how soon it leaves the small window, or is off by more than that")
	r.CompletesFlag(c, "user", cli.Users)
	r.CompletesFlag(c, "mode", cli.Of(api.ModeNormal, api.ModeNewPIN, api.ModeNextTokencode))
	return out.Listing(r.Flags(c))
}

func (e *commands) tokenShow() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	c := cli.Command("show SERIAL", "Show a token", func(c *cobra.Command, args []string) error {
		t, err := findToken(c.Context(), r, args[0])
		if err != nil {
			return err
		}
		return out.Show(e.Out, t, func(tw *cli.Table) { tokenSheet(tw, t) })
	})
	return out.Flag(r.Flags(r.Completes(c, cli.Tokens)))
}

func (e *commands) tokenAssign() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	c := cli.Command("assign SERIAL USER", "Assign a token to a user", func(c *cobra.Command, args []string) error {
		t, err := r.AssignToken(c.Context(), args[0], api.AssignTokenRequest{CommandRequest: r.Reason(c), User: args[1]})
		if err != nil {
			return err
		}
		return e.given(out, t, "token %s assigned to %s; %s", t.Serial, t.User, nextLogin(t))
	})
	return out.Flag(r.Because(r.Completes(c, cli.UnassignedSerials, cli.Users)))
}

func (e *commands) tokenUnassign() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	c := cli.Command("unassign SERIAL", "Take a token from its user and clear its PIN", func(c *cobra.Command, args []string) error {
		t, err := findToken(c.Context(), r, args[0])
		if err != nil {
			return err
		}
		if err := e.Confirm(c, "Unassign token %s%s, and clear its PIN", t.Serial, ofOwner(t)); err != nil {
			return err
		}
		if t, err = r.UnassignToken(c.Context(), t.Serial, r.Reason(c)); err != nil {
			return err
		}
		e.Say("token %s unassigned", t.Serial)
		return out.Shown(e.Environment, t)
	})
	return cli.Destructive(out.Flag(r.Because(r.Completes(c, cli.Tokens))))
}

func (e *commands) tokenDelete() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	c := cli.Command("delete SERIAL", "Delete a token and its seed", func(c *cobra.Command, args []string) error {
		t, err := findToken(c.Context(), r, args[0])
		if err != nil {
			return err
		}
		if err := e.Confirm(c, "Delete token %s%s and its seed for good", t.Serial, ofOwner(t)); err != nil {
			return err
		}
		if err := r.DeleteToken(c.Context(), t.Serial, r.Why(c)); err != nil {
			return err
		}
		e.Say("token %s deleted", t.Serial)
		return out.Shown(e.Environment, removed{t.Serial, true})
	})
	return cli.Destructive(out.Flag(r.Because(r.Completes(c, cli.Tokens))))
}

func (e *commands) tokenClearPIN() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	c := cli.Command("clear-pin SERIAL", "Clear the PIN; the next login sets one, with an activation code where pin.first requires it", func(c *cobra.Command, args []string) error {
		t, err := findToken(c.Context(), r, args[0])
		if err != nil {
			return err
		}
		if err := e.Confirm(c, "Clear the PIN of token %s%s", t.Serial, ofOwner(t)); err != nil {
			return err
		}
		cleared, err := r.ClearPIN(c.Context(), t.Serial, r.Reason(c))
		if err != nil {
			return err
		}
		next := nextLogin(cleared)
		if cleared.User == "" {
			next = "it has no owner"
		}
		return e.given(out, cleared, "PIN of token %s cleared; %s", cleared.Serial, next)
	})
	return cli.Destructive(out.Flag(r.Because(r.Completes(c, cli.Tokens))))
}

// ofOwner names the owner of a token, if it has one.
func ofOwner(t api.Token) string {
	if t.User == "" {
		return ""
	}
	return " of " + cli.Cell(t.User)
}

// tokenVerb returns a command whose only argument is a token.
func (e *commands) tokenVerb(verb, short, done string, do func(*client.Client, context.Context, string, api.CommandRequest) (api.Token, error)) *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	c := cli.Command(verb+" SERIAL", short, func(c *cobra.Command, args []string) error {
		t, err := onToken(c.Context(), r, args[0], func(serial string) (api.Token, error) {
			return do(r.Client, c.Context(), serial, r.Reason(c))
		})
		if err != nil {
			return err
		}
		e.Say("token %s %s", t.Serial, done)
		return out.Shown(e.Environment, t)
	})
	return out.Flag(r.Because(r.Completes(c, cli.Tokens)))
}

func tokenRows(tw *cli.Table, tokens ...api.Token) {
	tw.Row("SERIAL", "KIND", "USER", "STATE", "PIN", "DRIFT", "LAST USE")
	for _, t := range tokens {
		tw.Row(t.Serial, t.Kind, t.User, cli.InLocalTime(t.State), t.HasPIN, t.Drift, t.LastUse)
	}
}
