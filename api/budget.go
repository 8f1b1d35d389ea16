package api

import (
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// FailureBudget is the number of failures that a user has left.
type FailureBudget struct {
	Of          string     `json:"of" enum:"strangers,trusted,unsigned" doc:"trusted: at trusted clients; unsigned: at trusted clients, in requests without a Message-Authenticator; strangers: on the page, at the API and at clients that are not trusted."`
	Failures    uint32     `json:"failures" doc:"Since the last success."`
	Left        int        `json:"left" doc:"Failures until the next lock."`
	Locks       uint32     `json:"locks" doc:"Locks since the last success; each one lasts longer."`
	Locked      bool       `json:"locked"`
	LockedUntil *time.Time `json:"locked_until,omitempty" doc:"Absent while locked: until an administrator unlocks the user."`
	WaitUntil   *time.Time `json:"wait_until,omitempty" doc:"Attempts before that time are refused without being checked."`
}

// For says where the failures of a budget happen.
func (b FailureBudget) For() string { return where(engine.FailureBudget(b.Of)) }

func viewBudgetsOf(p engine.Policy, u *engine.User, now events.Time) []FailureBudget {
	var all []FailureBudget
	for _, b := range engine.FailureBudgets() {
		all = append(all, viewLock(string(b), p, u.Lock(b), now))
	}
	return all
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
