// Package admin holds the commands by which administrators command a cluster:
// users, tokens, RADIUS clients, policy, the audit trail, the cluster's
// members. Each command is a request to a node's API and its answer put into
// words; no rule is decided here and no node runs here.
package admin

import (
	"github.com/spf13/cobra"

	"keyfob/cmd/keyfob/cli"
)

// commands make the commands, for one environment.
type commands struct{ *cli.Environment }

// Commands returns all administrative commands. Those of the group cluster that
// work on the files of a node are given, because they are no business of this
// package.
func Commands(e *cli.Environment, onFiles ...*cobra.Command) []*cobra.Command {
	c := &commands{e}
	cluster := c.clusterCommand()
	cluster.AddCommand(onFiles...)
	all := []*cobra.Command{
		cluster, c.userCommand(), c.tokenCommand(), c.clientCommand(), c.policyCommand(), c.auditCommand(), c.stateCommand(), c.apiTokenCommand(),
	}
	for _, group := range all {
		explain(group)
	}
	return all
}
