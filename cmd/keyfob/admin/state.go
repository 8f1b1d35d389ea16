package admin

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
)

func (e *commands) stateCommand() *cobra.Command {
	return e.Group("state", "Explain the state of a user", e.stateShow())
}

func (e *commands) stateShow() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var when string
	c := cli.Command("show USER", "Show what prevents a user's login, and the last refusals", func(c *cobra.Command, args []string) error {
		var query api.ShowStateQuery
		if when != "" {
			then, err := e.then(when)
			if err != nil {
				return err
			}
			query.At = then
		}
		s, err := r.ShowState(c.Context(), args[0], query)
		if err != nil {
			return err
		}
		return out.Show(e.Out, s, func(tw *cli.Table) { stateRows(tw, s) })
	})
	c.Flags().StringVar(&when, "at", "", "state after this event number, at this `TIME`, or this long ago")
	return out.Flag(r.Flags(r.Completes(c, cli.Users)))
}

// then returns a time in the past in the form of the API.
func (e *commands) then(text string) (string, error) {
	if _, err := strconv.ParseUint(text, 10, 64); err == nil {
		return text, nil
	}
	t, ok := e.Moment(text)
	switch {
	case !ok:
		return "", cli.Usagef("--at %q is neither an event number, nor a time like 2026-11-02 15:04:05, nor a duration like 5m", text)
	case t.After(e.Now()):
		return "", cli.Usagef("--at %q is in the future", text)
	}
	return t.Format(time.RFC3339Nano), nil
}

func stateRows(tw *cli.Table, s api.UserState) {
	tw.Row(s.User.User + ": " + cli.InLocalTime(s.Summary) + "; last success " + cli.OrNever(s.User.LastSuccess))
	if len(s.Steps) > 0 {
		tw.Row("What to do: " + cli.InLocalTime(whatToDo(s.Steps)) + ".")
	}
	tw.Row()
	userRows(tw, s.User)
	tw.Row()
	budgetRows(tw, s.Budgets)
	if len(s.Tokens) > 0 {
		tw.Row()
		tokenRows(tw, s.Tokens...)
	}
	if len(s.Drifts) > 0 {
		tw.Row()
		clockRows(tw, s.Drifts)
	}
	if c := s.Conversation; c != nil {
		tw.Row()
		tw.Row("WAITING FOR", "TOKEN", "AT", "UNTIL")
		tw.Row(c.Step, c.Serial, c.Door, c.Expires)
	}
	if len(s.Refusals) > 0 {
		tw.Row()
		tw.Row("REFUSED", "WHY", "SETTLED", "REFERENCE", "TOKEN", "THROUGH", "NODE")
		for _, f := range s.Refusals {
			tw.Row(f.Time, cli.InLocalTime(f.Words), f.Settled, f.Reference, f.Serial, through(f.Door, f.Client, f.SourceIP), f.Node)
		}
	}
	tw.Row()
	tw.Row(fmt.Sprintf("State after event %d at %s.", s.Sequence, cli.Cell(s.Time)))
}

// budgetRows show the failures of a user, and the locks.
func budgetRows(tw *cli.Table, budgets []api.FailureBudget) {
	tw.Row("FAILURES", "COUNT", "LEFT", "LOCKS", "LOCKED", "WAITS UNTIL")
	for _, b := range budgets {
		locked := "no"
		switch {
		case b.LockedUntil != nil:
			locked = "until " + cli.Cell(b.LockedUntil)
		case b.Locked:
			locked = "until unlocked"
		}
		tw.Row(b.For(), b.Failures, b.Left, b.Locks, locked, b.WaitUntil)
	}
}
