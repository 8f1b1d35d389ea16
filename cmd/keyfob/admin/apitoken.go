package admin

import (
	"slices"
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
	var limits api.APITokenLimits
	c := cli.Command("issue NAME", "Issue an API token and show it once", func(c *cobra.Command, args []string) error {
		issued, err := r.IssueAPIToken(c.Context(), api.IssueAPITokenRequest{
			CommandRequest: r.Reason(c), Name: args[0], Role: role, APITokenLimits: limits, TTLSeconds: seconds(ttl),
		})
		if err != nil {
			return err
		}
		e.Say("API token %s with the role %s until %s, shown only once; put it into KEYFOB_TOKEN:", issued.Name, issued.Role, cli.Cell(issued.Expires))
		return out.Show(e.Out, issued, func(t *cli.Table) { t.Row(issued.Token) })
	})
	c.Flags().StringVar(&role, "role", api.RoleAuditor, "`ROLE`: "+strings.Join(api.Roles(), ", "))
	cli.DurationVar(c.Flags(), &ttl, "ttl", 0, "lifetime, at most 365d (default 90d, or as long as the API token in use)")
	c.Flags().StringSliceVar(&limits.Commands, "command", nil, "only these `OPERATIONS` of the API, such as list-*,show-user")
	c.Flags().StringSliceVar(&limits.Sites, "site", nil, "only at nodes of these `SITES`")
	c.Flags().StringSliceVar(&limits.From, "from", nil, "only from these `NETWORKS`, such as 192.0.2.0/24,2001:db8::1")
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
			t.Row("NAME", "ROLE", "STATE", "LIMITS", "USER", "LAST USE", "EXPIRES")
			for _, one := range tokens {
				t.Row(one.Name, one.Role, one.State, limitWords(one.APITokenLimits), one.User, one.Used, one.Expires)
			}
		})
	})))
}

// limitWords says what an API token is limited to.
func limitWords(l api.APITokenLimits) string {
	var all []string
	for name, list := range map[string][]string{"command": l.Commands, "site": l.Sites, "from": l.From} {
		if len(list) > 0 {
			all = append(all, name+"="+strings.Join(list, ","))
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}
