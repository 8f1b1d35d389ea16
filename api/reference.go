package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"keyfob/engine"
	"keyfob/engine/diagnosis"
	"keyfob/events"
)

const (
	referenceReach  = 2_000_000 // records searched for a reference
	referenceFor    = 10 * time.Second
	referenceStride = 4096 // records read at once, backwards
)

// ReferenceReport is what a reference stands for: an attempt of a user, or a
// command.
type ReferenceReport struct {
	Reference string           `json:"reference"`
	Time      *time.Time       `json:"time"`
	User      string           `json:"user,omitempty"`
	Known     bool             `json:"known" doc:"The user exists now. An unknown name is not in the trail."`
	Serial    string           `json:"serial,omitempty"`
	Outcome   string           `json:"outcome" doc:"accept, reject or challenge; changed: a command."`
	Reason    string           `json:"reason,omitempty"`
	Offset    *int64           `json:"offset,omitempty" doc:"Distance of the tokencode from the expected one, in intervals or presses."`
	Words     string           `json:"words" doc:"What happened, as a sentence."`
	Next      string           `json:"next,omitempty" doc:"What helps now: the steps as one sentence."`
	Steps     []Step           `json:"steps" doc:"What helps now, as alternatives."`
	Now       []string         `json:"now" doc:"What prevents or complicates the next login now, as sentences."`
	Success   *time.Time       `json:"last_success,omitempty"`
	Door      string           `json:"door"`
	Client    string           `json:"client,omitempty"`
	SourceIP  string           `json:"source_ip,omitempty"`
	Node      string           `json:"node"`
	Site      string           `json:"site,omitempty"`
	Actor     string           `json:"actor,omitempty" doc:"The administrator, for a command."`
	Note      string           `json:"note,omitempty" doc:"The reason that the administrator gave."`
	Events    []ReferenceEvent `json:"events" doc:"The events with this reference, in order."`
	Searched  Searched         `json:"searched"`
}

// ReferenceEvent is one event with the reference.
type ReferenceEvent struct {
	Sequence uint64     `json:"sequence"`
	Time     *time.Time `json:"time"`
	Name     string     `json:"name"`
	Words    string     `json:"words"`
}

// Searched is the range that was searched, newest first.
type Searched struct {
	From  uint64     `json:"from"`
	To    uint64     `json:"to"`
	Since *time.Time `json:"since,omitempty" doc:"Time of the oldest event searched."`
	Whole bool       `json:"whole" doc:"The whole trail was searched."`
}

type referenceQuery struct {
	Reference string `path:"reference" minLength:"4" maxLength:"64" doc:"The reference; case, dashes and spaces are ignored."`
}

func (a *API) references() {
	register(a, route{get, "/audit/references/{reference}", "show-reference", "Show what a reference stands for", readers, 0}, a.showReference)
}

func (a *API) showReference(ctx context.Context, in *referenceQuery) (*answer[ReferenceReport], error) {
	reference := events.CanonicalReference(in.Reference)
	if !events.IsReference(reference) {
		return nil, invalid(fmt.Sprintf("%.64q is not a reference; a reference has eight letters and digits, such as 7K3M-QX4P", in.Reference))
	}
	leave, err := a.streams.enter(callerOf(ctx))
	if err != nil {
		return nil, err
	}
	defer leave()
	found, searched, err := a.find(ctx, reference)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, notRecorded(in.Reference, searched)
	}
	v := viewReference(a.cfg.Node.State(), found, searched, events.At(a.cfg.Now()))
	if v.Reason == string(events.ReasonConversationExpired) {
		if err := a.addEndedBy(ctx, &v, found[0]); err != nil {
			return nil, err
		}
	}
	if events.CanonicalReference(v.Reference) != reference {
		v.standsFor(in.Reference)
	}
	return answered(v), nil
}

// find searches for a reference, newest first, until it has all events of one
// attempt or command, which are adjacent, or reaches a limit.
func (a *API) find(ctx context.Context, reference string) ([]events.Record, Searched, error) {
	first, last := a.cfg.Journal.Bounds()
	s := Searched{From: last + 1, To: last}
	began := a.cfg.Now()
	var found []events.Record
	for s.From > first && last+1-s.From < referenceReach && a.cfg.Now().Sub(began) < referenceFor {
		end := s.From
		s.From = max(first, end-min(end, referenceStride))
		part, at, err := a.withReference(ctx, reference, s.From, end)
		if err != nil {
			return nil, s, err
		}
		s.Since = instant(at)
		found = append(part, found...)
		if len(found) > 0 && found[0].Sequence > s.From {
			break
		}
	}
	s.Whole = s.From <= first
	return found, s, nil
}

// withReference returns the records with a reference between two numbers, the second one
// exclusive, and the time of the first record read.
func (a *API) withReference(ctx context.Context, reference string, from, end uint64) (found []events.Record, at events.Time, err error) {
	for r, err := range a.cfg.Journal.Records(ctx, from, false) {
		if err != nil {
			return nil, 0, fmt.Errorf("searching for a reference: %w", err)
		}
		if r.Sequence >= end {
			break
		}
		if r.Sequence == from {
			at = r.Time
		}
		if hasReference(r, reference) {
			found = append(found, r)
		}
	}
	return found, at, ctx.Err()
}

// hasReference reports whether a record has a reference, or stands for a refusal that
// had it.
func hasReference(r events.Record, reference string) bool {
	if r.Origin.Reference != "" && events.CanonicalReference(r.Origin.Reference) == reference {
		return true
	}
	e, ok := r.Event.(events.PasscodeRejected)
	return ok && slices.ContainsFunc(e.Others, func(other string) bool { return events.CanonicalReference(other) == reference })
}

// standsFor turns the report on a sampled refusal into that of another one that it
// stands for.
func (v *ReferenceReport) standsFor(reference string) {
	v.Words += "; this one has no record of its own, and the details are those of the last one"
	v.Reference = reference
}

// notRecorded says what was searched without success.
func notRecorded(reference string, s Searched) error {
	how := "the whole audit trail of this node"
	if !s.Whole && s.Since != nil {
		how = fmt.Sprintf("events %d to %d, back to %s", s.From, s.To, s.Since.Format(time.RFC3339))
	}
	return problem(http.StatusNotFound, "not_found", fmt.Sprintf(
		"reference %s not found in %s; of many refusals that change nothing (unknown, locked or disabled users, no token) not all are recorded, so look at the state of the user", reference, how))
}

func viewReference(s *engine.State, found []events.Record, searched Searched, now events.Time) ReferenceReport {
	o, attempt := found[0].Origin, diagnosis.AttemptOf(found)
	v := ReferenceReport{
		Reference: o.Reference, Time: instant(found[0].Time), Now: []string{},
		Door: string(o.Door), Client: o.Client, SourceIP: o.SourceIP, Node: o.Node, Site: o.Site, Actor: o.Actor, Note: o.Note,
		User: attempt.User, Serial: attempt.Serial, Outcome: cmp.Or(attempt.Outcome, "changed"), Reason: string(attempt.Reason), Offset: attempt.Offset,
		Words: eventWords(s, found[0]), Steps: viewAdvice(attempt.Advice(s, now)), Searched: searched,
	}
	v.Next = stepsInWords(v.Steps)
	for _, r := range found {
		v.Events = append(v.Events, ReferenceEvent{Sequence: r.Sequence, Time: instant(r.Time), Name: events.Name(r.Event), Words: eventWords(s, r)})
	}
	if u := s.User(v.User); u != nil {
		v.Known, v.Now, v.Success = true, findingWords(u, diagnosis.Findings(s, u, now)), instant(u.LastSuccess)
	}
	return v
}

// addEndedBy adds the administrator's command that ended the conversation of a
// refused attempt, if it came shortly before.
func (a *API) addEndedBy(ctx context.Context, v *ReferenceReport, of events.Record) error {
	first, _ := a.cfg.Journal.Bounds()
	t := diagnosis.NewTrail(v.User, 1)
	for r, err := range a.cfg.Journal.Records(ctx, max(first, of.Sequence-min(of.Sequence, referenceStride)), false) {
		if err != nil {
			return fmt.Errorf("searching for what ended a conversation: %w", err)
		}
		t.Add(r)
		if r.Sequence >= of.Sequence {
			break
		}
	}
	if last := t.NewestFirst(); len(last) == 1 && last[0].EndedBy != nil {
		v.Words = "refused: " + refusalWords(a.cfg.Node.State(), last[0].Refusal)
		v.Events[0].Words = v.Words
	}
	return nil
}
