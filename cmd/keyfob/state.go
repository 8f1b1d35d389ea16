package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

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
			then, err := e.then(when)
			if err != nil {
				return err
			}
			path += "?" + url.Values{"at": {then}}.Encode()
		}
		var s api.UserState
		if err := r.call(c.Context(), http.MethodGet, path, nil, &s); err != nil {
			return err
		}
		return out.show(e.Out, s, func(tw *tabwriter.Writer) { stateRows(tw, s) })
	})
	c.Flags().StringVar(&when, "at", "", "the number of an event, a `TIME` or a duration ago: the state then, folded from the journal")
	return out.flag(r.flags(c))
}

// then is a moment of the past as the API takes it.
func (e *environment) then(text string) (string, error) {
	if _, err := strconv.ParseUint(text, 10, 64); err == nil {
		return text, nil
	}
	t, ok := e.moment(text)
	switch {
	case !ok:
		return "", usagef("--at %q is neither the number of an event, nor a time like 2026-11-02 15:04:05, nor a duration ago like 5m", text)
	case t.After(e.Now()):
		return "", usagef("--at %q is yet to come", text)
	}
	return t.Format(time.RFC3339Nano), nil
}

func stateRows(tw *tabwriter.Writer, s api.UserState) {
	row(tw, s.User.User+": "+inLocalTime(s.Summary)+"; last success "+orNever(s.User.LastSuccess))
	if s.Next != "" {
		row(tw, "What to do: "+inLocalTime(s.Next)+".")
	}
	row(tw)
	userRows(tw, s.User)
	row(tw)
	budgetRows(tw, s.Budgets)
	if len(s.Tokens) > 0 {
		row(tw)
		tokenRows(tw, s.Tokens...)
	}
	if len(s.Drifts) > 0 {
		row(tw)
		clockRows(tw, s.Drifts)
	}
	if c := s.Conversation; c != nil {
		row(tw)
		row(tw, "IS ASKED FOR", "TOKEN", "AT", "UNTIL")
		row(tw, c.Step, c.Serial, c.Door, c.Expires)
	}
	if len(s.Refusals) > 0 {
		row(tw)
		row(tw, "REFUSED", "WHY", "SETTLED SINCE", "REFERENCE", "TOKEN", "THROUGH", "NODE")
		for _, f := range s.Refusals {
			row(tw, f.Time, inLocalTime(f.Words), f.Settled, f.Reference, f.Serial, through(f.Door, f.Client, f.SourceIP), f.Node)
		}
	}
	row(tw)
	row(tw, fmt.Sprintf("After event %d of %s.", s.Sequence, cell(s.Time)))
}

// budgetRows are a user's failures and what they led to.
func budgetRows(tw *tabwriter.Writer, budgets []api.FailureBudget) {
	row(tw, "FAILURES", "COUNT", "LEFT", "LOCKS", "LOCKED", "WAITS UNTIL")
	for _, b := range budgets {
		locked := "no"
		switch {
		case b.LockedUntil != nil:
			locked = "until " + cell(b.LockedUntil)
		case b.Locked:
			locked = "until unlocked"
		}
		row(tw, b.For(), b.Failures, b.Left, b.Locks, locked, b.WaitUntil)
	}
}
