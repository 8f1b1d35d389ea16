package admin

import (
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
)

func (e *commands) clusterCommand() *cobra.Command {
	return e.Group("cluster", "The cluster: its nodes and who leads",
		e.clusterInvite(),
		e.clusterStatus(),
		e.clusterTransfer(),
		e.removal("remove NODE", "Remove a node for good; if it is running, it stops by itself", []string{"cluster", "nodes"},
			"Take node %s away for good", "node %s is no member any more; its data directory is of no further use"),
		e.clusterBackup(),
	)
}

func (e *commands) clusterInvite() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var ttl time.Duration
	c := cli.Command("invite", "Print a one-time invitation for another machine", func(c *cobra.Command, _ []string) error {
		var invitation api.Invitation
		in := map[string]any{"ttl_seconds": int(ttl / time.Second), "reason": r.Why(c)}
		if err := r.Call(c.Context(), http.MethodPost, "/cluster/invitations", in, &invitation); err != nil {
			return err
		}
		e.Say("good for one machine until %s; on that machine: keyfob cluster join INVITATION --config FILE", cli.Cell(&invitation.Expires))
		return out.Show(e.Out, invitation, func(tw *tabwriter.Writer) { fmt.Fprintln(tw, invitation.Invitation) })
	})
	cli.DurationVar(c.Flags(), &ttl, "ttl", time.Hour, "how long it is good")
	return out.Flag(r.Because(c))
}

func (e *commands) clusterStatus() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Flag(r.Flags(cli.Command("status", "Show the cluster", func(c *cobra.Command, _ []string) error {
		var s api.Status
		if err := r.Call(c.Context(), http.MethodGet, "/cluster", nil, &s); err != nil {
			return err
		}
		return out.Show(e.Out, s, func(tw *tabwriter.Writer) {
			fmt.Fprintln(tw, s.Summary)
			cli.Row(tw, "NODE", "ADDRESS", "STATE", "VOTER", "LAST INDEX", "SEQUENCE", "CLOCK", "VERSION")
			for _, n := range s.Nodes {
				cli.Row(tw, n.Name, n.Address, n.State, n.Voter, n.LastIndex, n.Sequence, fmt.Sprintf("%+d ms", n.ClockOffsetMS), n.Version)
			}
		})
	})))
}

func (e *commands) clusterTransfer() *cobra.Command {
	r := e.Remote()
	return r.Because(cli.Command("transfer [NODE]", "Let another node lead", func(c *cobra.Command, args []string) error {
		in := map[string]string{"reason": r.Why(c)}
		if len(args) == 1 {
			in["node"] = args[0]
		}
		if err := r.Call(c.Context(), http.MethodPost, "/cluster/transfer", in, nil); err != nil {
			return err
		}
		e.Say("leadership handed over")
		return nil
	}))
}
