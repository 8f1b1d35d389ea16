package main

import (
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"keyfob/api"
)

func (e *environment) policyCommand() *cobra.Command {
	return e.group("policy", "The numbers of the rules", e.policyShow(), e.policySet())
}

func (e *environment) policyShow() *cobra.Command {
	r, out := e.remote(), &output{}
	return out.flag(r.flags(command("show", "Show the numbers of the rules", func(c *cobra.Command, _ []string) error {
		var p api.Policy
		if err := r.call(c.Context(), http.MethodGet, "/policy", nil, &p); err != nil {
			return err
		}
		return out.show(e.Out, p.Settings, func(tw *tabwriter.Writer) { policyRows(tw, p) })
	})))
}

func (e *environment) policySet() *cobra.Command {
	r, out := e.remote(), &output{}
	return out.flag(r.because(command("set KEY=VALUE…", "Change numbers of the rules, all or none", func(c *cobra.Command, args []string) error {
		settings := map[string]string{}
		for _, arg := range args {
			key, value, ok := strings.Cut(arg, "=")
			if !ok {
				return usagef("%q is not of the form KEY=VALUE", arg)
			}
			settings[key] = value
		}
		var p api.Policy
		in := map[string]any{"settings": settings, "reason": r.why(c)}
		if err := r.call(c.Context(), http.MethodPatch, "/policy", in, &p); err != nil {
			return err
		}
		e.say("policy changed: %s", strings.Join(args, " "))
		return out.shown(e, p.Settings)
	})))
}

func policyRows(tw *tabwriter.Writer, p api.Policy) {
	row(tw, "KEY", "VALUE", "DEFAULT", "BOUNDS", "MEANING")
	for _, s := range p.Settings {
		row(tw, s.Key, s.Value, s.Default, s.Bounds, s.Doc)
	}
}
