package cli

import (
	"testing"
	"time"
)

func TestTimesAreReadAsTablesPrintThem(t *testing.T) {
	now := time.Date(2026, 11, 25, 20, 30, 0, 0, time.UTC)
	e := &Environment{Now: func() time.Time { return now }}
	local := func(hour, minute, second int) time.Time {
		return time.Date(2026, 11, 25, hour, minute, second, 0, time.Local)
	}
	shown := local(20, 25, 35)
	for text, want := range map[string]time.Time{
		Cell(&shown):                shown,
		"2026-11-25 20:25":          local(20, 25, 0),
		"2026-11-25":                local(0, 0, 0),
		"2026-11-25T20:25:35Z":      time.Date(2026, 11, 25, 20, 25, 35, 0, time.UTC),
		"2026-11-25T21:25:35+01:00": time.Date(2026, 11, 25, 20, 25, 35, 0, time.UTC),
		"5m":                        now.Add(-5 * time.Minute),
		"90d":                       now.AddDate(0, 0, -90),
		"0s":                        now,
	} {
		got, ok := e.Moment(text)
		if !ok || !got.Equal(want) {
			t.Errorf("%q is %v, %v; want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "yesterday", "-5m", "d", "-1d", "1.5d", "99999999d", "2026-13-01", "4711"} {
		if got, ok := e.Moment(text); ok {
			t.Errorf("%q is %v", text, got)
		}
	}
	if _, err := e.Since("2026-12-24"); err == nil {
		t.Error("from a day on that is yet to come")
	}
}
