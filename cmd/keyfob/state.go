package main

import (
	"net/http"
	"net/url"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"keyfob/api"
)

func (e *environment) stateCommand() *cobra.Command {
	return e.group("state", "What the cluster knows, now and then", e.stateShow())
}

func (e *environment) stateShow() *cobra.Command {
	r, out := e.remote(), &output{}
	var when string
	c := command("show USER", "Show where a user stands, and the last refusals with their reason", func(c *cobra.Command, args []string) error {
		path := at("users", args[0], "state")
		if when != "" {
			path += "?" + url.Values{"at": {when}}.Encode()
		}
		var s api.UserState
		if err := r.call(c.Context(), http.MethodGet, path, nil, &s); err != nil {
			return err
		}
		return out.show(e.Out, s, func(tw *tabwriter.Writer) { stateRows(tw, s) })
	})
	c.Flags().StringVar(&when, "at", "", "a `SEQUENCE` number or an RFC 3339 time: the state then, folded from the journal")
	return out.flag(r.flags(c))
}

func stateRows(tw *tabwriter.Writer, s api.UserState) {
	row(tw, "AFTER EVENT", s.Sequence)
	row(tw, "TIME", s.Time)
	row(tw)
	userRows(tw, s.User)
	row(tw)
	tokenRows(tw, s.Tokens...)
	if c := s.Conversation; c != nil {
		row(tw)
		row(tw, "IS ASKED FOR", "TOKEN", "AT", "UNTIL")
		row(tw, c.Step, c.Serial, c.Door, c.Expires)
	}
	row(tw)
	row(tw, "REFUSED", "REASON", "REFERENCE", "TOKEN", "DOOR", "CLIENT", "FROM", "NODE")
	for _, f := range s.Refusals {
		row(tw, f.Time, f.Reason, f.Reference, f.Serial, f.Door, f.Client, f.SourceIP, f.Node)
	}
}
