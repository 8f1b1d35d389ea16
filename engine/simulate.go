package engine

import (
	"reflect"
	"slices"
	"strings"

	"keyfob/events"
)

// Simulation replays the journal under another policy. It keeps two states: the
// actual one, and the one under the other policy. Each attempt (replay.go) is
// decided in both. If the results are the same, the actual events are taken
// over, so that the present policy has no effect on anyone. An effect is a
// difference.
//
// The journal says which token was used, where its tokencode was, and why an
// attempt was refused. It does not contain PINs: a PIN that was set under
// looser rules counts as one that must be changed. A user who is asked for more
// than actually is assumed to have it.
type Simulation struct {
	was      *State
	would    *State            // the state under the other policy; nil before since
	settings map[string]string // with those of a profile
	wrong    error             // the profile does not exist
	since    events.Time
	waiting  []events.Record       // records of one attempt, until it is complete
	diverged map[string]divergence // users whose conversation took another course
	renewed  map[string]struct{}   // serials whose PIN was changed only under the other policy
	effects  map[string]*Effect    // by user
}

// Effect is the effect of the other policy on a user.
type Effect struct {
	User    string `json:"user"`
	Logins  int    `json:"logins"`           // accepted logins
	Refused int    `json:"refused"`          // of those, refused under the other policy
	Locked  int    `json:"locked"`           // locks under the other policy
	Was     int    `json:"locked_actually"`  // actual locks
	NewPIN  int    `json:"new_pin_required"` // times that a new PIN would have been required in addition
	Next    int    `json:"next_tokencode"`   // the same for the next tokencode
}

// divergence is where a user's conversation took another course.
type divergence struct {
	conversation events.Request
	refused      bool // the user would have been refused; otherwise accepted without the conversation
}

// Simulate starts a simulation in which settings apply from since on.
func Simulate(settings map[string]string, since events.Time) *Simulation {
	settings, err := expand(settings)
	return &Simulation{
		was: NewState(), settings: settings, wrong: err, since: since,
		diverged: map[string]divergence{}, renewed: map[string]struct{}{}, effects: map[string]*Effect{},
	}
}

// Play takes the next record of the journal. The error is a *Refusal of the
// settings.
func (s *Simulation) Play(r events.Record) error {
	if s.wrong != nil {
		return s.wrong
	}
	if s.would == nil {
		if r.Time < s.since {
			s.was.Apply(r.Time, r.Draft)
			return nil
		}
		if err := s.begin(r.Time); err != nil {
			return err
		}
	}
	if len(s.waiting) > 0 && !together(s.waiting[0], r) {
		s.playWaiting()
	}
	s.waiting = append(s.waiting, r)
	return nil
}

// begin applies the other policy.
func (s *Simulation) begin(now events.Time) error {
	s.would = s.was.Copy()
	facts, err := s.would.setPolicy(s.settings)
	for _, e := range facts {
		s.would.Apply(now, events.Draft{Event: e})
	}
	return err
}

// Totals returns the sum of all effects and the number of users with attempts.
func (s *Simulation) Totals() (all Effect, users int) {
	s.playWaiting()
	for _, e := range s.effects {
		all.Logins += e.Logins
		all.Refused += e.Refused
		all.Locked += e.Locked
		all.Was += e.Was
		all.NewPIN += e.NewPIN
		all.Next += e.Next
	}
	return all, len(s.effects)
}

// Effects returns the users on whom the policy would have had an effect, by
// name.
func (s *Simulation) Effects() []Effect {
	s.playWaiting()
	var all []Effect
	for _, e := range s.effects {
		if e.Refused+e.NewPIN+e.Next > 0 || e.Locked != e.Was {
			all = append(all, *e)
		}
	}
	slices.SortFunc(all, func(a, b Effect) int { return strings.Compare(a.User, b.User) })
	return all
}

func (s *Simulation) effect(user string) *Effect {
	if s.effects[user] == nil {
		s.effects[user] = &Effect{User: user}
	}
	return s.effects[user]
}

// playWaiting replays the records of one attempt.
func (s *Simulation) playWaiting() {
	records := s.waiting
	s.waiting = nil
	if a, ok := attemptOf(records); ok {
		s.play(a)
	} else {
		s.takeOver(records)
	}
	for _, r := range records {
		s.was.Apply(r.Time, r.Draft)
		if e, ok := r.Event.(events.UserLockedOut); ok {
			s.effect(e.User).Was++
		}
	}
}

// takeOver folds the actual events into the other state, except changes of the
// settings under test.
func (s *Simulation) takeOver(records []events.Record) {
	for _, r := range records {
		change, ok := r.Event.(events.PolicyChanged)
		if _, tried := s.settings[change.Key]; ok && tried {
			continue
		}
		s.fold(r.Time, r.Draft)
	}
}

// fold folds an event into the other state.
func (s *Simulation) fold(at events.Time, d events.Draft) {
	s.would.Apply(at, d)
	switch e := d.Event.(type) {
	case events.UserLockedOut:
		s.effect(e.User).Locked++
	case events.PINSet:
		delete(s.renewed, e.Serial)
	default:
	}
}

// play decides an attempt in both states.
func (s *Simulation) play(a attempt) {
	effect := s.effect(a.user)
	if a.answer.Verdict == Accept {
		effect.Logins++
	}
	command, ok := s.read(&a)
	if a.within != nil && !s.at(a.user, a.within) {
		s.afterDivergence(a)
		return
	}
	if !ok {
		s.takeOver(a.records)
		return
	}
	was, err := DecideLogin(s.was, a.origin, command(s.was), a.at)
	would, err2 := DecideLogin(s.would, a.origin, command(s.would), a.at)
	if err != nil || err2 != nil || reflect.DeepEqual(was, would) {
		s.takeOver(a.records)
		return
	}
	s.differs(a, would)
}

// differs records that an attempt has another result.
func (s *Simulation) differs(a attempt, would Decision) {
	effect, got := s.effect(a.user), would.Answer
	in := a.answer.Verdict == Accept
	next := got.step() == events.StepNextTokencode
	if got.Verdict == Challenge && (in || a.answer.Verdict == Challenge && got.step() != a.answer.step()) {
		switch {
		case next:
			effect.Next++
		case in:
			effect.NewPIN++
		}
		s.goThrough(a, in && !next)
		return
	}
	if in && got.Verdict == Reject {
		effect.Refused++
	}
	s.foldAll(a, would)
	if open := a.answer.Conversation; open != nil && !s.at(a.user, open) {
		s.diverged[a.user] = divergence{open.ID, got.Verdict == Reject}
	}
}

func (s *Simulation) foldAll(a attempt, d Decision) {
	for _, draft := range d.Drafts {
		s.fold(a.at, draft)
	}
}

// goThrough assumes that a user who was asked for more had it: a new PIN, if
// one was asked for, and the tokencode that moves the drift.
func (s *Simulation) goThrough(a attempt, newPIN bool) {
	s.takeOver(a.records)
	t := s.would.Token(a.seen.serial)
	if t == nil || a.answer.Verdict != Accept {
		return
	}
	if newPIN && t.hasPIN() {
		s.fold(a.at, events.Draft{Origin: a.origin, Event: events.PINSet{
			Serial: t.Serial, User: a.user, Revision: t.PINRevision, Sealed: t.PIN,
		}})
		s.renewed[t.Serial] = struct{}{}
	}
	if t.timed() && a.seen.emergency == 0 && t.Drift != a.seen.drift {
		s.fold(a.at, events.Draft{Origin: a.origin, Event: events.DriftAdjusted{
			Serial: t.Serial, User: a.user, From: t.Drift, Drift: a.seen.drift,
		}})
	}
}

// at reports whether a user is at this turn of a conversation in the other
// state.
func (s *Simulation) at(user string, c *events.Conversation) bool {
	u := s.would.User(user)
	return u != nil && u.Conversation != nil &&
		u.Conversation.ID == c.ID && u.Conversation.Turn == c.Turn && u.Conversation.Step == c.Step
}

// afterDivergence replays an answer in a conversation that does not exist in
// the other state. A user who was accepted without it stays accepted. For a
// user who was refused, a wrong answer is a wrong guess. A PIN that was set is
// set in any case.
func (s *Simulation) afterDivergence(a attempt) {
	p := s.diverged[a.user]
	refused := p.conversation != a.within.ID || p.refused
	if a.answer.Verdict == Accept {
		if !refused {
			s.takeOver(a.records)
			return
		}
		s.effect(a.user).Refused++
	}
	if a.counted && refused {
		if d, err := DecideLogin(s.would, a.origin, a.wrongGuess(s.would), a.at); err == nil {
			s.foldAll(a, d)
		}
	}
	for _, r := range a.records {
		if _, ok := r.Event.(events.PINSet); ok {
			s.fold(r.Time, r.Draft)
		}
	}
}
