package clock

import (
	"testing"
	"time"

	"keyfob/events"
)

// Stamps follow the wall clock while it is sound, and otherwise the monotonic
// clock. They are never ahead of it and never go back.
func TestTimeAdvancesWithoutASoundClock(t *testing.T) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	wall, passed, sound := noon, time.Duration(0), true
	s := Stamper{Now: func() time.Time { return wall }, Monotonic: func() time.Duration { return passed }, Sound: func() bool { return sound }}
	before := events.At(noon.Add(-time.Minute))
	for _, step := range []struct {
		name   string
		change func()
		want   time.Duration // after noon
	}{
		{"sound", func() {}, 0},
		{"an hour ahead", func() { wall, sound = noon.Add(time.Hour), false }, 0},
		{"eight minutes later", func() { passed += 8 * time.Minute }, 7 * time.Minute},
		{"an hour back", func() { wall = noon.Add(-time.Hour) }, 7 * time.Minute},
		{"eight more", func() { passed += 8 * time.Minute }, 14 * time.Minute},
		{"another node led", func() { before = events.At(noon.Add(15 * time.Minute)) }, 15 * time.Minute},
		{"eight more", func() { passed += 8 * time.Minute }, 22 * time.Minute},
		{"sound again", func() { wall, sound = noon.Add(24*time.Minute), true }, 24 * time.Minute},
		{"sound and a little back", func() { wall = noon.Add(24*time.Minute - time.Second) }, 24 * time.Minute},
	} {
		step.change()
		at, ok := s.Stamp(before)
		if got := at.Std().Sub(noon); got != step.want || ok != sound {
			t.Fatalf("%s: stamped noon plus %v (sound: %v), want %v", step.name, got, ok, step.want)
		}
		before = at
	}
}

func TestNewClusterUsesItsOwnClock(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	s := Stamper{Now: func() time.Time { return now }, Monotonic: func() time.Duration { return 0 }, Sound: func() bool { return false }}
	if at, ok := s.Stamp(0); at != events.At(now) || ok {
		t.Fatalf("stamped %v, sound: %v", at.Std(), ok)
	}
}
