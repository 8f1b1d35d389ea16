package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"

	"keyfob/api"
)

// listDrifting lists tokens by how soon their clock leaves the small window.
func (e *environment) listDrifting(ctx context.Context, r *remote, out *output) error {
	var list api.List[api.TokenDrift]
	if err := r.call(ctx, http.MethodGet, "/drift?limit=1000", nil, &list); err != nil {
		return err
	}
	return out.show(e.Out, list.Items, func(tw *tabwriter.Writer) {
		row(tw, "SERIAL", "USER", "DRIFT", "A DAY", "PPM", "MAY REST", "LEAVES THE WINDOW", "LAST USE")
		for _, d := range list.Items {
			row(tw, d.Serial, d.User, d.Drift, perDay(d.Trend), ppm(d.Trend), mayRest(d.Trend), d.Trend.Leaves, d.LastUse)
		}
	})
}

// clockRows are where the clocks of a user's tokens are and where they go.
func clockRows(tw *tabwriter.Writer, drifts []api.TokenDrift) {
	row(tw, "CLOCK OF", "DRIFT", "A DAY", "PPM", "MAY REST", "LEAVES THE WINDOW", "WAS")
	for _, d := range drifts {
		var was []string
		for _, p := range d.History {
			was = append(was, fmt.Sprintf("%+d on %s", p.Drift, p.Time.Local().Format("2006-01-02")))
		}
		cells := []any{d.Serial, d.Drift, "unknown", "unknown", "unknown", "unknown", strings.Join(was, ", ")}
		if d.Trend != nil {
			cells[2], cells[3], cells[4], cells[5] = perDay(d.Trend), ppm(d.Trend), mayRest(d.Trend), d.Trend.Leaves
			if d.Trend.Leaves == nil {
				cells[5] = "not in years"
			}
		}
		row(tw, cells...)
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
