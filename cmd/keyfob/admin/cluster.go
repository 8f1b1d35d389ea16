package admin

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/api/client"
	"keyfob/cmd/keyfob/cli"
)

func (e *commands) clusterCommand() *cobra.Command {
	return e.Group("cluster", "Manage the cluster and its nodes",
		e.clusterInvite(),
		e.clusterApprove(),
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
	var approved bool
	c := cli.Command("invite NODE", "Print a one-time invitation for another node", func(c *cobra.Command, args []string) error {
		in := api.InviteNodeRequest{CommandRequest: r.Reason(c), Node: args[0], TTLSeconds: seconds(ttl), Approved: approved}
		invitation, err := r.InviteNode(c.Context(), in)
		if err != nil {
			return err
		}
		e.Say("valid for node %s until %s; on that machine: keyfob cluster join --config FILE, which asks for the invitation", args[0], cli.Cell(&invitation.Expires))
		return out.Show(e.Out, invitation, func(t *cli.Table) { fmt.Fprintln(t, invitation.Invitation) })
	})
	cli.DurationVar(c.Flags(), &ttl, "ttl", 0, "how long it is valid, at most 1h (default 15m)")
	c.Flags().BoolVar(&approved, "approved", false, "let the machine join without cluster approve")
	return out.Flag(r.Because(r.Completes(c, nil)))
}

// approved is the result of an approval or a refusal.
type approved struct {
	Node        string `json:"node"`
	Fingerprint string `json:"fingerprint,omitempty"`
	Approved    bool   `json:"approved"`
}

func (e *commands) clusterApprove() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var fingerprint string
	var refuse bool
	c := cli.Command("approve NODE", "Let a machine join after comparing the fingerprint of its keys", func(c *cobra.Command, args []string) error {
		if refuse {
			if fingerprint != "" {
				return cli.Usagef("--refuse takes no --fingerprint")
			}
			if err := r.RefuseJoin(c.Context(), args[0], r.Why(c)); err != nil {
				return err
			}
			e.Say("the invitation for node %s is void", args[0])
			return out.Shown(e.Environment, approved{Node: args[0]})
		}
		if fingerprint == "" {
			var err error
			if fingerprint, err = e.compared(c.Context(), r, args[0]); err != nil {
				return err
			}
		}
		in := api.ApproveJoinRequest{CommandRequest: r.Reason(c), Fingerprint: fingerprint}
		if err := r.ApproveJoin(c.Context(), args[0], in); err != nil {
			return err
		}
		e.Say("node %s may join", args[0])
		return out.Shown(e.Environment, approved{args[0], fingerprint, true})
	})
	c.Flags().StringVar(&fingerprint, "fingerprint", "", "the fingerprint that the machine shows; without it, the command shows the one received and asks")
	c.Flags().BoolVar(&refuse, "refuse", false, "refuse the machine, or withdraw the invitation that nobody has used")
	return out.Flag(r.Because(r.Completes(c, cli.Joining)))
}

// compared shows the fingerprint of a machine and asks whether it is the right one.
func (e *commands) compared(ctx context.Context, r *cli.Remote, node string) (string, error) {
	s, err := r.ClusterStatus(ctx)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(s.Joining, func(j api.Joining) bool { return j.Name == node })
	if i < 0 {
		return "", fmt.Errorf("no machine asks to join as node %s; see keyfob cluster status", node)
	}
	j := s.Joining[i]
	in, ok := e.Terminal()
	if !ok {
		return "", fmt.Errorf("not confirmed: node %s has the fingerprint %s; without a terminal, give --fingerprint", node, j.Fingerprint)
	}
	fmt.Fprintf(e.Err, "node         %s\naddress      %s\nfingerprint  %s\n", j.Name, j.Address, j.Fingerprint)
	return j.Fingerprint, e.Ask(in, "Does that machine show the same fingerprint")
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
			for _, j := range s.Joining {
				fmt.Fprintf(t, "%s at %s asks to join with fingerprint %s (%s); see keyfob cluster approve\n", j.Name, j.Address, j.Fingerprint, standing(j))
			}
			for _, n := range s.Nodes {
				if n.AuditError != "" {
					fmt.Fprintf(t, "%s: audit trail: %s\n", n.Name, n.AuditError)
				}
			}
		})
	})))
}

// standing is what a machine that asks to join waits for.
func standing(j api.Joining) string {
	if j.Approved {
		return "approved"
	}
	return "not approved, until " + cli.Cell(&j.Expires)
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
