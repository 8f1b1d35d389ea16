package engine

import (
	"bytes"
	"slices"
	"time"

	"keyfob/events"
)

// A command whose events are in a group that the policy names is not carried
// out. It waits until a second party approves it, and is then decided against
// the state of that moment. Decide looks at the events, not at the command, so
// another command with the same effect waits in the same way.

const (
	maxWaiting      = 100       // commands that wait
	maxWaitingParty = 16        // of one party, so that a thief leaves room for others
	grantedFor      = time.Hour // how long an approved backup can be taken
)

// Approval is a command that waits for a second administrator, or an approved
// backup that was not taken yet.
type Approval struct {
	ID        string        `cbor:"1,keyasint"`
	Command   string        `cbor:"2,keyasint"` // name
	Body      []byte        `cbor:"3,keyasint"`
	Groups    []string      `cbor:"4,keyasint"`
	Summary   []string      `cbor:"5,keyasint"`
	Origin    events.Origin `cbor:"6,keyasint"` // of the request; Note is the reason
	Requested events.Time   `cbor:"7,keyasint"`
	Expires   events.Time   `cbor:"8,keyasint"`
	Approver  string        `cbor:"9,keyasint,omitempty"` // of an approved backup
}

// Waiting is returned for a command that waits for a second administrator.
type Waiting struct {
	ID string // of the approval
}

func (w *Waiting) Error() string { return "the command waits for a second administrator: " + w.ID }

// Judgements on commands that wait.
type (
	// Approve carries out the command that waits under an ID.
	Approve struct {
		ID string `cbor:"1,keyasint"`
	}
	// RefuseApproval drops the command that waits under an ID. Its requester
	// withdraws it in the same way.
	RefuseApproval struct {
		ID string `cbor:"1,keyasint"`
	}
)

// judgement is a command on a command that waits. Who may give it depends on
// who asked for the command.
type judgement interface {
	Command
	judges() (id string, withdraws bool)
}

func (c Approve) judges() (string, bool)        { return c.ID, false }
func (c RefuseApproval) judges() (string, bool) { return c.ID, true }

func (c Approve) decide(s *State, now events.Time) ([]events.Event, error) {
	a, err := s.waiting(c.ID, now)
	if err != nil {
		return nil, err
	}
	given := events.ApprovalGiven{ID: a.ID, Command: a.Command, Requester: a.Origin.Actor, Summary: a.Summary}
	command, err := unmarshalCommand(a.Command, a.Body)
	if err != nil {
		return nil, refuse(Conflict, "the command of approval %s cannot be read by this version", a.ID)
	}
	facts, err := command.decide(s, now)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(s.summary(facts), a.Summary) {
		return nil, refuse(Conflict, "what approval %s would do has changed since it was requested; refuse it and request the command again", a.ID)
	}
	if _, ok := command.(TakeBackup); ok {
		given.Until = now.Add(grantedFor)
		return one(given)
	}
	return append([]events.Event{given}, facts...), nil
}

func (c RefuseApproval) decide(s *State, now events.Time) ([]events.Event, error) {
	a, err := s.mustApproval(c.ID, now)
	if err != nil {
		return nil, err
	}
	return one(events.ApprovalRefused{ID: a.ID, Command: a.Command, Requester: a.Origin.Actor, Summary: a.Summary})
}

// judge decides a judgement. The events of an approved command have the origin
// of its request.
func (s *State) judge(o events.Origin, c judgement, now events.Time) (Decision, error) {
	id, withdraws := c.judges()
	a, err := s.mustApproval(id, now)
	if err != nil {
		return Decision{}, err
	}
	if err := s.mayJudge(o, a, withdraws, now); err != nil {
		return Decision{}, err
	}
	facts, err := c.decide(s, now)
	if err != nil {
		return Decision{}, err
	}
	d := Decision{Drafts: []events.Draft{{Origin: o, Event: facts[0]}}}
	requested := a.Origin
	requested.Request = o.Request // the log entry is the approver's
	for _, e := range facts[1:] {
		d.Drafts = append(d.Drafts, events.Draft{Origin: requested, Event: e})
	}
	return d, nil
}

// mayJudge returns why a party may not decide on a command that waits. To
// withdraw is to refuse one's own.
func (s *State) mayJudge(o events.Origin, a *Approval, withdraws bool, now events.Time) error {
	own := s.partyOf(o) == s.partyOf(a.Origin)
	switch {
	case withdraws && own:
		return nil
	case !s.approves(o.Actor):
		return refuse(Forbidden, "%s cannot decide on approvals; log in with the role %s, or use the socket of a node as root", s.partyOf(o), RoleAdmin)
	case own:
		return refuse(Forbidden, "approval %s was requested by %s; another administrator must decide", a.ID, s.partyOf(o))
	case !withdraws && !s.stillAsks(a, now):
		return refuse(Conflict, "approval %s was requested by %s, who is no longer an administrator; refuse it", a.ID, s.partyOf(a.Origin))
	}
	return nil
}

// await decides a command that needs an approval: it uses up one that was
// given, or asks for one. A party that asks for the same again gets the same
// approval.
func (s *State) await(o events.Origin, c Command, facts []events.Event, groups []string, now events.Time) (Decision, error) {
	name, body, err := marshalCommand(c)
	if err != nil {
		return Decision{}, refuse(Conflict, "this command needs an approval, and cannot wait for one: %v", err)
	}
	own := 0
	for _, a := range s.ApprovalList(now) {
		if s.partyOf(a.Origin) != s.partyOf(o) {
			continue
		}
		own++
		switch {
		case a.Approver == "" && a.Command == name && bytes.Equal(a.Body, body):
			return Decision{Waits: a.ID}, nil
		case a.Approver != "" && a.Command == name && slices.Equal(a.Summary, s.summary(facts)):
			return Decision{Drafts: drafts(o, append(facts, events.ApprovalUsed{ID: a.ID}))}, nil
		}
	}
	id := o.Request.Reference()
	switch {
	case own >= maxWaitingParty:
		return Decision{}, refuse(Conflict, "%d commands of %s already wait for an approval", own, s.partyOf(o))
	case s.approvals.Len() >= maxWaiting:
		return Decision{}, refuse(Conflict, "%d commands already wait for an approval", s.approvals.Len())
	case s.Approval(id) != nil:
		return Decision{}, refuse(Conflict, "approval %s already exists; try again", id)
	}
	return Decision{Waits: id, Drafts: drafts(o, []events.Event{events.ApprovalRequested{
		ID: id, Command: name, Groups: groups, Summary: s.summary(facts), Body: body, Expires: now.Add(s.Policy.ApprovalFor),
	}})}, nil
}

// waiting returns a command that waits, or a refusal.
func (s *State) waiting(id string, now events.Time) (*Approval, error) {
	a, err := s.mustApproval(id, now)
	if err == nil && a.Approver != "" {
		return nil, refuse(Conflict, "approval %s was given already", a.ID)
	}
	return a, err
}

// mustApproval returns the approval of an ID as typed, or a refusal.
func (s *State) mustApproval(typed string, now events.Time) (*Approval, error) {
	if a := s.Approval(typed); a != nil && now < a.Expires {
		return a, nil
	}
	return nil, refuseHelp(NotFound, HelpListApprovals, "approval %.20q not found: it was decided on, has expired, or never existed", typed)
}

// Approval returns the approval of an ID in any spelling, or nil. It may have
// expired.
func (s *State) Approval(id string) *Approval {
	a, _ := s.approvals.Get(events.CanonicalReference(id))
	return a
}

// ApprovalList returns the approvals that have not expired, the oldest first.
func (s *State) ApprovalList(now events.Time) []*Approval {
	var all []*Approval
	for _, a := range s.approvals.Values() {
		if now < a.Expires {
			all = append(all, a)
		}
	}
	slices.SortStableFunc(all, func(a, b *Approval) int { return int(a.Requested - b.Requested) })
	return all
}

// ExpiredApprovals returns the events that end approvals whose time is over.
func (s *State) ExpiredApprovals(now events.Time) []events.ApprovalExpired {
	var all []events.ApprovalExpired
	for _, a := range s.approvals.Values() {
		if now >= a.Expires {
			all = append(all, events.ApprovalExpired{ID: a.ID, Command: a.Command, Requester: a.Origin.Actor})
		}
	}
	return all
}

// waitsFor returns the ID of the approval that a request waits for, or nothing.
func (s *State) waitsFor(r events.Request) string {
	if a := s.Approval(r.Reference()); a != nil && a.Origin.Request == r && a.Approver == "" {
		return a.ID
	}
	return ""
}

func (s *State) dropApproval(id string) { s.approvals.Delete(events.CanonicalReference(id)) }

// applyApproval folds the events on approvals.
func (s *State) applyApproval(at events.Time, o events.Origin, e events.AdminEvent) {
	switch e := e.(type) {
	case events.ApprovalRequested:
		s.putApproval(&Approval{
			ID: e.ID, Command: e.Command, Body: e.Body, Groups: e.Groups, Summary: e.Summary, Origin: o, Requested: at, Expires: e.Expires,
		})
	case events.ApprovalGiven:
		old := s.Approval(e.ID)
		if e.Until.IsZero() || old == nil {
			s.dropApproval(e.ID)
			return
		}
		a := *old
		a.Approver, a.Expires = o.Actor, e.Until
		s.putApproval(&a)
	case events.ApprovalRefused:
		s.dropApproval(e.ID)
	case events.ApprovalExpired:
		s.dropApproval(e.ID)
	case events.ApprovalUsed:
		s.dropApproval(e.ID)
	default:
	}
}

// withdrawApprovals drops what a session asked for that somebody else ends: it
// may be stolen.
func (s *State) withdrawApprovals(o events.Origin, e events.SessionEnded) {
	if o.Actor == UserActor(e.User) {
		return
	}
	for _, a := range s.approvals.Values() {
		if a.Origin.Session == e.Session {
			s.dropApproval(a.ID)
		}
	}
}

func (s *State) putApproval(a *Approval) { s.approvals.Set(events.CanonicalReference(a.ID), a) }
