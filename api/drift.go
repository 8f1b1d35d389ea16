package api

import (
	"cmp"
	"context"
	"slices"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// TokenDrift is where a token's clock is and where it goes.
type TokenDrift struct {
	Serial  string       `json:"serial"`
	User    string       `json:"user,omitempty"`
	Kind    string       `json:"kind"`
	Drift   int64        `json:"drift" doc:"Intervals that the clock is believed to be off; less than 0: slow."`
	Small   int64        `json:"window_small" doc:"Intervals from there that are accepted."`
	LastUse *time.Time   `json:"last_use,omitempty"`
	History []DriftPoint `json:"history" doc:"Where the clock was seen each time that it had moved, the last few, oldest first."`
	Trend   *DriftTrend  `json:"trend,omitempty" doc:"Absent: less than three points, over less than a week, or the clock jumps about."`
}

// DriftPoint is where a token's clock was seen to be.
type DriftPoint struct {
	Time  *time.Time `json:"time"`
	Drift int64      `json:"drift"`
}

// DriftTrend is where a token's clock goes, by the line of least squares.
type DriftTrend struct {
	Points    int        `json:"points"`
	Days      float64    `json:"days" doc:"From the first point to the last."`
	PerDay    float64    `json:"intervals_a_day"`
	PPM       float64    `json:"ppm"`
	Leaves    *time.Time `json:"leaves,omitempty" doc:"When it will be outside the small window, unless a login comes before; absent: not in ten years."`
	HoldsDays float64    `json:"holds_days,omitempty" doc:"How long it may lie unused until then."`
}

// ListDriftingQuery limits the list of drifting tokens.
type ListDriftingQuery struct {
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most."`
}

func (a *API) drift() {
	register(a, route{get, "/drift", "list-drifting", "List tokens by how soon their clock leaves the small window, and those that are off by more than that", readers, 0}, a.listDrifting)
}

func (a *API) listDrifting(_ context.Context, in *ListDriftingQuery) (*answer[List[TokenDrift]], error) {
	policy := a.cfg.Node.State().Policy
	var worst []adrift
	keep := func(limit int) {
		slices.SortStableFunc(worst, adrift.compare)
		worst = worst[:min(limit, len(worst))]
	}
	a.cfg.Node.State().Tokens(func(t *engine.Token) bool {
		if one, ok := adriftOf(t, policy); ok {
			worst = append(worst, one)
		}
		if len(worst) >= 4*in.Limit { // so that a million tokens take no room
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

// adrift is a token whose clock will leave the small window, or is off by more
// than that reaches.
type adrift struct {
	token  *engine.Token
	leaves events.Time // zero: of no rate that is known
	off    int64       // intervals
}

func adriftOf(t *engine.Token, p engine.Policy) (adrift, bool) {
	one := adrift{token: t, off: max(t.Drift, -t.Drift)}
	if trend, ok := t.Trend(p); ok {
		one.leaves = trend.Leaves
	}
	return one, !one.leaves.IsZero() || t.Period != 0 && one.off > t.WindowIn(p).Small
}

// compare puts what leaves sooner first, and then what is further off.
func (a adrift) compare(b adrift) int {
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
