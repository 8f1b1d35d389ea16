package admin

import (
	"net/http"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
)

func (e *commands) tokenTemporaryPIN() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Flag(r.Because(cli.Command("set-temporary-pin SERIAL", "Make a PIN that its owner must change at the first use", func(c *cobra.Command, args []string) error {
		return e.makeTemporaryPIN(c.Context(), r, out, args[0], r.Why(c))
	})))
}

func (e *commands) tokenResync() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Flag(r.Because(cli.Command("resync SERIAL TOKENCODE NEXT", "Put a token right by two tokencodes in a row, as its owner reads them out", func(c *cobra.Command, args []string) error {
		var t api.Token
		in := map[string]string{"reason": r.Why(c), "first": args[1], "second": args[2]}
		if err := r.Call(c.Context(), http.MethodPost, cli.At("tokens", args[0], "resync"), in, &t); err != nil {
			return err
		}
		if t.PeriodSeconds == 0 {
			e.Say("token %s is put right", t.Serial)
		} else {
			e.Say("token %s is put right; its clock is %d intervals off", t.Serial, t.Drift)
		}
		return out.Shown(e.Environment, t)
	})))
}

func (e *commands) tokenReplace() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var keep bool
	c := cli.Command("replace SERIAL NEW", "Give a token's owner a new one, which takes its place at its first success", func(c *cobra.Command, args []string) error {
		var t api.GivenToken
		in := map[string]any{"reason": r.Why(c), "replacement": args[1]}
		if c.Flags().Changed("keep-pin") {
			in["keep_pin"] = keep
		}
		if err := r.Call(c.Context(), http.MethodPost, cli.At("tokens", args[0], "replace"), in, &t); err != nil {
			return err
		}
		return e.given(out, t, "token %s belongs to %s, and takes the place of %s at its first success; %s", t.Serial, t.User, t.Replaces, nextLogin(t))
	})
	c.Flags().BoolVar(&keep, "keep-pin", false, "the PIN goes with it, or with =false does not (default: replace.keep_pin of the policy)")
	return out.Flag(r.Because(c))
}
