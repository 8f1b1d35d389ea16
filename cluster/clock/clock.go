// Package clock decides whether a node's clock can be trusted and stamps the
// leader's batches.
//
// A clock is sound when a majority of the voters, including this node, agree
// within a limit. This is stricter than following the median: of two voters
// that differ, neither is sound. Agreement also bounds what a leader stamps.
// Stamps never go back, so a stamp one hour ahead would stop the clock of the
// whole cluster for an hour. Bounding the step between stamps would prevent a
// cluster that was down over the weekend from starting again.
//
// The package knows nothing of the network: the node reports what it read from
// other nodes.
package clock

import (
	"math"
	"slices"
	"sync"
	"time"

	"keyfob/events"
)

// Clock compares this node's clock with the clocks of the other voters.
//
// Readings arrive with each heartbeat. A step of this node's own clock is
// noticed immediately: the difference between the wall clock and the monotonic
// clock since a reading was taken is added to that reading.
type Clock struct {
	now    func() time.Time
	limit  time.Duration
	maxAge time.Duration
	start  time.Time // reference for the monotonic clock

	mu       sync.Mutex // guards the fields below
	readings map[string]reading
	quorum   int  // votes needed; unreachable until the voters are known
	votes    bool // this node is a voter
}

// reading is what another node's clock showed.
type reading struct {
	offset time.Duration // theirs minus ours
	wall   time.Time     // ours, when the reading was taken
	mono   time.Duration
}

// New returns a clock without readings. It is not sound until SetVoters has
// been called. Clocks may differ by limit; readings expire after maxAge.
func New(now func() time.Time, limit, maxAge time.Duration) *Clock {
	return &Clock{
		now: now, limit: limit, maxAge: maxAge, start: time.Now(),
		readings: make(map[string]reading), quorum: math.MaxInt,
	}
}

// Monotonic is the time since New by the monotonic clock.
func (c *Clock) Monotonic() time.Duration { return time.Since(c.start) }

// Read records that a node's clock showed theirs at some time between asked
// and now (Cristian's algorithm). The error is at most half of took, so a slow
// answer is ignored.
func (c *Clock) Read(node string, theirs, asked time.Time, took time.Duration) {
	if took > c.limit/2 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readings[node] = reading{
		offset: theirs.Sub(asked.Add(took / 2).Round(0)),
		wall:   c.now().Round(0),
		mono:   c.Monotonic(),
	}
}

// SetVoters sets whose clocks count. This node's clock counts if self is among
// the voters.
func (c *Clock) SetVoters(ids []string, self string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quorum, c.votes = len(ids)/2+1, slices.Contains(ids, self)
	for id := range c.readings {
		if id == self || !slices.Contains(ids, id) {
			delete(c.readings, id)
		}
	}
}

// Check is the result of comparing this node's clock with the others.
type Check struct {
	Sound    bool          // a majority agrees with this clock
	Disputed bool          // a majority answered and does not agree
	Offset   time.Duration // of this clock from the median of all readings
}

// Check compares this node's clock with the readings that have not expired.
func (c *Clock) Check() Check {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := []time.Duration{0}
	voters, agreeing := 0, 0
	if c.votes {
		voters, agreeing = 1, 1
	}
	for id := range c.readings {
		offset, ok := c.offset(id)
		if !ok {
			continue
		}
		all = append(all, offset)
		voters++
		if offset.Abs() <= c.limit {
			agreeing++
		}
	}
	slices.Sort(all)
	return Check{
		Sound:    agreeing >= c.quorum,
		Disputed: voters >= c.quorum && agreeing < c.quorum,
		Offset:   -all[len(all)/2],
	}
}

// offset is how far a node's clock is ahead of ours now. The caller holds mu.
func (c *Clock) offset(id string) (time.Duration, bool) {
	r, ok := c.readings[id]
	age := c.Monotonic() - r.mono
	if !ok || age > c.maxAge {
		return 0, false
	}
	step := c.now().Round(0).Sub(r.wall) - age
	return r.offset - step, true
}

// OffsetOf is how far another node's clock is from the median, for display.
func (c *Clock) OffsetOf(id string) (time.Duration, bool) {
	own := c.Check().Offset
	c.mu.Lock()
	defer c.mu.Unlock()
	offset, ok := c.offset(id)
	return offset + own, ok
}

// Sound reports whether a majority of the voters agrees with this clock.
func (c *Clock) Sound() bool { return c.Check().Sound }

// Time is the cluster's time as far as this node knows it: the time of its own
// clock if that is sound, otherwise the time of the last record. It is never
// earlier than the last record.
func (c *Clock) Time(last events.Time) (now events.Time, sound bool) {
	if !c.Sound() {
		return last, false
	}
	return max(events.At(c.now()), last), true
}
