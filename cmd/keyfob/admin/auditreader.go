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

func (e *commands) auditReaderCommand() *cobra.Command {
	return e.Group("reader", "Readers: who may read the audit stream on NATS", e.auditReaderAdd(), e.auditReaderList(),
		e.removal("revoke NAME", "Revoke a reader's credentials and close its connections", []string{"audit", "readers"}, "Revoke audit reader %s", "audit reader %s revoked"))
}

func (e *commands) auditReaderAdd() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var ttl time.Duration
	c := cli.Command("add NAME", "Issue credentials to read the audit stream, shown once", func(c *cobra.Command, args []string) error {
		var issued api.IssuedAuditReader
		in := api.IssueAuditReaderRequest{
			CommandRequest: api.CommandRequest{Reason: r.Why(c)}, Name: args[0], TTLSeconds: int(ttl / time.Second),
		}
		if err := r.Call(c.Context(), http.MethodPost, "/audit/readers", in, &issued); err != nil {
			return err
		}
		e.Say("credentials of reader %s, valid until %s and shown only once; store them in a file of mode 0600:", issued.Name, cli.Cell(issued.Expires))
		return out.Show(e.Out, issued, func(tw *tabwriter.Writer) { fmt.Fprint(tw, issued.Credentials) })
	})
	cli.DurationVar(c.Flags(), &ttl, "ttl", 365*24*time.Hour, "lifetime of the credentials, up to 1825d")
	return out.Flag(r.Because(c))
}

func (e *commands) auditReaderList() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Flag(r.Flags(cli.Command("list", "List readers, without their credentials", func(c *cobra.Command, _ []string) error {
		readers, err := cli.All[api.AuditReader](c.Context(), r, "/audit/readers", nil)
		if err != nil {
			return err
		}
		return out.Show(e.Out, readers, func(tw *tabwriter.Writer) {
			cli.Row(tw, "NAME", "ISSUED", "BY", "EXPIRES", "KEY")
			for _, r := range readers {
				cli.Row(tw, r.Name, r.Issued, r.IssuedBy, r.Expires, r.Key)
			}
		})
	})))
}
