package admin

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
	"keyfob/events"
)

func (e *commands) auditShow() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Flag(r.Flags(cli.Command("show REFERENCE", "Explain a reference that a user reads out: who, when, why, and what to do", func(c *cobra.Command, args []string) error {
		if !events.IsReference(events.CanonicalReference(args[0])) {
			return cli.Usagef("%q is not a reference; a reference has eight letters and digits, such as 7K3M-QX4P", args[0])
		}
		report, err := r.ShowReference(c.Context(), args[0])
		if err != nil {
			return err
		}
		return out.Show(e.Out, report, func(tw *cli.Table) { referenceRows(tw, report) })
	})))
}

// referenceRows show a reference on one screen.
func referenceRows(tw *cli.Table, r api.ReferenceReport) {
	tw.Row("REFERENCE", r.Reference)
	tw.Row("WHEN", r.Time)
	for _, one := range [][2]string{{"BY", r.Actor}, {"NOTE", r.Note}, {"USER", whose(r)}, {"TOKEN", r.Serial}} {
		if one[1] != "" {
			tw.Row(one[0], one[1])
		}
	}
	tw.Row("THROUGH", through(r.Door, r.Client, r.SourceIP))
	tw.Row("AT NODE", strings.TrimSpace(r.Node+" "+r.Site))
	tw.Row("WHAT", cli.InLocalTime(r.Words))
	if len(r.Steps) > 0 {
		tw.Row("WHAT TO DO", cli.InLocalTime(whatToDo(r.Steps)))
	}
	if r.Known {
		state := "nothing prevents a login"
		if len(r.Now) > 0 {
			state = cli.InLocalTime(strings.Join(r.Now, "; "))
		}
		tw.Row("NOW", state)
		tw.Row("LAST SUCCESS", cli.OrNever(r.Success))
	}
	tw.Row()
	tw.Row("EVENT", "NAME", "MEANING")
	for _, one := range r.Events {
		tw.Row(one.Sequence, one.Name, cli.InLocalTime(one.Words))
	}
}

// whose names the user of a reference.
func whose(r api.ReferenceReport) string {
	switch {
	case r.User == "" && r.Actor == "":
		return "unknown user; the audit trail does not record the name"
	case r.User != "" && !r.Known:
		return r.User + ", who was deleted"
	}
	return r.User
}

// through describes how an attempt arrived.
func through(door, client, source string) string {
	words := []string{map[string]string{"radius": "RADIUS", "web": "the page", "api": "the API"}[door]}
	if words[0] == "" {
		words[0] = door
	}
	if client != "" {
		words = append(words, "client "+client)
	}
	if source != "" {
		words = append(words, fmt.Sprintf("from %s", source))
	}
	return strings.Join(words, ", ")
}
