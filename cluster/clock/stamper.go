package clock

import (
	"time"

	"keyfob/events"
)

// Stamper gives batches their time. Stamps never go back, so an untrusted clock
// is not used: if it were an hour ahead, the cluster's time would stand still
// for an hour and every user would be refused.
//
// While the clock is not sound, the cluster's time advances from the last stamp
// by the monotonic clock, which nobody can set. If it stood still, a user who
// failed three times would wait forever, and cached answers would never expire.
// This time is never ahead of real time, so no lock ends early. After a change
// of leader it falls behind by the time between the last stamp and the change.
//
// A Stamper is not safe for concurrent use.
type Stamper struct {
	Now       func() time.Time
	Monotonic func() time.Duration
	Sound     func() bool

	last   events.Time   // the last known time
	lastAt time.Duration // the monotonic time at last
}

// Stamper returns a stamper that follows c.
func (c *Clock) Stamper() Stamper {
	return Stamper{Now: c.now, Monotonic: c.Monotonic, Sound: c.Sound}
}

// slewMargin is the fraction of the monotonic time that is left out. While it
// corrects the wall clock, chrony may run both clocks up to a twelfth too fast.
const slewMargin = 8

// Stamp is the time of a batch that follows one stamped before. sound reports
// whether it may be used as the time of day.
func (s *Stamper) Stamp(before events.Time) (at events.Time, sound bool) {
	sound = s.Sound()
	mono := s.Monotonic()
	if sound || before == 0 { // a new cluster has no other clock
		s.last, s.lastAt = max(events.At(s.Now()), before), mono
		return s.last, sound
	}
	passed := mono - s.lastAt
	if at = s.last.Add(passed - passed/slewMargin); at < before { // another node led in the meantime
		s.last, s.lastAt, at = before, mono, before
	}
	return at, false
}
