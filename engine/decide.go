package engine

import (
	"fmt"

	"keyfob/events"
)

// Command is a change that an administrator, or the cluster itself, asks for.
// The set is closed: each command decides itself, in the file of its subject.
//
//sumtype:decl
type Command interface {
	// decide returns the events that carry the command out, none when all is so
	// already. It changes nothing. The error is a *Refusal.
	decide(s *State, now events.Time) ([]events.Event, error)
}

// Codes of refusals.
const (
	NotFound = "not_found"
	Exists   = "exists"
	Invalid  = "invalid"
	Conflict = "conflict"
	Risky    = "risky" // a policy that has to be forced
)

// Decide decides a command. It changes nothing. The error is a *Refusal.
func Decide(s *State, o events.Origin, c Command, now events.Time) (Decision, error) {
	if s.alreadyDone(o.Request) {
		return Decision{}, nil
	}
	facts, err := c.decide(s, now)
	if err != nil {
		return Decision{}, err
	}
	var d Decision
	for _, e := range facts {
		d.Drafts = append(d.Drafts, events.Draft{Origin: o, Event: e})
	}
	return d, nil
}

func refuse(code, format string, args ...any) error {
	return &Refusal{Code: code, Text: fmt.Sprintf(format, args...)}
}

// refuseHelp refuses a command and names the operation that helps.
func refuseHelp(code string, help Help, format string, args ...any) error {
	return &Refusal{Code: code, Text: fmt.Sprintf(format, args...), Help: help}
}

func one(e events.Event) ([]events.Event, error) { return []events.Event{e}, nil }

// unless is one event, or none where all is so already.
func unless(already bool, e events.Event) ([]events.Event, error) {
	if already {
		return nil, nil
	}
	return one(e)
}
