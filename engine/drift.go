package engine

import (
	"math"
	"time"

	"keyfob/engine/tokencode"
	"keyfob/events"
)

const (
	trendPoints  = 3                         // from fewer nothing is claimed
	trendOver    = 7 * 24 * time.Hour        // nor over less
	trendScatter = 1.0                       // intervals; a clock that jumps about more has no rate
	trendReach   = 10 * 365 * 24 * time.Hour // nothing is foretold beyond
)

// Trend is where a token's clock goes, as far as its logins tell: the line of
// least squares through where the clock was seen.
type Trend struct {
	Points  int           // of the history
	Over    time.Duration // from the first to the last of them
	PerDay  float64       // intervals that the clock gains in a day; less than 0 when it is slow
	PPM     float64       // the same as a millionth of the time
	Scatter float64       // intervals that the points lie off the line, root mean square
	// Leaves is when the clock will be further from where it was last seen than
	// the small window reaches; a login before that puts it off. Zero: not
	// within ten years.
	Leaves events.Time
	// Holds is how long the token may lie unused until then; zero with Leaves.
	Holds time.Duration
}

// WindowIn is the window of the token under a policy.
func (t *Token) WindowIn(p Policy) Window { return t.window(&p) }

// FormIn is the form of the token under a policy.
func (t *Token) FormIn(p Policy) string { return t.form(&p) }

// PINSourceIn is who makes a new PIN for the token under a policy.
func (t *Token) PINSourceIn(p Policy) PINSource { return t.pinSource(&p) }

// Trend is where the token's clock goes. Without three points over a week, and
// of a clock that jumps about, it claims nothing.
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

// sightings are where the token's clock was seen, oldest first: the moves that
// are remembered, and the last login when it found the clock unmoved.
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

// slope is that of the line of least squares, in intervals a day, and how far
// the points lie off it, as root mean square.
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
	perDay = xy / xx // at least a week lies between two of them
	return perDay, math.Sqrt(max(0, yy-perDay*xy) / n)
}
