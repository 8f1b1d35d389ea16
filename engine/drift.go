package engine

import (
	"math"
	"time"

	"keyfob/engine/tokencode"
	"keyfob/events"
)

const (
	trendPoints  = 3                         // the fewest points for a trend
	trendOver    = 7 * 24 * time.Hour        // the shortest time for a trend
	trendScatter = 1.0                       // intervals; a clock that scatters more has no rate
	trendReach   = 10 * 365 * 24 * time.Hour // the longest forecast
)

// Trend is the drift rate of a token's clock, as far as its logins show it: the
// least squares line through the observed drifts.
type Trend struct {
	Points  int           // observations
	Over    time.Duration // from the first observation to the last
	PerDay  float64       // intervals that the clock gains in a day; negative if it is slow
	PPM     float64       // the same in parts per million
	Scatter float64       // root mean square distance of the points from the line, in intervals
	// Leaves is when the clock will have moved further from where it was last seen
	// than the small window reaches. A login before then postpones it. Zero: not
	// within ten years.
	Leaves events.Time
	// Holds is how long the token may stay unused until then. Zero together with
	// Leaves.
	Holds time.Duration
}

// WindowIn returns the window of the token under a policy.
func (t *Token) WindowIn(p Policy) Window { return t.window(&p) }

// FormIn returns the form of the token under a policy.
func (t *Token) FormIn(p Policy) string { return t.form(&p) }

// PINSourceIn returns who makes a new PIN for the token under a policy.
func (t *Token) PINSourceIn(p Policy) PINSource { return t.pinSource(&p) }

// Trend returns the drift rate of the token's clock. It is zero without three
// observations over a week, and for a clock that scatters.
func (t *Token) Trend(p Policy) (Trend, bool) {
	seen := t.sightings()
	if len(seen) < trendPoints {
		return Trend{}, false
	}
	first, last := seen[0], seen[len(seen)-1]
	trend := Trend{Points: len(seen), Over: last.At.Sub(first.At)}
	if trend.Over < trendOver {
		return Trend{}, false
	}
	trend.PerDay, trend.Scatter = slope(seen)
	if trend.Scatter > trendScatter {
		return Trend{}, false
	}
	trend.PPM = trend.PerDay * float64(t.Period) / (24 * time.Hour).Seconds() * 1e6
	if days := float64(t.window(&p).Small) / math.Abs(trend.PerDay); days <= trendReach.Hours()/24 {
		trend.Holds = time.Duration(days * float64(24*time.Hour))
		trend.Leaves = last.At.Add(trend.Holds)
	}
	return trend, true
}

// sightings returns where the clock was seen, oldest first: the changes that
// are kept, and the last login if the clock had not moved.
func (t *Token) sightings() []Seen {
	if !t.timed() || len(t.Drifts) == 0 {
		return nil
	}
	last := t.Drifts[len(t.Drifts)-1]
	at := t.Last - tokencode.Interval(t.params(), t.LastUse.Std())
	if t.LastUse <= last.At || at != last.Drift {
		return t.Drifts
	}
	return append(t.Drifts[:len(t.Drifts):len(t.Drifts)], Seen{t.LastUse, at})
}

// slope returns the slope of the least squares line, in intervals per day, and
// the root mean square distance of the points from it.
func slope(points []Seen) (perDay, scatter float64) {
	n := float64(len(points))
	days := func(s Seen) float64 { return s.At.Sub(points[0].At).Hours() / 24 }
	var meanX, meanY float64
	for _, s := range points {
		meanX += days(s) / n
		meanY += float64(s.Drift) / n
	}
	var xx, xy, yy float64
	for _, s := range points {
		x, y := days(s)-meanX, float64(s.Drift)-meanY
		xx, xy, yy = xx+x*x, xy+x*y, yy+y*y
	}
	perDay = xy / xx // the points span at least a week
	return perDay, math.Sqrt(max(0, yy-perDay*xy) / n)
}
