package admin

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/api/client"
	"keyfob/cmd/keyfob/cli"
)

func (e *commands) clusterCommand() *cobra.Command {
	return e.Group("cluster", "Manage the cluster and its nodes",
		e.clusterInvite(),
		e.clusterStatus(),
		e.clusterTransfer(),
		e.clusterRotateKeys(),
		e.removal(removal{
			use: "remove NODE", short: "Remove a node for good; if it is running, it stops by itself",
			question: "Remove node %s for good", done: "node %s removed; its data directory is no longer of use",
			remove: (*client.Client).RemoveNode, names: cli.Nodes, then: e.warnExposed,
		}),
		e.clusterBackup(),
		e.recoveryKeyCommand(),
	)
}

func (e *commands) clusterInvite() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var ttl time.Duration
	c := cli.Command("invite", "Print a one-time invitation for another node", func(c *cobra.Command, _ []string) error {
		in := api.InviteNodeRequest{CommandRequest: r.Reason(c), TTLSeconds: seconds(ttl)}
		invitation, err := r.InviteNode(c.Context(), in)
		if err != nil {
			return err
		}
		e.Say("valid for one node until %s; on that machine: keyfob cluster join INVITATION --config FILE", cli.Cell(&invitation.Expires))
		return out.Show(e.Out, invitation, func(t *cli.Table) { fmt.Fprintln(t, invitation.Invitation) })
	})
	cli.DurationVar(c.Flags(), &ttl, "ttl", 0, "how long it is valid (default 1h)")
	return out.Flag(r.Because(c))
}

func (e *commands) clusterStatus() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Listing(r.Flags(cli.Command("status", "Show the nodes and the leader", func(c *cobra.Command, _ []string) error {
		s, err := r.ClusterStatus(c.Context())
		if err != nil {
			return err
		}
		return out.Show(e.Out, s, func(t *cli.Table) {
			fmt.Fprintln(t, s.Summary)
			t.Row("NODE", "ADDRESS", "STATE", "VOTER", "LAST INDEX", "SEQUENCE", "CLOCK", "AUDIT", "VERSION")
			for _, n := range s.Nodes {
				t.Row(n.Name, n.Address, n.State, n.Voter, n.LastIndex, n.Sequence, fmt.Sprintf("%+d ms", n.ClockOffsetMS), n.AuditState, n.Version)
			}
			for _, n := range s.Nodes {
				if n.AuditError != "" {
					fmt.Fprintf(t, "%s: audit trail: %s\n", n.Name, n.AuditError)
				}
			}
		})
	})))
}

func (e *commands) clusterTransfer() *cobra.Command {
	r := e.Remote()
	c := cli.Command("transfer [NODE]", "Hand leadership over to another node", func(c *cobra.Command, args []string) error {
		in := api.TransferLeadershipRequest{CommandRequest: r.Reason(c)}
		if len(args) == 1 {
			in.Node = args[0]
		}
		if err := r.TransferLeadership(c.Context(), in); err != nil {
			return err
		}
		if in.Node == "" {
			e.Say("leadership handed over")
		} else {
			e.Say("node %s leads", in.Node)
		}
		return nil
	})
	return r.Because(r.Completes(c, cli.Nodes))
}
