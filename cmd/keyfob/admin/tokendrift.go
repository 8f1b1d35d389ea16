package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
)

// listDrifting lists tokens by how soon their clock leaves the small window, and
// those that are outside it.
func (e *commands) listDrifting(ctx context.Context, r *cli.Remote, out *cli.Output) error {
	list, err := r.ListDrifting(ctx, api.ListDriftingQuery{Limit: 1000})
	if err != nil {
		return err
	}
	if len(list) == 0 && !out.JSON() {
		e.Say("no drifting tokens found")
		return nil
	}
	return out.Show(e.Out, list, func(tw *cli.Table) {
		tw.Row("SERIAL", "USER", "DRIFT", "PER DAY", "PPM", "IDLE LIMIT", "LEAVES WINDOW", "LAST USE")
		for _, d := range list {
			tw.Row(slices.Concat([]any{d.Serial, d.User, d.Drift}, trendCells(d), []any{d.LastUse})...)
		}
	})
}

// clockRows show the drift of a user's tokens and its trend.
func clockRows(tw *cli.Table, drifts []api.TokenDrift) {
	tw.Row("CLOCK OF", "DRIFT", "PER DAY", "PPM", "IDLE LIMIT", "LEAVES WINDOW", "WAS")
	for _, d := range drifts {
		tw.Row(slices.Concat([]any{d.Serial, d.Drift}, trendCells(d), []any{driftHistory(d)})...)
	}
}

// driftHistory lists the drift that was observed.
func driftHistory(d api.TokenDrift) string {
	var was []string
	for _, p := range d.History {
		was = append(was, fmt.Sprintf("%+d on %s", p.Drift, p.Time.Local().Format("2006-01-02")))
	}
	return strings.Join(was, ", ")
}

// trendCells show the trend of a clock: its rate, and how long the token may be
// idle before it leaves the small window.
func trendCells(d api.TokenDrift) []any {
	switch {
	case d.Trend == nil:
		return []any{"unknown", "unknown", "unknown", "unknown"}
	case d.Trend.Leaves == nil:
		return []any{perDay(d.Trend), ppm(d.Trend), mayRest(d.Trend), "not for years"}
	default:
		return []any{perDay(d.Trend), ppm(d.Trend), mayRest(d.Trend), d.Trend.Leaves}
	}
}

func perDay(t *api.DriftTrend) string { return fmt.Sprintf("%+.3f", t.PerDay) }

func ppm(t *api.DriftTrend) string { return fmt.Sprintf("%+.1f", t.PPM) }

func mayRest(t *api.DriftTrend) string {
	if t.Leaves == nil {
		return "years"
	}
	return fmt.Sprintf("%.0f days", t.HoldsDays)
}

func (e *commands) tokenZeroDrift() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	c := cli.Command("zero-drift SERIAL", "Reset the drift of a token to zero", func(c *cobra.Command, args []string) error {
		t, err := onToken(c.Context(), r, args[0], func(serial string) (api.Token, error) {
			return r.ZeroDrift(c.Context(), serial, r.Reason(c))
		})
		if err != nil {
			return err
		}
		e.Say("drift of token %s reset to zero", t.Serial)
		if t.AcceptedFrom != nil {
			e.Say("the tokencode of %s was used, so tokencodes are accepted again from %s; until then, keyfob token lost %s issues emergency tokencodes and keyfob token found %s ends them",
				cli.Cell(t.LastShown), cli.Cell(t.AcceptedFrom), t.Serial, t.Serial)
		}
		return out.Shown(e.Environment, t)
	})
	return out.Flag(r.Because(r.Completes(c, cli.Tokens)))
}
