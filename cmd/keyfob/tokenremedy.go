package main

import (
	"net/http"

	"github.com/spf13/cobra"

	"keyfob/api"
)

func (e *environment) tokenTemporaryPIN() *cobra.Command {
	r, out := e.remote(), &output{}
	return out.flag(r.because(command("set-temporary-pin SERIAL", "Make a PIN that its owner must change at the first use", func(c *cobra.Command, args []string) error {
		return e.makeTemporaryPIN(c.Context(), r, out, args[0], r.why(c))
	})))
}

func (e *environment) tokenResync() *cobra.Command {
	r, out := e.remote(), &output{}
	return out.flag(r.because(command("resync SERIAL TOKENCODE NEXT", "Put a token right by two tokencodes in a row, as its owner reads them out", func(c *cobra.Command, args []string) error {
		var t api.Token
		in := map[string]string{"reason": r.why(c), "first": args[1], "second": args[2]}
		if err := r.call(c.Context(), http.MethodPost, at("tokens", args[0], "resync"), in, &t); err != nil {
			return err
		}
		if t.PeriodSeconds == 0 {
			e.say("token %s is put right", t.Serial)
		} else {
			e.say("token %s is put right; its clock is %d intervals off", t.Serial, t.Drift)
		}
		return out.shown(e, t)
	})))
}

func (e *environment) tokenReplace() *cobra.Command {
	r, out := e.remote(), &output{}
	var keep bool
	c := command("replace SERIAL NEW", "Give a token's owner a new one, which takes its place at its first success", func(c *cobra.Command, args []string) error {
		var t api.GivenToken
		in := map[string]any{"reason": r.why(c), "replacement": args[1]}
		if c.Flags().Changed("keep-pin") {
			in["keep_pin"] = keep
		}
		if err := r.call(c.Context(), http.MethodPost, at("tokens", args[0], "replace"), in, &t); err != nil {
			return err
		}
		return e.given(out, t, "token %s belongs to %s, and takes the place of %s at its first success; %s", t.Serial, t.User, t.Replaces, nextLogin(t))
	})
	c.Flags().BoolVar(&keep, "keep-pin", false, "the PIN goes with it, or with =false does not (default: replace.keep_pin of the policy)")
	return out.flag(r.because(c))
}
