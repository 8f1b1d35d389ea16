package engine

import (
	"slices"

	"keyfob/events"
)

// Simulation plays what happened once more, under another policy. It knows of
// an attempt what the journal knows: which token, where its tokencode lay, why
// it was refused. PINs it does not know: one that was set under looser rules
// counts as one to be changed.
type Simulation struct {
	state    *State
	settings map[string]string // of a profile too
	wrong    error             // there is no such profile
	changed  bool              // the other policy is in force
	since    events.Time
	effects  map[string]*Effect
}

// Effect is what the other policy would have done to a user.
type Effect struct {
	User    string `json:"user"`
	Logins  int    `json:"logins"`           // that were let in
	Refused int    `json:"refused"`          // of those, that would not have been
	Locked  int    `json:"locked"`           // times, instead of Actually
	Was     int    `json:"locked_actually"`  // times, in fact
	NewPIN  int    `json:"new_pin_required"` // times that a new PIN would have been asked for
	Next    int    `json:"next_tokencode"`   // logins that would have asked for the next tokencode
}

// Simulate begins a simulation: settings are in force from since on.
func Simulate(settings map[string]string, since events.Time) *Simulation {
	settings, err := expand(settings)
	return &Simulation{
		state: NewState(), settings: settings, wrong: err, since: since,
		effects: map[string]*Effect{},
	}
}

// Play takes the next record of the journal. The error is a *Refusal of the
// settings.
func (s *Simulation) Play(r events.Record) error {
	if s.wrong != nil {
		return s.wrong
	}
	if r.Time < s.since {
		s.state.Apply(r.Time, r.Draft)
		return nil
	}
	if !s.changed {
		facts, err := s.state.setPolicy(s.settings)
		if err != nil {
			return err
		}
		for _, e := range facts {
			s.state.Apply(r.Time, events.Draft{Event: e})
		}
		s.changed = true
	}
	if command, in, ok := s.attempt(r); ok {
		s.decide(r, command, in)
		return nil
	}
	if e, ok := r.Event.(events.UserLockedOut); ok {
		s.effect(e.User).Was++
	}
	if !s.follows(r) {
		s.state.Apply(r.Time, r.Draft)
	}
	return nil
}

// Totals are the effects on all users together, and how many were seen.
func (s *Simulation) Totals() (all Effect, users int) {
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
	var all []Effect
	for _, e := range s.effects {
		if e.Refused+e.NewPIN+e.Next > 0 || e.Locked != e.Was {
			all = append(all, *e)
		}
	}
	slices.SortFunc(all, func(a, b Effect) int {
		if a.User < b.User {
			return -1
		}
		return 1
	})
	return all
}

func (s *Simulation) effect(user string) *Effect {
	if s.effects[user] == nil {
		s.effects[user] = &Effect{User: user}
	}
	return s.effects[user]
}

// follows reports whether a record is what an attempt led to: the simulation
// decides that itself.
func (s *Simulation) follows(r events.Record) bool {
	if r.Origin.Actor != "" {
		change, ok := r.Event.(events.PolicyChanged)
		_, ours := s.settings[change.Key]
		return ok && ours
	}
	switch r.Event.(type) {
	case events.FailureCounted, events.FailuresReset, events.UserLockedOut, events.NextTokencodeRequired, events.DriftAdjusted,
		events.PasscodeChallenged, events.PasscodeRejected, events.TokenResynchronized:
		return true
	}
	return false
}

// attempt is the first step of a login as the journal knows it, and whether it
// let somebody in. Answers within a conversation are not played: whether it
// would have come to them is what the simulation tells.
func (s *Simulation) attempt(r events.Record) (c Authenticate, in, ok bool) {
	switch e := r.Event.(type) {
	case events.PasscodeAccepted:
		if e.Use.Emergency != 0 {
			return c, false, false
		}
		return s.evidence(e.User, e.Use.Serial, e.Use.Interval, true, true), true, true
	case events.PasscodeRejected:
		if e.User == "" || e.Ended || e.Conversation != nil || e.Quiet {
			return c, false, false
		}
		t := s.state.Token(e.Serial)
		switch {
		case e.Reason == events.ReasonBadPIN:
			return s.evidence(e.User, e.Serial, 0, true, false), false, true
		case e.Offset != nil && t != nil:
			return s.evidence(e.User, e.Serial, t.expected(r.Time)+*e.Offset, true, true), false, true
		case e.Reason == events.ReasonBadTokencode, e.Reason == events.ReasonThrottled:
			return s.evidence(e.User, "", 0, false, false), false, true
		}
	}
	return c, false, false
}

// evidence is what Check would have found.
func (s *Simulation) evidence(user, serial string, interval int64, found, pin bool) Authenticate {
	c := Authenticate{User: user}
	u := s.state.User(user)
	if u == nil {
		return c
	}
	for _, other := range u.Tokens {
		t := s.state.Token(other)
		if t == nil {
			continue
		}
		e := TokenEvidence{Serial: other, Revision: t.Revision}
		if other == serial {
			e.Found, e.PIN, e.Interval = found, pin, interval
			e.Unfit = pin && t.hasPIN() && (int(t.PINMin) < s.state.Policy.PINMin || t.PINLetters && !s.state.Policy.PINAlphanumeric)
		}
		c.Evidence.Tokens = append(c.Evidence.Tokens, e)
	}
	return c
}

// decide plays one attempt under the other policy.
func (s *Simulation) decide(r events.Record, c Authenticate, in bool) {
	o := r.Origin
	d, err := Decide(s.state, o, c, r.Time)
	if err != nil {
		return // of a token that the journal has lost sight of
	}
	effect := s.effect(c.User)
	for _, draft := range d.Drafts {
		if _, ok := draft.Event.(events.UserLockedOut); ok {
			effect.Locked++
		}
		s.state.Apply(r.Time, draft)
	}
	if !in {
		return
	}
	effect.Logins++
	switch {
	case d.Answer.Verdict == Reject:
		effect.Refused++
	case d.Answer.Verdict == Challenge && d.Answer.Conversation.Step == events.StepNextTokencode:
		effect.Next++
	case d.Answer.Verdict == Challenge:
		effect.NewPIN++
	}
	if accepted, ok := r.Event.(events.PasscodeAccepted); ok && d.Answer.Verdict == Challenge {
		s.goThrough(r, accepted, d.Answer.Conversation.Step != events.StepNextTokencode)
	}
}

// goThrough plays that a user was asked for more and had it: a new PIN, where
// one was asked for, and the tokencode that moves the drift.
func (s *Simulation) goThrough(r events.Record, e events.PasscodeAccepted, newPIN bool) {
	s.state.Apply(r.Time, r.Draft)
	t := s.state.Token(e.Use.Serial)
	if t == nil {
		return
	}
	if newPIN && t.hasPIN() {
		s.state.Apply(r.Time, events.Draft{Origin: r.Origin, Event: events.PINSet{
			Serial: t.Serial, User: e.User, Revision: t.PINRevision + 1, Sealed: t.PIN,
		}})
	}
	if t.timed() && t.Drift != e.Use.Drift {
		s.state.Apply(r.Time, events.Draft{Origin: r.Origin, Event: events.DriftAdjusted{
			Serial: t.Serial, User: e.User, From: t.Drift, Drift: e.Use.Drift,
		}})
	}
}
