package admin

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
)

func (e *commands) approvalCommand() *cobra.Command {
	return e.Group("approval", "Decide on commands that wait for a second administrator",
		e.approvalList(), e.approvalShow(), e.approvalApprove(), e.approvalRefuse())
}

func (e *commands) approvalList() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Listing(r.Flags(cli.Command("list", "List the commands that wait, the oldest first", func(c *cobra.Command, _ []string) error {
		all, err := r.ListApprovals(c.Context())
		if err != nil {
			return err
		}
		return out.Show(e.Out, all, func(t *cli.Table) {
			t.Row("APPROVAL", "STATE", "REQUESTER", "COMMAND", "REASON", "UNTIL")
			for _, a := range all {
				t.Row(a.ID, a.State, a.Requester, a.Command, a.Reason, a.Expires)
			}
		})
	})))
}

func (e *commands) approvalShow() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Flag(r.Flags(r.Completes(cli.Command("show ID", "Show what a command that waits would do, who asked for it, and why", func(c *cobra.Command, args []string) error {
		a, err := r.ShowApproval(c.Context(), args[0])
		if err != nil {
			return err
		}
		return out.Show(e.Out, a, func(t *cli.Table) { approvalRows(t, a) })
	}), cli.Approvals)))
}

func approvalRows(t *cli.Table, a api.Approval) {
	t.Row("approval", a.ID)
	t.Row("state", a.State)
	for _, line := range a.Summary {
		t.Row("would", line)
	}
	t.Row("command", a.Command)
	t.Row("groups", strings.Join(a.Groups, ", "))
	t.Row("requester", a.Requester)
	t.Row("reason", a.Reason)
	t.Row("from", strings.TrimSpace(fmt.Sprintf("node %s %s", a.Node, a.SourceIP)))
	t.Row("requested", a.Requested)
	t.Row("until", a.Expires)
	if a.Approver != "" {
		t.Row("approver", a.Approver)
	}
}

func (e *commands) approvalApprove() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	c := cli.Command("approve ID", "Approve a command that another administrator requested, and carry it out", func(c *cobra.Command, args []string) error {
		a, err := r.ApproveCommand(c.Context(), args[0], r.Why(c))
		if err != nil {
			return err
		}
		if a.Command == "take_backup" {
			e.Say("approved; %s can take the backup until %s", a.Requester, cli.Cell(a.Expires))
		} else {
			e.Say("approved and carried out: %s", strings.Join(a.Summary, "; "))
		}
		return out.Shown(e.Environment, a)
	})
	return out.Flag(r.Because(r.Completes(c, cli.Approvals)))
}

// refusedApproval is the result of approval refuse.
type refusedApproval struct {
	ID      string `json:"approval"`
	Refused bool   `json:"refused"`
}

func (e *commands) approvalRefuse() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	c := cli.Command("refuse ID", "Refuse a command that waits, or withdraw your own", func(c *cobra.Command, args []string) error {
		if err := r.RefuseCommand(c.Context(), args[0], r.Why(c)); err != nil {
			return err
		}
		e.Say("%s refused", args[0])
		return out.Shown(e.Environment, refusedApproval{args[0], true})
	})
	return out.Flag(r.Because(r.Completes(c, cli.Approvals)))
}
