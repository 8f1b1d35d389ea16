package main

import (
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api"
)

func (e *environment) clusterCommand() *cobra.Command {
	return e.group("cluster", "The cluster: its nodes and who leads",
		e.clusterInit(),
		e.clusterInvite(),
		e.clusterJoin(),
		e.clusterStatus(),
		e.clusterTransfer(),
		e.removal("remove NODE", "Take a member away for good; stop the node first", []string{"cluster", "nodes"},
			"Take node %s away for good", "node %s is no member any more; its data directory is of no further use"),
		e.clusterBackup(),
		e.clusterRestore(),
	)
}

func (e *environment) clusterInvite() *cobra.Command {
	r, out := e.remote(), &output{}
	var ttl time.Duration
	c := command("invite", "Print a one-time invitation for another machine", func(c *cobra.Command, _ []string) error {
		var invitation api.Invitation
		in := map[string]any{"ttl_seconds": int(ttl / time.Second), "reason": r.why(c)}
		if err := r.call(c.Context(), http.MethodPost, "/cluster/invitations", in, &invitation); err != nil {
			return err
		}
		e.say("good for one machine until %s; on that machine: keyfob cluster join INVITATION --config FILE", cell(&invitation.Expires))
		return out.show(e.Out, invitation, func(tw *tabwriter.Writer) { fmt.Fprintln(tw, invitation.Invitation) })
	})
	durationVar(c.Flags(), &ttl, "ttl", time.Hour, "how long it is good")
	return out.flag(r.because(c))
}

func (e *environment) clusterStatus() *cobra.Command {
	r, out := e.remote(), &output{}
	return out.flag(r.flags(command("status", "Show the cluster", func(c *cobra.Command, _ []string) error {
		var s api.Status
		if err := r.call(c.Context(), http.MethodGet, "/cluster", nil, &s); err != nil {
			return err
		}
		return out.show(e.Out, s, func(tw *tabwriter.Writer) {
			row(tw, "NODE", "ADDRESS", "STATE", "VOTER", "LAST INDEX", "SEQUENCE", "CLOCK", "VERSION")
			for _, n := range s.Nodes {
				row(tw, n.Name, n.Address, n.State, n.Voter, n.LastIndex, n.Sequence, fmt.Sprintf("%+d ms", n.ClockOffsetMS), n.Version)
			}
		})
	})))
}

func (e *environment) clusterTransfer() *cobra.Command {
	r := e.remote()
	return r.because(command("transfer [NODE]", "Let another node lead", func(c *cobra.Command, args []string) error {
		in := map[string]string{"reason": r.why(c)}
		if len(args) == 1 {
			in["node"] = args[0]
		}
		if err := r.call(c.Context(), http.MethodPost, "/cluster/transfer", in, nil); err != nil {
			return err
		}
		e.say("leadership handed over")
		return nil
	}))
}
