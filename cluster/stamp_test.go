package cluster

import (
	"testing"
	"time"

	"keyfob/events"
)

// TestTimeGoesOnWithoutASoundClock moves the wall clock and the monotonic one
// apart: what is stamped follows a sound wall, and otherwise the monotonic
// clock, never ahead of it and never back.
func TestTimeGoesOnWithoutASoundClock(t *testing.T) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	wall, passed, sound := noon, time.Duration(0), true
	s := stamper{now: func() time.Time { return wall }, mono: func() time.Duration { return passed }, sound: func() bool { return sound }}
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
		at, known := s.stamp(before)
		if got := at.Std().Sub(noon); got != step.want || known != sound {
			t.Fatalf("%s: stamped noon and %v (known: %v), want %v", step.name, got, known, step.want)
		}
		before = at
	}
}

func TestClockOfANewClusterIsItsOwn(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	s := stamper{now: func() time.Time { return now }, mono: func() time.Duration { return 0 }, sound: func() bool { return false }}
	if at, known := s.stamp(0); at != events.At(now) || known {
		t.Fatalf("stamped %v, known: %v", at.Std(), known)
	}
}
