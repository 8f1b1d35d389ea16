// Package diagnosis explains refusals: why an attempt was refused, what prevents
// the next login of a user, and what helps.
//
// It returns typed findings and steps, and no text for people. Each front end
// words them: the command line as commands, a page as buttons, the API as JSON.
// The sets are closed, so the linter reports every front end that has no words
// for a new member.
//
// All functions depend only on the state, on records of the journal, and on the
// time that the caller passes in.
package diagnosis

import (
	"slices"

	"keyfob/engine"
	"keyfob/events"
)

// Diagnosis is the present situation of a user: the obstacles to the next login,
// the last refusal if nothing has resolved it since, and what helps.
type Diagnosis struct {
	Findings []Finding
	Last     *Entry
	Advice   Advice
}

// Of returns the diagnosis of a user, from the state and the user's trail.
func Of(s *engine.State, u *engine.User, t *Trail, now events.Time) Diagnosis {
	d := Diagnosis{Findings: Findings(s, u, now)}
	if last, ok := t.unresolved(); ok {
		d.Last = &last
	}
	blocked := slices.IndexFunc(d.Findings, func(f Finding) bool { return f.Blocks })
	switch {
	case blocked >= 0:
		d.Advice = Remedy(d.Findings[blocked].Obstacle)
	case d.Last != nil:
		d.Advice = d.Last.Advice(s, now)
	case len(d.Findings) > 0:
		d.Advice = Remedy(d.Findings[0].Obstacle)
	}
	return d
}
