package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/api/client"
)

// completionTimeout bounds how long a shell waits for names.
const completionTimeout = 2 * time.Second

// Names returns what an argument or a flag can be.
type Names func(context.Context, *client.Client) ([]string, error)

// Completes completes the arguments of a command, each with its own names. The
// names of a last argument that may be repeated apply to all that follow. After an
// error nothing is completed.
func (r *Remote) Completes(c *cobra.Command, names ...Names) *cobra.Command {
	many := strings.HasSuffix(c.Use, "…")
	c.ValidArgsFunction = func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		at := len(args)
		if many {
			at = min(at, len(names)-1)
		}
		if at >= len(names) || names[at] == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return r.complete(c.Context(), names[at], typed)
	}
	return c
}

// CompletesFlag completes the value of a flag.
func (r *Remote) CompletesFlag(c *cobra.Command, flag string, names Names) {
	err := c.RegisterFlagCompletionFunc(flag, func(c *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return r.complete(c.Context(), names, typed)
	})
	if err != nil {
		panic("keyfob: " + err.Error()) // the flag was added before
	}
}

func (r *Remote) complete(ctx context.Context, names Names, typed string) ([]string, cobra.ShellCompDirective) {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	all, err := names(ctx, r.Client)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all = slices.DeleteFunc(all, func(name string) bool { return !strings.HasPrefix(name, typed) })
	directive := cobra.ShellCompDirectiveNoFileComp
	if len(all) > 0 && strings.HasSuffix(all[0], "=") {
		directive |= cobra.ShellCompDirectiveNoSpace
	}
	return all, directive
}

// Of are names that are known beforehand.
func Of(names ...string) Names {
	return func(context.Context, *client.Client) ([]string, error) { return slices.Clone(names), nil }
}

// listed are the names of what a listing returns.
func listed[T any](list func(*client.Client, context.Context) ([]T, error), name func(T) string) Names {
	return func(ctx context.Context, c *client.Client) ([]string, error) {
		items, err := list(c, ctx)
		var names []string
		for _, one := range items {
			names = append(names, name(one))
		}
		return names, err
	}
}

// Names of what a cluster has.
var (
	Clients        = listed((*client.Client).ListClients, func(c api.Client) string { return c.Name })
	AuditReaders   = listed((*client.Client).ListAuditReaders, func(r api.AuditReader) string { return r.Name })
	APITokens      = listed((*client.Client).ListAPITokens, func(t api.APIToken) string { return t.Name })
	Approvals      = listed((*client.Client).ListApprovals, func(a api.Approval) string { return a.ID })
	Administrators = listed((*client.Client).ListAdministrators, func(a api.Administrator) string { return a.User })
	Sessions       = listed((*client.Client).ListSessions, func(s api.Session) string { return s.Session })
)

// Users are the names of all users.
func Users(ctx context.Context, c *client.Client) ([]string, error) {
	users, err := c.ListUsers(ctx, api.ListUsersQuery{})
	var names []string
	for _, u := range users {
		names = append(names, u.User)
	}
	return names, err
}

// UnassignedSerials are those of the tokens without an owner.
func UnassignedSerials(ctx context.Context, c *client.Client) ([]string, error) {
	tokens, err := c.ListTokens(ctx, api.ListTokensQuery{Unassigned: true})
	var names []string
	for _, t := range tokens {
		names = append(names, t.Serial)
	}
	return names, err
}

// Tokens are the serials of all tokens, and the users who can stand for theirs.
func Tokens(ctx context.Context, c *client.Client) ([]string, error) {
	tokens, err := c.ListTokens(ctx, api.ListTokensQuery{})
	if err != nil {
		return nil, err
	}
	var names []string
	owned := map[string]int{}
	for _, t := range tokens {
		names = append(names, t.Serial)
		owned[t.User]++
	}
	for user, n := range owned {
		if user != "" && n == 1 {
			names = append(names, user)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Nodes are the members of the cluster.
func Nodes(ctx context.Context, c *client.Client) ([]string, error) {
	status, err := c.ClusterStatus(ctx)
	var names []string
	for _, n := range status.Nodes {
		names = append(names, n.Name)
	}
	return names, err
}

// Joining are the nodes whose machines ask to join.
func Joining(ctx context.Context, c *client.Client) ([]string, error) {
	status, err := c.ClusterStatus(ctx)
	var names []string
	for _, j := range status.Joining {
		names = append(names, j.Name)
	}
	return names, err
}

// PolicyKeys are the keys of the policy.
func PolicyKeys(ctx context.Context, c *client.Client) ([]string, error) {
	p, err := c.ShowPolicy(ctx)
	var names []string
	for _, s := range p.Settings {
		names = append(names, s.Key)
	}
	return names, err
}

// PolicySettings are the keys of the policy as arguments of keyfob policy set.
func PolicySettings(ctx context.Context, c *client.Client) ([]string, error) {
	keys, err := PolicyKeys(ctx, c)
	for i := range keys {
		keys[i] += "="
	}
	return append(keys, "profile="), err
}
