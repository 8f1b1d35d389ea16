package api

import (
	"keyfob/engine"
	"keyfob/events"
)

// trail is what the journal tells of a user, record by record: the last few
// refusals, and what has settled them since.
type trail struct {
	user    string
	kept    []entry // a ring
	next    int
	settled uint64 // the last record after which earlier refusals are no matter any more
	ended   string // what an administrator has done since the user was last asked for something, and ended that
}

// entry is a refusal in the journal.
type entry struct {
	refusal
	record events.Record
}

func newTrail(user string, size int) *trail { return &trail{user: user, kept: make([]entry, 0, size)} }

// note takes the next record.
func (t *trail) note(r events.Record) {
	if events.Describe(r.Event).User != t.user {
		return
	}
	if e, ok := r.Event.(events.PasscodeRejected); ok {
		t.refused(r, e)
		return
	}
	if settles(r.Event) {
		t.settled = r.Sequence
	}
	switch r.Event.(type) {
	case events.PasscodeChallenged, events.PasscodeAccepted:
		t.ended = ""
	default:
		if endsSteps(r) {
			t.ended = tell(nil, r)
		}
	}
}

func (t *trail) refused(r events.Record, e events.PasscodeRejected) {
	one := entry{refusalOf(e), r}
	if e.Reason == events.ReasonConversationExpired {
		one.ended = t.ended
	}
	if len(t.kept) < cap(t.kept) {
		t.kept = append(t.kept, one)
		return
	}
	t.kept[t.next] = one
	t.next = (t.next + 1) % len(t.kept)
}

// newestFirst are the refusals that are remembered.
func (t *trail) newestFirst() []entry {
	out := make([]entry, 0, len(t.kept))
	for i := range t.kept {
		out = append(out, t.kept[(t.next+len(t.kept)-1-i)%len(t.kept)])
	}
	return out
}

// view is a refusal for those who ask.
func (t *trail) view(s *engine.State, e entry, now events.Time) Refused {
	o := e.record.Origin
	return Refused{
		Sequence: e.record.Sequence, Time: instant(e.record.Time), Reason: string(e.reason), Reference: o.Reference,
		Words: e.what(s), Next: e.advice(s, now), Problem: e.problem, Settled: e.record.Sequence < t.settled,
		Serial: e.serial, Offset: e.offset, Door: string(o.Door), Client: o.Client, SourceIP: o.SourceIP, Node: o.Node,
	}
}

// unsettled is the newest refusal for something that was typed, if nothing has
// settled it. The others are for what is so, and if it still is, the state says
// so.
func (t *trail) unsettled() (entry, bool) {
	for _, e := range t.newestFirst() {
		switch {
		case e.record.Sequence < t.settled:
			return entry{}, false
		case e.forTyped():
			return e, true
		}
	}
	return entry{}, false
}

// forTyped reports whether it was for what was typed that somebody was refused,
// and not for how things stood.
func (r refusal) forTyped() bool {
	switch r.reason {
	case events.ReasonUserUnknown, events.ReasonUserDisabled, events.ReasonUserLocked, events.ReasonTokenDisabled,
		events.ReasonTokenExpired, events.ReasonTokenLost, events.ReasonClockSkew, events.ReasonThrottled,
		events.ReasonPINNotSet, events.ReasonPINExpired, events.ReasonPINChangeRequired:
		return false
	case events.ReasonNoToken:
		return r.serial != "" // that can send nothing
	default:
		return true
	}
}

// ofClock reports whether a refusal tells how far off a token's clock is. That
// is so until something is done about it.
func (r refusal) ofClock() bool {
	switch r.reason {
	case events.ReasonOutsideWindow, events.ReasonDrift, events.ReasonTooManyFailures:
		return r.offset != nil
	default:
		return false
	}
}

// settles reports whether what a user was refused for before an event is no
// matter any more.
func settles(e events.Event) bool {
	switch e := e.(type) {
	case events.PasscodeAccepted, events.PasscodeChallenged, events.TokenResynchronized,
		events.UserAdded, events.UserEnabled, events.UserUnlocked,
		events.TokenAssigned, events.TokenUnassigned, events.TokenDeleted, events.TokenEnabled, events.TokenReplaced,
		events.TokenLost, events.TokenFound, events.PINSet, events.PINCleared:
		return true
	case events.DriftAdjusted:
		return e.Forgot
	default:
		return false
	}
}

// endsSteps reports whether a record is of an administrator's command that ends
// the steps in which a user is.
func endsSteps(r events.Record) bool {
	switch r.Event.(type) {
	case events.UserDisabled, events.TokenUnassigned, events.TokenDeleted, events.TokenDisabled, events.TokenLost,
		events.PINSet, events.PINCleared, events.NewPINRequired:
		return r.Origin.Actor != ""
	default:
		return false
	}
}
