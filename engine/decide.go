package engine

import (
	"fmt"
	"slices"

	"keyfob/events"
)

// Command is a change that an administrator or the cluster asks for. The set is
// closed. Each command decides itself, in the file of its subject.
//
//sumtype:decl
type Command interface {
	// decide returns the events that carry the command out, or none if there is
	// nothing to change. It does not change the state. The error is a *Refusal.
	decide(s *State, now events.Time) ([]events.Event, error)
}

// Codes of refusals.
const (
	NotFound = "not_found"
	Exists   = "exists"
	Invalid  = "invalid"
	Conflict = "conflict"
	Risky    = "risky" // a policy change that must be forced
	// Forbidden means that the actor may not do this.
	Forbidden = "forbidden"
)

// Decide decides a command. It does not change the state. The error is a
// *Refusal. A command that needs an approval is not carried out;
// Decision.Waits then names the approval.
func Decide(s *State, o events.Origin, c Command, now events.Time) (Decision, error) {
	if s.alreadyDone(o.Request) {
		return Decision{Waits: s.waitsFor(o.Request)}, nil
	}
	if err := s.mayAct(o, c, now); err != nil {
		return Decision{}, err
	}
	if j, ok := c.(judgement); ok {
		return s.judge(o, j, now)
	}
	facts, err := c.decide(s, now)
	if err != nil {
		return Decision{}, err
	}
	if err := s.mayTouch(o, facts); err != nil {
		return Decision{}, err
	}
	if slices.ContainsFunc(facts, s.outdated) {
		return Decision{}, ErrStale
	}
	groups := s.needsApproval(o, facts)
	if s.unchecked(o, facts, now) {
		groups = append(groups, GroupCaller)
	}
	if len(groups) > 0 {
		return s.await(o, c, facts, groups, now)
	}
	return Decision{Drafts: drafts(o, facts)}, nil
}

func drafts(o events.Origin, facts []events.Event) []events.Draft {
	var all []events.Draft
	for _, e := range facts {
		all = append(all, events.Draft{Origin: o, Event: e})
	}
	return all
}

func refuse(code, format string, args ...any) error {
	return &Refusal{Code: code, Text: fmt.Sprintf(format, args...)}
}

// refuseHelp returns a refusal with the operation that helps.
func refuseHelp(code string, help Help, format string, args ...any) error {
	return &Refusal{Code: code, Text: fmt.Sprintf(format, args...), Help: help}
}

func one(e events.Event) ([]events.Event, error) { return []events.Event{e}, nil }

// unless returns one event, or none if there is nothing to change.
func unless(already bool, e events.Event) ([]events.Event, error) {
	if already {
		return nil, nil
	}
	return one(e)
}
