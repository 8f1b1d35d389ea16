package cluster

import (
	"time"

	"keyfob/events"
)

// stamper gives batches their time. Stamps never go back, so a clock that is
// not trusted stamps nothing: were it an hour ahead, the time of the whole
// cluster would stand still for an hour, and every user be refused.
//
// The cluster's time then goes on from the last stamp by the monotonic clock,
// which nobody sets. Were it to stand still, a user who failed three times
// would have to wait for ever, and what was answered once would be answered for
// ever. It is never ahead of the real time, so that no lock ends early, and
// falls behind by what passed between a stamp and a change of leader.
type stamper struct {
	now   func() time.Time
	mono  func() time.Duration
	sound func() bool

	at    events.Time   // the last time that was known
	since time.Duration // by mono, when that was
}

// slewed is the part of the monotonic clock's time that is left out: while it
// puts the wall clock right, chrony may make both run faster by a twelfth.
const slewed = 8

// stamp is the time of a batch that rests on one of that time, and whether it
// may be taken for the time of day.
func (s *stamper) stamp(before events.Time) (at events.Time, sound bool) {
	sound = s.sound()
	mono := s.mono()
	if sound || before == 0 { // of a new cluster, whose only clock this is
		s.at, s.since = max(events.At(s.now()), before), mono
		return s.at, sound
	}
	passed := mono - s.since
	if at = s.at.Add(passed - passed/slewed); at < before { // another node led
		s.at, s.since, at = before, mono, before
	}
	return at, false
}
