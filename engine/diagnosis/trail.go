package diagnosis

import (
	"cmp"

	"keyfob/events"
)

// Trail collects what the journal says of a user: the last refusals, and what
// has resolved them since.
type Trail struct {
	user     string
	kept     []Entry // a ring
	next     int
	resolved uint64 // sequence number of the last record that resolved what came before
	endedBy  events.Event
}

// Entry is a refusal in the journal.
type Entry struct {
	Refusal
	Record events.Record
}

// NewTrail returns the trail of a user that keeps the last size refusals.
func NewTrail(user string, size int) *Trail {
	return &Trail{user: user, kept: make([]Entry, 0, size)}
}

// Add reads the next record of the journal.
func (t *Trail) Add(r events.Record) {
	if events.Describe(r.Event).User != t.user {
		return
	}
	if e, ok := r.Event.(events.PasscodeRejected); ok {
		t.keep(r, e)
		return
	}
	if resolves(r.Event) {
		t.resolved = r.Sequence
	}
	switch r.Event.(type) {
	case events.PasscodeChallenged, events.PasscodeAccepted:
		t.endedBy = nil
	default:
		if endsConversation(r) {
			t.endedBy = r.Event
		}
	}
}

func (t *Trail) keep(r events.Record, e events.PasscodeRejected) {
	one := Entry{RefusalOf(e), r}
	if e.Reason == events.ReasonConversationExpired {
		one.EndedBy = t.endedBy
	}
	if len(t.kept) < cap(t.kept) {
		t.kept = append(t.kept, one)
		return
	}
	t.kept[t.next] = one
	t.next = (t.next + 1) % len(t.kept)
}

// NewestFirst lists the kept refusals.
func (t *Trail) NewestFirst() []Entry {
	out := make([]Entry, 0, len(t.kept))
	for i := range t.kept {
		out = append(out, t.kept[(t.next+len(t.kept)-1-i)%len(t.kept)])
	}
	return out
}

// Resolved reports whether a success or a remedy came after a refusal.
func (t *Trail) Resolved(e Entry) bool { return e.Record.Sequence < t.resolved }

// unresolved returns the newest refusal for something that was typed, if nothing
// has resolved it. The reasons of the other refusals are in the state.
func (t *Trail) unresolved() (Entry, bool) {
	for _, e := range t.NewestFirst() {
		switch {
		case t.Resolved(e):
			return Entry{}, false
		case e.typed():
			return e, true
		}
	}
	return Entry{}, false
}

// resolves reports whether an event makes earlier refusals of its user
// irrelevant.
func resolves(e events.Event) bool {
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

// endsConversation reports whether a record is of an administrator's command
// that ends the user's conversation.
func endsConversation(r events.Record) bool {
	switch r.Event.(type) {
	case events.UserDisabled, events.TokenUnassigned, events.TokenDeleted, events.TokenDisabled, events.TokenLost,
		events.PINSet, events.PINCleared, events.NewPINRequired:
		return r.Origin.Actor != ""
	default:
		return false
	}
}

// Attempt is what the records of one attempt, or one command, say together.
type Attempt struct {
	Refusal
	Outcome string // accept, reject or challenge; empty for a command
}

// AttemptOf reads the records that belong to one reference.
func AttemptOf(records []events.Record) Attempt {
	var a Attempt
	for _, r := range records {
		d := events.Describe(r.Event)
		a.User, a.Serial = cmp.Or(a.User, d.User), cmp.Or(a.Serial, d.Serial)
		a.Outcome, a.Reason = cmp.Or(a.Outcome, d.Outcome), cmp.Or(a.Reason, d.Reason)
		if e, ok := r.Event.(events.PasscodeRejected); ok {
			a.Offset, a.Quiet = e.Offset, e.Quiet
		}
	}
	return a
}
