package engine_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"keyfob/engine"
)

func TestDurationsAreReadAndSpelledAsPeopleDo(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "250ms": 250 * time.Millisecond, "90s": 90 * time.Second, "30m": 30 * time.Minute, "12h": 12 * time.Hour, "24h": 24 * time.Hour,
		"7d": 7 * 24 * time.Hour, "3650d": 3650 * 24 * time.Hour, "1h30m": 90 * time.Minute, "10m": 10 * time.Minute, "20m30s": 1230 * time.Second,
	} {
		if got, err := engine.ParseDuration(text); err != nil || got != want {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0s", 90 * time.Second: "1m30s", 30 * time.Minute: "30m", 12 * time.Hour: "12h", 24 * time.Hour: "24h", 48 * time.Hour: "2d",
		10 * time.Minute: "10m", 10 * time.Hour: "10h", 49 * time.Hour: "49h", 100 * time.Second: "1m40s", 3650 * 24 * time.Hour: "3650d", -time.Minute: "-1m",
	} {
		if got := engine.SpellDuration(d); got != want {
			t.Errorf("%v is spelled %s, want %s", d, got, want)
		}
	}
	for _, text := range []string{"", "d", "-1d", "1.5d", "1d2h", "36501d", "yes", "5"} {
		if got, err := engine.ParseDuration(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(3650*24*time.Hour)).Draw(rt, "d")).Truncate(time.Duration(rapid.SampledFrom([]int64{1, 1e6, 1e9, 6e10, 36e11, 864e11}).Draw(rt, "to")))
		if back, err := engine.ParseDuration(engine.SpellDuration(d)); err != nil || back != d {
			rt.Errorf("%v is spelled %s, which is %v, %v", d, engine.SpellDuration(d), back, err)
		}
	})
}
