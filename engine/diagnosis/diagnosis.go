// Package diagnosis explains refusals: what an attempt was refused for, what
// stands between a user and the next login, and what helps.
//
// It answers typed findings and steps and contains no text for people. Each
// front end words them: the command line as commands, a page as buttons, the
// API as JSON. The sets are closed, so the linter names every front end that
// has no words for a new member.
//
// Everything here is a function of the state, of records of the journal and of
// the time that the caller passes in.
package diagnosis

import (
	"slices"

	"keyfob/engine"
	"keyfob/events"
)

// Diagnosis is where a user stands: what stands in the way of the next login,
// the last refusal if nothing has resolved it since, and what helps now.
type Diagnosis struct {
	Findings []Finding
	Last     *Entry
	Advice   Advice
}

// Of diagnoses a user. The trail has read the user's records.
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
