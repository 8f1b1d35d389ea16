package main

import (
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api"
)

func (e *environment) apiTokenCommand() *cobra.Command {
	return e.group("api-token", "API tokens: who may command", e.apiTokenIssue(), e.apiTokenList(),
		e.removal("revoke NAME", "End an API token", []string{"api-tokens"}, "End API token %s", "API token %s revoked"))
}

func (e *environment) apiTokenIssue() *cobra.Command {
	r, out := e.remote(), &output{}
	var role string
	var ttl time.Duration
	c := command("issue NAME", "Make an API token, shown once", func(c *cobra.Command, args []string) error {
		var issued api.IssuedAPIToken
		in := map[string]any{"name": args[0], "role": role, "reason": r.why(c)}
		if ttl > 0 {
			in["ttl_seconds"] = int(ttl / time.Second)
		}
		if err := r.call(c.Context(), http.MethodPost, "/api-tokens", in, &issued); err != nil {
			return err
		}
		e.say("API token %s with the role %s, shown only this once; put it into KEYFOB_TOKEN:", issued.Name, issued.Role)
		return out.show(e.Out, issued, func(tw *tabwriter.Writer) { row(tw, issued.Token) })
	})
	c.Flags().StringVar(&role, "role", api.RoleAuditor, "`ROLE`: admin, helpdesk, auditor, or login for an application that asks for logins")
	durationVar(c.Flags(), &ttl, "ttl", 0, "how long it is good, such as 365d (default until revoked)")
	return out.flag(r.because(c))
}

func (e *environment) apiTokenList() *cobra.Command {
	r, out := e.remote(), &output{}
	return out.flag(r.flags(command("list", "List API tokens, without their secrets", func(c *cobra.Command, _ []string) error {
		tokens, err := all[api.APIToken](c.Context(), r, "/api-tokens", nil)
		if err != nil {
			return err
		}
		return out.show(e.Out, tokens, func(tw *tabwriter.Writer) {
			row(tw, "NAME", "ROLE", "ISSUED", "EXPIRES")
			for _, t := range tokens {
				row(tw, t.Name, t.Role, t.Issued, t.Expires)
			}
		})
	})))
}
