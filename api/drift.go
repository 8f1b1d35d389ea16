package api

import (
	"cmp"
	"context"
	"slices"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// TokenDrift is the drift of a token's clock and its trend.
type TokenDrift struct {
	Serial  string       `json:"serial"`
	User    string       `json:"user,omitempty"`
	Kind    string       `json:"kind"`
	Drift   int64        `json:"drift" doc:"Estimated drift in intervals; less than 0: slow."`
	Small   int64        `json:"window_small" doc:"Small window, in intervals."`
	LastUse *time.Time   `json:"last_use,omitempty"`
	History []DriftPoint `json:"history" doc:"The last measured changes of the drift, oldest first."`
	Trend   *DriftTrend  `json:"trend,omitempty" doc:"Absent: fewer than three points, less than a week, or an irregular clock."`
}

// DriftPoint is a measured drift.
type DriftPoint struct {
	Time  *time.Time `json:"time"`
	Drift int64      `json:"drift"`
}

// DriftTrend is the linear trend of a token's drift, by least squares.
type DriftTrend struct {
	Points    int        `json:"points"`
	Days      float64    `json:"days" doc:"Days from the first point to the last."`
	PerDay    float64    `json:"intervals_a_day"`
	PPM       float64    `json:"ppm"`
	Leaves    *time.Time `json:"leaves,omitempty" doc:"When the clock leaves the small window, unless a login comes before; absent: not within ten years."`
	HoldsDays float64    `json:"holds_days,omitempty" doc:"How long the token can remain unused until then."`
}

// ListDriftingQuery limits the list of drifting tokens.
type ListDriftingQuery struct {
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Maximum number of tokens."`
}

func (a *API) drift() {
	register(a, route{get, "/drift", "list-drifting", "List tokens by how soon their clock leaves the small window, then those that are further off", readers, 0}, a.listDrifting)
}

func (a *API) listDrifting(_ context.Context, in *ListDriftingQuery) (*answer[List[TokenDrift]], error) {
	policy := a.cfg.Node.State().Policy
	var worst []driftingToken
	keep := func(limit int) {
		slices.SortStableFunc(worst, driftingToken.compare)
		worst = worst[:min(limit, len(worst))]
	}
	a.cfg.Node.State().Tokens(func(t *engine.Token) bool {
		if one, ok := driftingTokenOf(t, policy); ok {
			worst = append(worst, one)
		}
		if len(worst) >= 4*in.Limit { // bounds the memory
			keep(in.Limit)
		}
		return true
	})
	keep(in.Limit)
	list := List[TokenDrift]{Items: []TokenDrift{}}
	for _, one := range worst {
		list.Items = append(list.Items, viewDrift(one.token, policy))
	}
	return answered(list), nil
}

// driftingToken is a token whose clock will leave the small window, or is outside it.
type driftingToken struct {
	token  *engine.Token
	leaves events.Time // zero: the rate is unknown
	off    int64       // intervals
}

func driftingTokenOf(t *engine.Token, p engine.Policy) (driftingToken, bool) {
	one := driftingToken{token: t, off: max(t.Drift, -t.Drift)}
	if trend, ok := t.Trend(p); ok {
		one.leaves = trend.Leaves
	}
	return one, !one.leaves.IsZero() || t.Period != 0 && one.off > t.WindowIn(p).Small
}

// compare orders tokens by when they leave the window, then by how far off they are.
func (a driftingToken) compare(b driftingToken) int {
	if a.leaves.IsZero() != b.leaves.IsZero() {
		if a.leaves.IsZero() {
			return 1
		}
		return -1
	}
	return cmp.Or(cmp.Compare(a.leaves, b.leaves), cmp.Compare(b.off, a.off))
}

func viewDrift(t *engine.Token, p engine.Policy) TokenDrift {
	v := TokenDrift{
		Serial: t.Serial, User: t.User, Kind: t.Kind, Drift: t.Drift, Small: t.WindowIn(p).Small,
		LastUse: instant(t.LastUse), History: []DriftPoint{},
	}
	for _, seen := range t.Drifts {
		v.History = append(v.History, DriftPoint{Time: instant(seen.At), Drift: seen.Drift})
	}
	if trend, ok := t.Trend(p); ok {
		const day = 24 * time.Hour
		v.Trend = &DriftTrend{
			Points: trend.Points, Days: trend.Over.Hours() / day.Hours(), PerDay: trend.PerDay, PPM: trend.PPM,
			Leaves: instant(trend.Leaves), HoldsDays: trend.Holds.Hours() / day.Hours(),
		}
	}
	return v
}
