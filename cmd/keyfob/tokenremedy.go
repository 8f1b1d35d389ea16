package main

import (
	"net/http"
	"text/tabwriter"
	"time"

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

func (e *environment) tokenLost() *cobra.Command {
	r, out := e.remote(), &output{}
	var count int
	var fixed bool
	var lasts time.Duration
	var found string
	c := command("lost SERIAL", "Refuse a token that is lost, and give its owner emergency tokencodes", func(c *cobra.Command, args []string) error {
		var lost api.Emergency
		in := map[string]any{"reason": r.why(c), "fixed": fixed, "found": found}
		if c.Flags().Changed("tokencodes") {
			in["tokencodes"] = count
		}
		if c.Flags().Changed("for") {
			in["for_seconds"] = int(lasts / time.Second)
		}
		if err := r.call(c.Context(), http.MethodPost, at("tokens", args[0], "lost"), in, &lost); err != nil {
			return err
		}
		if len(lost.Tokencodes) == 0 {
			e.say("token %s is refused until it is found", lost.Serial)
		} else {
			e.say("token %s is refused; these tokencodes, shown this once, are typed after the PIN until %s:", lost.Serial, cell(&lost.Until))
		}
		return out.show(e.Out, lost, func(tw *tabwriter.Writer) {
			for _, code := range lost.Tokencodes {
				row(tw, code)
			}
		})
	})
	f := c.Flags()
	f.IntVar(&count, "tokencodes", 0, "how many emergency tokencodes, each good once; 0 for no emergency access (default: emergency.codes of the policy)")
	f.BoolVar(&fixed, "fixed", false, "one tokencode that is good until the end")
	durationVar(f, &lasts, "for", 0, "how long they are good (default: emergency.for of the policy)")
	f.StringVar(&found, "found", "refuse", "what the token's own tokencodes do meanwhile: refuse, allow, or after the emergency")
	return out.flag(r.because(c))
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
