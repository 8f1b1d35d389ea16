package engine

import (
	"reflect"
	"slices"
	"strings"

	"keyfob/events"
)

// Simulation plays what happened once more, under another policy. It keeps two
// states: as it was, and as it would have been. What the journal tells of an
// attempt (replay.go) is decided in both. Where they come to the same, what
// happened is taken over as it stands, so that the policy that was in force
// touches nobody; an effect is where they differ.
//
// Of an attempt the journal knows which token, where its tokencode lay, why it
// was refused. PINs it does not know: one that was set under looser rules
// counts as one to be changed. Whoever is asked for more than in fact is taken
// to have it.
type Simulation struct {
	was      *State
	would    *State            // nil before since
	settings map[string]string // of a profile too
	wrong    error             // there is no such profile
	since    events.Time
	waiting  []events.Record     // of one attempt, as long as more of it may come
	parted   map[string]parting  // users whose conversation went another way
	renewed  map[string]struct{} // serials whose PIN was changed on the way, and not in fact
	effects  map[string]*Effect  // by user
}

// Effect is what the other policy would have done to a user.
type Effect struct {
	User    string `json:"user"`
	Logins  int    `json:"logins"`           // that were let in
	Refused int    `json:"refused"`          // of those, that would not have been
	Locked  int    `json:"locked"`           // times, instead of Was
	Was     int    `json:"locked_actually"`  // times, in fact
	NewPIN  int    `json:"new_pin_required"` // times that a new PIN would have been asked for, and was not
	Next    int    `json:"next_tokencode"`   // the same of the next tokencode
}

// parting is where a user's conversation went another way than in fact.
type parting struct {
	conversation events.Request
	refused      bool // the user would have been; otherwise let in without it
}

// Simulate begins a simulation: settings are in force from since on.
func Simulate(settings map[string]string, since events.Time) *Simulation {
	settings, err := expand(settings)
	return &Simulation{
		was: NewState(), settings: settings, wrong: err, since: since,
		parted: map[string]parting{}, renewed: map[string]struct{}{}, effects: map[string]*Effect{},
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

// begin puts the other policy in force.
func (s *Simulation) begin(now events.Time) error {
	s.would = s.was.Copy()
	facts, err := s.would.setPolicy(s.settings)
	for _, e := range facts {
		s.would.Apply(now, events.Draft{Event: e})
	}
	return err
}

// Totals are the effects on all users together, and how many tried to log in.
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

// Effects are the users whom the policy would have touched, in order of name.
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

// playWaiting plays the records that belong together.
func (s *Simulation) playWaiting() {
	records := s.waiting
	s.waiting = nil
	if a, ok := attemptOf(records); ok {
		s.play(a)
	} else {
		s.happensToo(records)
	}
	for _, r := range records {
		s.was.Apply(r.Time, r.Draft)
		if e, ok := r.Event.(events.UserLockedOut); ok {
			s.effect(e.User).Was++
		}
	}
}

// happensToo folds what happened into the state as it would have been, but for
// changes of the settings that are tried.
func (s *Simulation) happensToo(records []events.Record) {
	for _, r := range records {
		change, ok := r.Event.(events.PolicyChanged)
		if _, tried := s.settings[change.Key]; ok && tried {
			continue
		}
		s.fold(r.Time, r.Draft)
	}
}

// fold folds an event into the state as it would have been.
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
		s.apart(a)
		return
	}
	if !ok {
		s.happensToo(a.records)
		return
	}
	was, err := DecideLogin(s.was, a.origin, command(s.was), a.at)
	would, err2 := DecideLogin(s.would, a.origin, command(s.would), a.at)
	if err != nil || err2 != nil || reflect.DeepEqual(was, would) {
		s.happensToo(a.records)
		return
	}
	s.differs(a, would)
}

// differs notes that an attempt would have gone another way.
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
		s.parted[a.user] = parting{open.ID, got.Verdict == Reject}
	}
}

func (s *Simulation) foldAll(a attempt, d Decision) {
	for _, draft := range d.Drafts {
		s.fold(a.at, draft)
	}
}

// goThrough plays that a user was asked for more and had it: a new PIN, where
// one was asked for, and the tokencode that moves the drift.
func (s *Simulation) goThrough(a attempt, newPIN bool) {
	s.happensToo(a.records)
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

// at reports whether a user would be standing at this turn of a conversation.
func (s *Simulation) at(user string, c *events.Conversation) bool {
	u := s.would.User(user)
	return u != nil && u.Conversation != nil &&
		u.Conversation.ID == c.ID && u.Conversation.Turn == c.Turn && u.Conversation.Step == c.Step
}

// apart plays what was answered in a conversation to which it would not have
// come. Who would have been let in without it is in; who would have been
// refused is out, and a wrong answer of his is a wrong guess like others. A PIN
// that was set is set all the same.
func (s *Simulation) apart(a attempt) {
	p := s.parted[a.user]
	refused := p.conversation != a.within.ID || p.refused
	if a.answer.Verdict == Accept {
		if !refused {
			s.happensToo(a.records)
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
