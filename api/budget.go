package api

import (
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// FailureBudget is how many failures a user has left, of those that come
// through one kind of clients.
type FailureBudget struct {
	Of          string     `json:"of" enum:"strangers,trusted" doc:"Through whom: the page, the API and clients that are not trusted, or trusted clients."`
	Failures    uint32     `json:"failures" doc:"Since the last success."`
	Left        int        `json:"left" doc:"Failures to the next lock."`
	Locks       uint32     `json:"locks" doc:"Since the last success; each lasts longer."`
	Locked      bool       `json:"locked"`
	LockedUntil *time.Time `json:"locked_until,omitempty" doc:"Absent, though locked: until an administrator unlocks."`
	WaitUntil   *time.Time `json:"wait_until,omitempty" doc:"Before it nothing that is typed is looked at."`
}

// For says where the failures of a budget happen.
func (b FailureBudget) For() string { return where(b.Of == "trusted") }

func viewBudgetsOf(p engine.Policy, u *engine.User, now events.Time) []FailureBudget {
	return []FailureBudget{viewLock("strangers", p, u.Strangers, now), viewLock("trusted", p, u.Trusted, now)}
}

func viewLock(of string, p engine.Policy, l engine.Lock, now events.Time) FailureBudget {
	b := FailureBudget{Of: of, Failures: l.Failures, Locks: l.Count, Locked: l.Locked(now)}
	b.Left = l.Left(p, now)
	if b.Locked && !l.Stopped {
		b.LockedUntil = instant(l.Until)
	}
	if l.Wait > now {
		b.WaitUntil = instant(l.Wait)
	}
	return b
}
