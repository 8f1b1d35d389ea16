package admin

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
	"keyfob/events/journal"
)

func (e *commands) auditCommand() *cobra.Command {
	return e.Group("audit", "The audit trail: what happened, in order", e.auditTail(), e.auditShow(), e.auditVerify(), e.auditExport(), e.auditReaderCommand())
}

func (e *commands) auditTail() *cobra.Command {
	r := e.Remote()
	var since, format string
	var follow bool
	c := cli.Command("tail", "Show events as they happen, one JSON object a line", func(c *cobra.Command, _ []string) error {
		from, err := e.Since(since)
		if err != nil {
			return err
		}
		write, err := auditFormat(format)
		if err != nil {
			return err
		}
		err = e.copyAudit(c.Context(), r, api.ReadAuditQuery{Since: from, Follow: follow}, write)
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	})
	f := c.Flags()
	f.StringVar(&since, "since", "1h", "how far back: a `TIME`, or a duration such as 1h or 90d")
	f.BoolVarP(&follow, "follow", "f", false, "wait for more, until interrupted")
	f.StringVar(&format, "format", "json", "of an event: json as on the stream, ocsf, or cef")
	return r.Flags(c)
}

func (e *commands) auditExport() *cobra.Command {
	r := e.Remote()
	var from uint64
	c := cli.Command("export", "Write the audit trail, one JSON object a line, for keyfob audit verify and others", func(c *cobra.Command, _ []string) error {
		write, err := auditFormat("json")
		if err != nil {
			return err
		}
		return e.copyAudit(c.Context(), r, api.ReadAuditQuery{From: from}, write)
	})
	c.Flags().Uint64Var(&from, "from", 1, "the first sequence number")
	return r.Flags(c)
}

// copyAudit writes the events that a query selects, each as format has it.
func (e *commands) copyAudit(ctx context.Context, r *cli.Remote, query api.ReadAuditQuery, format func([]byte) ([]byte, error)) error {
	for line, err := range r.ReadAudit(ctx, query) {
		if err != nil {
			return err
		}
		text, err := format(line)
		if err != nil {
			return err
		}
		if _, err := e.Out.Write(text); err != nil {
			return fmt.Errorf("writing events: %w", err)
		}
	}
	return nil
}

// verified is what audit verify answers.
type verified struct {
	Path        string `json:"path"`
	Whole       bool   `json:"whole"`
	Cluster     string `json:"cluster"`
	First       uint64 `json:"first"`
	Last        uint64 `json:"last"`
	Head        string `json:"head"`
	Checkpoints int    `json:"checkpoints"`
	Broken      uint64 `json:"broken,omitempty"`
	Problem     string `json:"problem,omitempty"`
}

func (e *commands) auditVerify() *cobra.Command {
	out := &cli.Output{}
	return out.Flag(cli.Command("verify [DIR|FILE]", "Check the chain of a data directory or of an export; it needs no running node", func(_ *cobra.Command, args []string) error {
		path := cli.JournalIn(append(args, e.Getenv("KEYFOB_DATA"), cli.DefaultData))
		report, err := journal.Verify(path, nil)
		if err != nil {
			return err
		}
		v := verified{
			Path: path, Whole: report.Broken == 0, Cluster: report.Cluster, First: report.First, Last: report.Last,
			Head: report.Head.String(), Checkpoints: report.Checkpoints, Broken: report.Broken, Problem: report.Problem,
		}
		if err := out.Show(e.Out, v, func(tw *cli.Table) {
			tw.Row("CLUSTER", v.Cluster)
			tw.Row("EVENTS", fmt.Sprintf("%d to %d", v.First, v.Last))
			tw.Row("HEAD", v.Head)
			tw.Row("CHECKPOINTS", v.Checkpoints)
		}); err != nil {
			return err
		}
		if !v.Whole {
			return fmt.Errorf("%s is broken at event %d: %s; keep it as evidence, and compare with another node's", path, v.Broken, v.Problem)
		}
		e.Say("%s is whole from event %d to %d", path, v.First, v.Last)
		return nil
	}))
}
