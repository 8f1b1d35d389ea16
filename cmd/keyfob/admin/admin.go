// Package admin has the administrative commands: users, tokens, RADIUS clients,
// policy, audit trail, administrators and cluster members. A command sends requests to the API of
// a node and prints the answers. It decides no rule, and it runs no node.
package admin

import (
	"github.com/spf13/cobra"

	"keyfob/cmd/keyfob/cli"
)

// commands builds the commands for an environment.
type commands struct{ *cli.Environment }

// Commands returns all administrative commands. The commands of the group cluster
// that work on the files of a node are passed in, because they need the node.
func Commands(e *cli.Environment, onFiles ...*cobra.Command) []*cobra.Command {
	c := &commands{e}
	cluster := c.clusterCommand()
	cluster.AddCommand(onFiles...)
	all := []*cobra.Command{
		cluster, c.userCommand(), c.tokenCommand(), c.clientCommand(), c.policyCommand(), c.auditCommand(), c.stateCommand(), c.apiTokenCommand(), c.approvalCommand(),
		c.administratorCommand(), c.loginCommand(), c.logoutCommand(),
	}
	for _, group := range all {
		explain(group)
	}
	return all
}
