package engine

import (
	"github.com/tidwall/btree"

	"keyfob/engine/tokencode"
	"keyfob/events"
)

// restored puts a fence behind a state that comes from a backup: what happened
// between the backup and now is not known, and nothing that may have been used
// in that time is good any more (rules.md, "Restoring an old backup").
func (s *State) restored(at events.Time, e events.ClusterRestored) {
	s.Cluster.Epoch, s.Cluster.Leader = e.Epoch, ""
	s.forget()
	s.nodes.Set(e.Node, &NodeRecord{Name: e.Node, Address: e.Address, Joined: at})
	for _, name := range s.users.Keys() {
		s.changeUser(name, func(u *User) { u.Conversation, u.Answers = nil, nil })
	}
	for _, serial := range s.tokens.Keys() {
		s.changeToken(serial, func(t *Token) { t.fence(&s.Policy, at) })
	}
}

// forget drops what must not come back: members whose keys may be anybody's,
// invitations that may have been used, and API tokens and audit readers that may
// have been revoked.
func (s *State) forget() {
	s.nodes, s.apiTokens = btree.Map[string, *NodeRecord]{}, btree.Map[string, *APIToken]{}
	s.auditReaders = btree.Map[string, *AuditReader]{}
	s.invitations = btree.Map[string, events.Time]{}
}

// fence makes every tokencode worthless that may have been used.
//
// A token that follows a clock may have shown, by now, the interval of now, and
// is refused up to that. If its clock has moved since the backup it may have
// shown more, as far as the small window reaches: those are not refused, or an
// honest owner would wait for minutes, but need the next tokencode, which
// nobody has seen yet. How often an event token was pressed nobody knows: it is
// asked for the next tokencode whatever it shows.
//
// One-time emergency tokencodes may have been used, and a fixed one may have
// been ended.
func (t *Token) fence(p *Policy, now events.Time) {
	switch {
	case t.onDemand(): // what was sent ended with its conversation
	case t.timed():
		t.Last = max(t.Last, tokencode.Interval(t.params(), now.Std())+t.Drift)
		t.Doubted = t.Last + t.window(p).Small
	default:
		t.NextTokencode = true
	}
	if t.Lost != nil {
		lost := *t.Lost
		lost.Sealed, lost.Used, lost.Given = nil, nil, 0
		t.Lost = &lost
	}
}

// doubtCounter has an event token asked for the next tokencode that is imported
// into a cluster that was restored. It may be one that was imported and used in
// the time of which nothing is known: its record counts from where it began.
func (t *Token) doubtCounter(c Cluster) {
	if c.Epoch > 0 && !t.timed() && !t.onDemand() {
		t.NextTokencode = true
	}
}

// doubts reports whether an interval may have been used in a time of which the
// state knows nothing.
func (t *Token) doubts(interval int64) bool { return t.timed() && interval <= t.Doubted }
