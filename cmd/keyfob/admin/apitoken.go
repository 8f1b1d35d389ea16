package admin

import (
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
)

func (e *commands) apiTokenCommand() *cobra.Command {
	return e.Group("api-token", "API tokens: who may command", e.apiTokenIssue(), e.apiTokenList(),
		e.removal("revoke NAME", "End an API token", []string{"api-tokens"}, "End API token %s", "API token %s revoked"))
}

func (e *commands) apiTokenIssue() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var role string
	var ttl time.Duration
	c := cli.Command("issue NAME", "Make an API token, shown once", func(c *cobra.Command, args []string) error {
		var issued api.IssuedAPIToken
		in := map[string]any{"name": args[0], "role": role, "reason": r.Why(c)}
		if ttl > 0 {
			in["ttl_seconds"] = int(ttl / time.Second)
		}
		if err := r.Call(c.Context(), http.MethodPost, "/api-tokens", in, &issued); err != nil {
			return err
		}
		e.Say("API token %s with the role %s, shown only this once; put it into KEYFOB_TOKEN:", issued.Name, issued.Role)
		return out.Show(e.Out, issued, func(tw *tabwriter.Writer) { cli.Row(tw, issued.Token) })
	})
	c.Flags().StringVar(&role, "role", api.RoleAuditor, "`ROLE`: "+strings.Join(api.Roles(), ", "))
	cli.DurationVar(c.Flags(), &ttl, "ttl", 0, "how long it is good, such as 365d (default until revoked)")
	return out.Flag(r.Because(c))
}

func (e *commands) apiTokenList() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Flag(r.Flags(cli.Command("list", "List API tokens, without their secrets", func(c *cobra.Command, _ []string) error {
		tokens, err := cli.All[api.APIToken](c.Context(), r, "/api-tokens", nil)
		if err != nil {
			return err
		}
		return out.Show(e.Out, tokens, func(tw *tabwriter.Writer) {
			cli.Row(tw, "NAME", "ROLE", "ISSUED", "EXPIRES")
			for _, t := range tokens {
				cli.Row(tw, t.Name, t.Role, t.Issued, t.Expires)
			}
		})
	})))
}
