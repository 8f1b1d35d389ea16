package admin

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/api/client"
	"keyfob/cmd/keyfob/cli"
	"keyfob/events/journal"
)

func (e *commands) auditCommand() *cobra.Command {
	return e.Group("audit", "Read and verify the audit trail", e.auditTail(), e.auditShow(), e.auditVerify(), e.auditExport(), e.auditReaderCommand())
}

// tailing holds the flags of audit tail.
type tailing struct {
	since, until, format string
	query                api.ReadAuditQuery
	after                uint64
}

func (e *commands) auditTail() *cobra.Command {
	r := e.Remote()
	var o tailing
	c := cli.Command("tail", "Show events of the audit trail, as they happen with --follow", func(c *cobra.Command, _ []string) error {
		format, err := e.auditFormat(cmp.Or(o.format, e.usualFormat()))
		if err != nil {
			return err
		}
		if o.query.Since, err = e.Since(o.since); err != nil {
			return err
		}
		if o.until != "" {
			if o.query.Until, err = e.Past("--until", o.until); err != nil {
				return err
			}
		}
		if c.Flags().Changed("after") {
			o.query.From = o.after + 1
			if !c.Flags().Changed("since") {
				o.query.Since = time.Time{}
			}
		}
		if err := o.resolveToken(c.Context(), r); err != nil {
			return err
		}
		err = e.copyEvents(o.events(c.Context(), r), format)
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	})
	f := c.Flags()
	f.StringVar(&o.since, "since", "1h", "start at this `TIME`, or this long ago, such as 1h or 90d")
	f.StringVar(&o.until, "until", "", "end at this `TIME`, or this long ago")
	f.Uint64Var(&o.after, "after", 0, "start after the event with this number")
	f.BoolVarP(&o.query.Follow, "follow", "f", false, "wait for more events until interrupted")
	f.StringVar(&o.query.User, "user", "", "events of this `USER`")
	f.StringVar(&o.query.Serial, "token", "", "events of the token with this `SERIAL`")
	f.StringVar(&o.query.Actor, "actor", "", "commands of this administrator, as events name the `ACTOR`")
	f.StringVar(&o.query.Outcome, "outcome", "", "attempts with this `OUTCOME`: accept, reject or challenge")
	f.StringVar(&o.format, "format", "", "text, json, ocsf or cef (default text on a terminal, json elsewhere)")
	r.CompletesFlag(c, "user", cli.Users)
	r.CompletesFlag(c, "token", cli.Tokens)
	r.CompletesFlag(c, "outcome", cli.Of("accept", "reject", "challenge"))
	r.CompletesFlag(c, "format", cli.Of("text", "json", "ocsf", "cef"))
	return r.Flags(r.Completes(c))
}

// usualFormat returns the default format of events.
func (e *commands) usualFormat() string {
	if e.OnTerminal() {
		return "text"
	}
	return "json"
}

// resolveToken replaces a user's name by the serial of their token. A token that
// was deleted still has events.
func (o *tailing) resolveToken(ctx context.Context, r *cli.Remote) error {
	if o.query.Serial == "" {
		return nil
	}
	t, err := findToken(ctx, r, o.query.Serial)
	switch {
	case err == nil:
		o.query.Serial = t.Serial
	case !client.IsProblem(err, "not_found"):
		return err
	}
	return nil
}

// events returns the selected events. More roles may read the events of one user
// than the whole trail.
func (o tailing) events(ctx context.Context, r *cli.Remote) iter.Seq2[[]byte, error] {
	q := o.query
	ofUser := api.ReadUserAuditQuery{Since: q.Since, Until: q.Until, Follow: q.Follow}
	if q == (api.ReadAuditQuery{User: q.User, Since: q.Since, Until: q.Until, Follow: q.Follow}) && q.User != "" {
		return r.ReadUserAudit(ctx, q.User, ofUser)
	}
	return r.ReadAudit(ctx, q)
}

func (e *commands) auditExport() *cobra.Command {
	r := e.Remote()
	var from uint64
	c := cli.Command("export", "Write the audit trail, one JSON object per line, for keyfob audit verify and other programs", func(c *cobra.Command, _ []string) error {
		format, err := e.auditFormat("json")
		if err != nil {
			return err
		}
		return e.copyEvents(r.ReadAudit(c.Context(), api.ReadAuditQuery{From: from}), format)
	})
	c.Flags().Uint64Var(&from, "from", 1, "first sequence number")
	return r.Flags(c)
}

// copyEvents writes events in a format.
func (e *commands) copyEvents(all iter.Seq2[[]byte, error], format func([]byte) ([]byte, error)) error {
	for line, err := range all {
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

// verified is the result of audit verify.
type verified struct {
	Path        string `json:"path"`
	Whole       bool   `json:"whole"`
	Cluster     string `json:"cluster"`
	First       uint64 `json:"first"`
	Last        uint64 `json:"last"`
	Head        string `json:"head"`
	Checkpoints int    `json:"checkpoints"`
	FirstKey    string `json:"first_checkpoint_key,omitempty"`
	Key         string `json:"checkpoint_key,omitempty"` // at the end; each change is signed by the key before
	Broken      uint64 `json:"broken,omitempty"`
	Problem     string `json:"problem,omitempty"`
}

func (e *commands) auditVerify() *cobra.Command {
	out := &cli.Output{}
	return out.Flag(cli.Command("verify [DIR|FILE]", "Verify the hash chain of a data directory or an export; needs no running node", func(_ *cobra.Command, args []string) error {
		path := cli.JournalIn(append(args, e.Getenv("KEYFOB_DATA"), cli.DefaultData))
		report, err := journal.Verify(path, nil)
		if err != nil {
			return err
		}
		v := verified{
			Path: path, Whole: report.Broken == 0, Cluster: report.Cluster, First: report.First, Last: report.Last,
			Head: report.Head.String(), Checkpoints: report.Checkpoints, Broken: report.Broken, Problem: report.Problem,
			FirstKey: hex.EncodeToString(report.FirstKey), Key: hex.EncodeToString(report.Key),
		}
		if err := out.Show(e.Out, v, func(tw *cli.Table) {
			tw.Row("CLUSTER", v.Cluster)
			tw.Row("EVENTS", fmt.Sprintf("%d to %d", v.First, v.Last))
			tw.Row("HEAD", v.Head)
			tw.Row("CHECKPOINTS", v.Checkpoints)
			if v.Key != "" {
				tw.Row("FIRST KEY", v.FirstKey)
				tw.Row("LAST KEY", v.Key)
			}
		}); err != nil {
			return err
		}
		if !v.Whole {
			return fmt.Errorf("%s is broken at event %d: %s; keep it as evidence and compare it with the journal of another node", path, v.Broken, v.Problem)
		}
		e.Say("%s is intact from event %d to %d", path, v.First, v.Last)
		return nil
	}))
}
