package admin

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/api/client"
	"keyfob/cmd/keyfob/cli"
)

func (e *commands) apiTokenCommand() *cobra.Command {
	return e.Group("api-token", "Manage API tokens", e.apiTokenIssue(), e.apiTokenList(), e.removal(removal{
		use: "revoke NAME", short: "Revoke an API token",
		question: "Revoke API token %s", done: "API token %s revoked",
		remove: (*client.Client).RevokeAPIToken, names: cli.APITokens,
	}))
}

func (e *commands) apiTokenIssue() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var role string
	var ttl time.Duration
	c := cli.Command("issue NAME", "Issue an API token and show it once", func(c *cobra.Command, args []string) error {
		issued, err := r.IssueAPIToken(c.Context(), api.IssueAPITokenRequest{
			CommandRequest: r.Reason(c), Name: args[0], Role: role, TTLSeconds: seconds(ttl),
		})
		if err != nil {
			return err
		}
		e.Say("API token %s with the role %s, shown only once; put it into KEYFOB_TOKEN:", issued.Name, issued.Role)
		return out.Show(e.Out, issued, func(t *cli.Table) { t.Row(issued.Token) })
	})
	c.Flags().StringVar(&role, "role", api.RoleAuditor, "`ROLE`: "+strings.Join(api.Roles(), ", "))
	cli.DurationVar(c.Flags(), &ttl, "ttl", 0, "lifetime, such as 365d (default until revoked)")
	r.CompletesFlag(c, "role", cli.Of(api.Roles()...))
	return out.Flag(r.Because(r.Completes(c)))
}

func (e *commands) apiTokenList() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Listing(r.Flags(cli.Command("list", "List API tokens, without their secrets", func(c *cobra.Command, _ []string) error {
		tokens, err := r.ListAPITokens(c.Context())
		if err != nil {
			return err
		}
		return out.Show(e.Out, tokens, func(t *cli.Table) {
			t.Row("NAME", "ROLE", "ISSUED", "EXPIRES")
			for _, one := range tokens {
				t.Row(one.Name, one.Role, one.Issued, one.Expires)
			}
		})
	})))
}
