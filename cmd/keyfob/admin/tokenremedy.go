package admin

import (
	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
)

func (e *commands) tokenTemporaryPIN() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	c := cli.Command("set-temporary-pin SERIAL", "Set a random PIN that must be changed at the first login", func(c *cobra.Command, args []string) error {
		return e.makeTemporaryPIN(c.Context(), r, out, args[0], r.Reason(c))
	})
	return out.Flag(r.Because(r.Completes(c, cli.Tokens)))
}

func (e *commands) tokenResync() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	c := cli.Command("resync SERIAL TOKENCODE NEXT", "Resynchronize a token by two consecutive tokencodes", func(c *cobra.Command, args []string) error {
		in := api.ResyncTokenRequest{CommandRequest: r.Reason(c), First: api.Secret(args[1]), Second: api.Secret(args[2])}
		t, err := onToken(c.Context(), r, args[0], func(serial string) (api.Token, error) {
			return r.ResyncToken(c.Context(), serial, in)
		})
		if err != nil {
			return err
		}
		if t.PeriodSeconds == 0 {
			e.Say("token %s resynchronized", t.Serial)
		} else {
			e.Say("token %s resynchronized; its clock is %d intervals off", t.Serial, t.Drift)
		}
		return out.Shown(e.Environment, t)
	})
	return out.Flag(r.Because(r.Completes(c, cli.Tokens)))
}

func (e *commands) tokenReplace() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var keep bool
	c := cli.Command("replace SERIAL NEW", "Replace a token; the old one works until the first login with the new one", func(c *cobra.Command, args []string) error {
		in := api.ReplaceTokenRequest{CommandRequest: r.Reason(c), Replacement: args[1]}
		if c.Flags().Changed("keep-pin") {
			in.KeepPIN = &keep
		}
		t, err := onToken(c.Context(), r, args[0], func(serial string) (api.GivenToken, error) {
			return r.ReplaceToken(c.Context(), serial, in)
		})
		if err != nil {
			return err
		}
		return e.given(out, t, "token %s assigned to %s; it replaces %s at its first login; %s", t.Serial, t.User, t.Replaces, nextLogin(t))
	})
	c.Flags().BoolVar(&keep, "keep-pin", false, "keep the PIN, or with =false do not (default: replace.keep_pin of the policy)")
	return out.Flag(r.Because(r.Completes(c, cli.Tokens, cli.UnassignedSerials)))
}
