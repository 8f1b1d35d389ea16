package engine_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"keyfob/engine"
	"keyfob/engine/tokencode"
	"keyfob/events"
)

var began = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// drifting returns a fob whose clock was observed on some days.
func drifting(points ...[2]float64) *engine.Token {
	t := &engine.Token{Serial: "a1", Kind: "totp", Period: 60, Digits: 6, Form: engine.FormFob}
	for _, p := range points {
		at := events.At(began.Add(time.Duration(p[0] * float64(24*time.Hour))))
		t.Drift = int64(p[1])
		t.Drifts = append(t.Drifts, engine.Seen{At: at, Drift: t.Drift})
	}
	return t
}

func TestTrendNeedsEnoughObservations(t *testing.T) {
	for name, token := range map[string]*engine.Token{
		"never seen elsewhere": drifting(),
		"two points":           drifting([2]float64{0, 0}, [2]float64{60, -2}),
		"less than a week":     drifting([2]float64{0, 0}, [2]float64{3, -1}, [2]float64{6.9, -2}),
		"jumps about":          drifting([2]float64{0, 0}, [2]float64{10, -5}, [2]float64{20, 4}, [2]float64{30, -5}),
		"an event token":       {Serial: "h1", Kind: "hotp", Drifts: drifting([2]float64{0, 0}, [2]float64{30, 1}, [2]float64{60, 2}).Drifts},
	} {
		if trend, ok := token.Trend(engine.DefaultPolicy()); ok {
			t.Errorf("%s: claims %+v", name, trend)
		}
	}
}

func TestTrendIsTheLineThroughTheObservations(t *testing.T) {
	token := drifting([2]float64{0, 0}, [2]float64{30, -1}, [2]float64{60, -2}, [2]float64{90, -3})
	trend, ok := token.Trend(engine.DefaultPolicy())
	if !ok || trend.Points != 4 || trend.Over != 90*24*time.Hour {
		t.Fatalf("%+v, %v", trend, ok)
	}
	// An interval of 60 s in 30 days: 2 s a day, 23 ppm.
	if math.Abs(trend.PerDay+1./30) > 1e-9 || math.Abs(trend.PPM+23.148) > 0.001 || trend.Scatter > 1e-9 {
		t.Errorf("%+v", trend)
	}
	// The small window is one interval: 30 days after the last observation.
	if want := events.At(began.AddDate(0, 0, 120)); trend.Leaves.Sub(want).Abs() > time.Second || trend.Holds.Round(time.Hour) != 30*24*time.Hour {
		t.Errorf("leaves %v after %v, want %v", trend.Leaves.Std(), trend.Holds, want.Std())
	}
	token.Window = engine.Window{Small: 3, Medium: 3, Large: 3}
	if wide, _ := token.Trend(engine.DefaultPolicy()); wide.Holds.Round(time.Hour) != 90*24*time.Hour {
		t.Errorf("a window of its own is not counted: %v", wide.Holds)
	}
}

func TestLoginThatFindsTheClockUnmovedCounts(t *testing.T) {
	token := drifting([2]float64{0, 0}, [2]float64{10, 1}, [2]float64{20, 2})
	fast, _ := token.Trend(engine.DefaultPolicy())
	at := began.AddDate(0, 0, 60)
	token.LastUse = events.At(at)
	token.Last = tokencode.Interval(tokencode.Params{Period: time.Minute}, at) + 2
	slower, ok := token.Trend(engine.DefaultPolicy())
	if !ok || slower.Points != 4 || slower.PerDay >= fast.PerDay/2 {
		t.Errorf("%+v, before %+v", slower, fast)
	}
	token.Last++ // a tokencode whose drift was not believed
	if again, _ := token.Trend(engine.DefaultPolicy()); again != fast {
		t.Errorf("%+v, want %+v", again, fast)
	}
}

func TestSteadyClockIsFarFromLeaving(t *testing.T) {
	trend, ok := drifting([2]float64{0, 1}, [2]float64{30, 1}, [2]float64{60, 1}).Trend(engine.DefaultPolicy())
	if !ok || trend.PerDay != 0 || !trend.Leaves.IsZero() || trend.Holds != 0 {
		t.Errorf("%+v, %v", trend, ok)
	}
}

// The trend of a clock with a steady rate is that rate, within the precision of
// whole intervals, also if the logins are irregular.
func TestTrendFindsTheRateOfAClock(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		perDay := rapid.Float64Range(-0.5, 0.5).Draw(r, "intervals a day")
		day, token := 0.0, drifting()
		for range rapid.IntRange(3, 8).Draw(r, "logins") {
			day += rapid.Float64Range(20, 90).Draw(r, "days between")
			next := drifting([2]float64{day, math.Round(perDay * day)})
			token.Drifts = append(token.Drifts, next.Drifts...)
		}
		trend, ok := token.Trend(engine.DefaultPolicy())
		if !ok {
			r.Fatal("claims nothing")
		}
		// Each observation is off by half an interval at most.
		if off := math.Abs(trend.PerDay - perDay); off > 1.5/(trend.Over.Hours()/24) {
			r.Errorf("%g intervals a day, want %g", trend.PerDay, perDay)
		}
	})
}
