package admin

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/api/client"
	"keyfob/cmd/keyfob/cli"
)

func (e *commands) auditReaderCommand() *cobra.Command {
	return e.Group("reader", "Manage readers of the audit stream on NATS", e.auditReaderAdd(), e.auditReaderList(), e.removal(removal{
		use: "revoke NAME", short: "Revoke a reader's credentials and close its connections",
		question: "Revoke audit reader %s", done: "audit reader %s revoked",
		remove: (*client.Client).RevokeAuditReader, names: cli.AuditReaders,
	}))
}

func (e *commands) auditReaderAdd() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var ttl time.Duration
	c := cli.Command("add NAME", "Issue credentials to read the audit stream, shown once", func(c *cobra.Command, args []string) error {
		issued, err := r.IssueAuditReader(c.Context(), api.IssueAuditReaderRequest{
			CommandRequest: r.Reason(c), Name: args[0], TTLSeconds: seconds(ttl),
		})
		if err != nil {
			return err
		}
		e.Say("credentials of reader %s, valid until %s and shown only once; store them in a file of mode 0600:", issued.Name, cli.Cell(issued.Expires))
		return out.Show(e.Out, issued, func(tw *cli.Table) { fmt.Fprint(tw, issued.Credentials) })
	})
	cli.DurationVar(c.Flags(), &ttl, "ttl", 365*24*time.Hour, "lifetime of the credentials, up to 1825d")
	return out.Flag(r.Because(r.Completes(c)))
}

func (e *commands) auditReaderList() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Listing(r.Flags(cli.Command("list", "List readers, without their credentials", func(c *cobra.Command, _ []string) error {
		readers, err := r.ListAuditReaders(c.Context())
		if err != nil {
			return err
		}
		return out.Show(e.Out, readers, func(tw *cli.Table) {
			tw.Row("NAME", "ISSUED", "BY", "NODE", "EXPIRES", "KEY")
			for _, r := range readers {
				tw.Row(r.Name, r.Issued, r.IssuedBy, r.Node, r.Expires, r.Key)
			}
		})
	})))
}
