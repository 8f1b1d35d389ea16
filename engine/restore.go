package engine

import (
	"github.com/tidwall/btree"

	"keyfob/engine/tokencode"
	"keyfob/events"
)

// restored makes the state of a backup safe to use. What happened after the
// backup is not known, so nothing that may have been used since is valid
// (rules.md, "Restoring an old backup").
func (s *State) restored(at events.Time, e events.ClusterRestored) {
	s.Cluster.Epoch, s.Cluster.Leader = e.Epoch, ""
	s.Cluster.Keys.restored(at)
	s.forget()
	s.nodes.Set(e.Node, &NodeRecord{Name: e.Node, Address: e.Address, Joined: at, Key: e.Key, SealKey: e.SealKey})
	for _, name := range s.users.Keys() {
		s.changeUser(name, func(u *User) { u.Conversation, u.Answers = nil, nil })
	}
	for _, serial := range s.tokens.Keys() {
		s.changeToken(serial, func(t *Token) { t.fence(&s.Policy, at) })
	}
}

// forget removes members, whose keys may have been copied, invitations that may
// have been used, API tokens, audit readers, roles and sessions that may have been
// revoked, and commands that wait for an approval.
func (s *State) forget() {
	s.nodes, s.apiTokens = btree.Map[string, *NodeRecord]{}, btree.Map[string, *APIToken]{}
	s.Cluster.Removed = nil
	s.auditReaders = btree.Map[string, *AuditReader]{}
	s.invitations = btree.Map[string, *Invitation]{}
	s.forgetAdministrators()
	s.approvals = btree.Map[string, *Approval]{}
}

// fence invalidates all tokencodes that may have been used.
//
// A time-based token may have shown the interval of now, and is refused up to
// there. If its clock has moved since the backup, it may have shown more, up to
// the small window. Those tokencodes need the next one, which nobody has seen
// yet; refusing them would make an honest user wait for minutes. How often an
// event token was pressed is not known, so it is always asked for the next
// tokencode.
//
// One-time emergency tokencodes may have been used, and a fixed one may have
// been ended.
func (t *Token) fence(p *Policy, now events.Time) {
	switch {
	case t.onDemand(): // tokencodes that were sent end with their conversation
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

// doubtCounter requires the next tokencode of an event token that is imported
// into a restored cluster. The token may have been imported and used after the
// backup, and its record starts at the first press.
func (t *Token) doubtCounter(c Cluster) {
	if c.Epoch > 0 && !t.timed() && !t.onDemand() {
		t.NextTokencode = true
	}
}

// doubts reports whether an interval may have been used in a time that the
// state does not know.
func (t *Token) doubts(interval int64) bool { return t.timed() && interval <= t.Doubted }
