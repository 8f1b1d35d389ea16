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
	referenceReach  = 2_000_000 // records looked through for a reference
	referenceFor    = 10 * time.Second
	referenceStride = 4096 // records read at once, going back
)

// ReferenceReport is everything that carries a reference: what a user who
// reads it out was told, and why.
type ReferenceReport struct {
	Reference string           `json:"reference"`
	Time      *time.Time       `json:"time"`
	User      string           `json:"user,omitempty"`
	Known     bool             `json:"known" doc:"Whether there is such a user now. An unknown name is not in the trail."`
	Serial    string           `json:"serial,omitempty"`
	Outcome   string           `json:"outcome" doc:"accept, reject, challenge; changed: it was a command."`
	Reason    string           `json:"reason,omitempty"`
	Offset    *int64           `json:"offset,omitempty" doc:"Intervals that the tokencode lay from where the token's clock was believed to be."`
	Words     string           `json:"words" doc:"The same, to be read out."`
	Next      string           `json:"next,omitempty" doc:"What helps now: the steps as one sentence."`
	Steps     []Step           `json:"steps" doc:"What helps now, as alternatives."`
	Now       []string         `json:"now" doc:"What stands between the user and a login now."`
	Success   *time.Time       `json:"last_success,omitempty"`
	Door      string           `json:"door"`
	Client    string           `json:"client,omitempty"`
	SourceIP  string           `json:"source_ip,omitempty"`
	Node      string           `json:"node"`
	Site      string           `json:"site,omitempty"`
	Actor     string           `json:"actor,omitempty" doc:"Who commanded it."`
	Note      string           `json:"note,omitempty" doc:"The administrator's reason."`
	Events    []ReferenceEvent `json:"events" doc:"In order."`
	Searched  Searched         `json:"searched"`
}

// ReferenceEvent is one event that carries the reference.
type ReferenceEvent struct {
	Sequence uint64     `json:"sequence"`
	Time     *time.Time `json:"time"`
	Name     string     `json:"name"`
	Words    string     `json:"words"`
}

// Searched is how far was looked, newest first.
type Searched struct {
	From  uint64     `json:"from"`
	To    uint64     `json:"to"`
	Since *time.Time `json:"since,omitempty" doc:"When the oldest event looked at happened."`
	Whole bool       `json:"whole" doc:"No event is older than those."`
}

type referenceQuery struct {
	Reference string `path:"reference" minLength:"4" maxLength:"64" doc:"As it was read out; case, dashes and spaces do not matter."`
}

func (a *API) references() {
	register(a, route{get, "/audit/references/{reference}", "show-reference", "Say what a reference stands for that a user reads out", readers, 0}, a.showReference)
}

func (a *API) showReference(ctx context.Context, in *referenceQuery) (*answer[ReferenceReport], error) {
	reference := events.CanonicalReference(in.Reference)
	if !events.IsReference(reference) {
		return nil, invalid(fmt.Sprintf("%.64q is no reference: it has eight letters and digits, such as 7K3M-QX4P", in.Reference))
	}
	if err := a.read(); err != nil {
		return nil, err
	}
	defer func() { <-a.streaming }()
	found, searched, err := a.find(ctx, reference)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, notRecorded(in.Reference, searched)
	}
	v := viewReference(a.cfg.Node.State(), found, searched, events.At(a.cfg.Now()))
	if v.Reason == string(events.ReasonConversationExpired) {
		if err := a.sayWhatEnded(ctx, &v, found[0]); err != nil {
			return nil, err
		}
	}
	if events.CanonicalReference(v.Reference) != reference {
		v.standsFor(in.Reference)
	}
	return answered(v), nil
}

// find looks for a reference, newest first, until it has all events of one
// attempt or command, which lie side by side, or has looked far enough.
func (a *API) find(ctx context.Context, reference string) ([]events.Record, Searched, error) {
	first, last := a.cfg.Journal.Bounds()
	s := Searched{From: last + 1, To: last}
	began := a.cfg.Now()
	var found []events.Record
	for s.From > first && last+1-s.From < referenceReach && a.cfg.Now().Sub(began) < referenceFor {
		end := s.From
		s.From = max(first, end-min(end, referenceStride))
		part, at, err := a.carrying(ctx, reference, s.From, end)
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

// carrying is the records from one number up to another, exclusive, that carry
// a reference, and when the first of all was.
func (a *API) carrying(ctx context.Context, reference string, from, end uint64) (found []events.Record, at events.Time, err error) {
	for r, err := range a.cfg.Journal.Records(ctx, from, false) {
		if err != nil {
			return nil, 0, fmt.Errorf("looking for a reference: %w", err)
		}
		if r.Sequence >= end {
			break
		}
		if r.Sequence == from {
			at = r.Time
		}
		if carries(r, reference) {
			found = append(found, r)
		}
	}
	return found, at, ctx.Err()
}

// carries reports whether a record is of the attempt or command with a
// reference, or stands for it among others.
func carries(r events.Record, reference string) bool {
	if r.Origin.Reference != "" && events.CanonicalReference(r.Origin.Reference) == reference {
		return true
	}
	e, ok := r.Event.(events.PasscodeRejected)
	return ok && slices.ContainsFunc(e.Others, func(other string) bool { return events.CanonicalReference(other) == reference })
}

// standsFor makes of the report on one refusal that of another, which left no
// record of its own: only when and why is known of it.
func (v *ReferenceReport) standsFor(reference string) {
	v.Words += "; this one left no record of its own, and what follows is of the last of them"
	v.Reference = reference
}

// notRecorded says how far was looked in vain.
func notRecorded(reference string, s Searched) error {
	how := "the whole trail of this node"
	if !s.Whole && s.Since != nil {
		how = fmt.Sprintf("events %d to %d, back to %s", s.From, s.To, s.Since.Format(time.RFC3339))
	}
	return problem(http.StatusNotFound, "not_found", fmt.Sprintf(
		"no event carries the reference %s; looked through %s. Of many refusals that change nothing (unknown, locked or disabled users, no token) not all are recorded: see keyfob state show USER", reference, how))
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

// sayWhatEnded says what an administrator did shortly before a refusal, and
// ended the steps that it was to go on with.
func (a *API) sayWhatEnded(ctx context.Context, v *ReferenceReport, of events.Record) error {
	first, _ := a.cfg.Journal.Bounds()
	t := diagnosis.NewTrail(v.User, 1)
	for r, err := range a.cfg.Journal.Records(ctx, max(first, of.Sequence-min(of.Sequence, referenceStride)), false) {
		if err != nil {
			return fmt.Errorf("looking for what ended a conversation: %w", err)
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
