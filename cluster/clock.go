package cluster

import (
	"math"
	"slices"
	"sync"
	"time"
)

// clock compares this node's clock with those of the other voters.
//
// A clock is sound when a majority of the voters, this node among them, agree
// within the limit. That is stricter than to follow a median: of two voters
// that differ neither is sound. It bounds what the leader stamps, too. Stamps
// never go back, so one that is an hour ahead would stop the clock of the whole
// cluster for an hour; a bound on the step from stamp to stamp would forbid a
// cluster that slept over the weekend to start again. Agreement does neither.
//
// Readings are taken every second. A step of this node's own clock is noticed
// at once: how far the wall clock moved against the monotonic one since the
// reading was taken is added to what was read.
type clock struct {
	now    func() time.Time
	limit  time.Duration
	maxAge time.Duration
	began  time.Time // to read the monotonic clock by

	mu       sync.Mutex // guards below
	readings map[string]reading
	quorum   int  // of the voters; nobody's clock is sound before they are known
	votes    bool // this node is one of them
}

// reading is what another node's clock said.
type reading struct {
	offset time.Duration // theirs before ours
	wall   time.Time     // ours, when it was taken
	mono   time.Duration
}

func newClock(now func() time.Time, limit, maxAge time.Duration) *clock {
	return &clock{now: now, limit: limit, maxAge: maxAge, began: time.Now(), readings: make(map[string]reading), quorum: math.MaxInt}
}

func (c *clock) mono() time.Duration { return time.Since(c.began) }

// read takes down that a node's clock said theirs at some time between asked
// and now (Cristian). That is exact to half the time it took, so a slow answer
// says nothing.
func (c *clock) read(node string, theirs, asked time.Time, took time.Duration) {
	if took > c.limit/2 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readings[node] = reading{
		offset: theirs.Sub(asked.Add(took / 2).Round(0)),
		wall:   c.now().Round(0),
		mono:   c.mono(),
	}
}

// voters says whose clocks count; this node's does if it votes too.
func (c *clock) voters(ids []string, self string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quorum, c.votes = len(ids)/2+1, slices.Contains(ids, self)
	for id := range c.readings {
		if id == self || !slices.Contains(ids, id) {
			delete(c.readings, id)
		}
	}
}

// judgement is what is known of this node's clock.
type judgement struct {
	sound    bool          // a majority agrees with it
	disputed bool          // a majority was heard, and does not agree
	offset   time.Duration // of this node from the median of all that were heard
}

func (c *clock) judge() judgement {
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
	return judgement{
		sound:    agreeing >= c.quorum,
		disputed: voters >= c.quorum && agreeing < c.quorum,
		offset:   -all[len(all)/2],
	}
}

// offset is how far a node's clock is before ours now. The caller holds mu.
func (c *clock) offset(id string) (time.Duration, bool) {
	r, ok := c.readings[id]
	age := c.mono() - r.mono
	if !ok || age > c.maxAge {
		return 0, false
	}
	step := c.now().Round(0).Sub(r.wall) - age
	return r.offset - step, true
}

// offsetOf is how far a node's clock is from the median, for people to see.
func (c *clock) offsetOf(id string) (time.Duration, bool) {
	own := c.judge().offset
	c.mu.Lock()
	defer c.mu.Unlock()
	offset, ok := c.offset(id)
	return offset + own, ok
}

func (c *clock) sound() bool { return c.judge().sound }
