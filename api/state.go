package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"keyfob/engine"
	"keyfob/engine/diagnosis"
	"keyfob/events"
)

const (
	maxRefusals  = 10      // in an answer
	refusalReach = 200_000 // records searched for refusals
)

// UserState is the state of a user after a record of the journal.
type UserState struct {
	Sequence     uint64            `json:"sequence" doc:"Sequence number of the last event that the state includes."`
	Time         *time.Time        `json:"time,omitempty" doc:"Time of that event."`
	User         User              `json:"user"`
	Summary      string            `json:"summary" doc:"What prevents or complicates the next login, and the last refusal if nothing has resolved it since, as a sentence."`
	Next         string            `json:"next,omitempty" doc:"What helps: the steps as one sentence."`
	Steps        []Step            `json:"steps" doc:"What helps, as alternatives."`
	Budgets      []FailureBudget   `json:"budgets" doc:"Failure budgets. Strangers cannot use up the budget of trusted clients."`
	Tokens       []Token           `json:"tokens"`
	Drifts       []TokenDrift      `json:"drifts" doc:"Drift of the tokens that follow a clock."`
	Conversation *OpenConversation `json:"conversation,omitempty" doc:"What the user is asked for."`
	Refusals     []Refused         `json:"refusals" doc:"The last refusals, newest first."`
}

// OpenConversation is a conversation that waits for the user.
type OpenConversation struct {
	Serial  string     `json:"serial"`
	Step    string     `json:"step"`
	Door    string     `json:"door"`
	Expires *time.Time `json:"expires,omitempty"`
}

// Refused is a refused attempt.
type Refused struct {
	Sequence  uint64     `json:"sequence"`
	Time      *time.Time `json:"time"`
	Reason    string     `json:"reason"`
	Words     string     `json:"words" doc:"The reason as a sentence."`
	Next      string     `json:"next" doc:"What helps now: the steps as one sentence."`
	Steps     []Step     `json:"steps" doc:"What helps now, as alternatives."`
	Problem   string     `json:"problem,omitempty" doc:"The rule that the last new PIN broke."`
	Settled   bool       `json:"settled" doc:"A success or a remedy came after it."`
	Reference string     `json:"reference,omitempty" doc:"The reference that the user was shown."`
	Serial    string     `json:"serial,omitempty"`
	Offset    *int64     `json:"offset,omitempty" doc:"Distance of the tokencode from the expected one, in intervals or presses."`
	Door      string     `json:"door"`
	Client    string     `json:"client,omitempty"`
	SourceIP  string     `json:"source_ip,omitempty"`
	Node      string     `json:"node"`
}

// ShowStateQuery selects the point in time of a user's state.
type ShowStateQuery struct {
	At string `query:"at" maxLength:"64" doc:"A sequence number or an RFC 3339 time. The state at that point is folded from the journal; locks and waits are evaluated at that time, or at the time of the event."`
}

type stateInput struct {
	UserPath
	ShowStateQuery
}

func (a *API) showState(ctx context.Context, in *stateInput) (*answer[UserState], error) {
	leave, err := a.streams.enter(callerOf(ctx))
	if err != nil {
		return nil, err
	}
	defer leave()
	name := canonical(in.User)
	trail := diagnosis.NewTrail(name, maxRefusals)
	first, end := a.cfg.Journal.Bounds()
	state := a.cfg.Node.State()
	now := events.At(a.cfg.Now())
	view := UserState{Sequence: end, Time: instant(state.Time)}

	if in.At == "" {
		from := first
		if end > refusalReach {
			from = max(first, end-refusalReach)
		}
		for record, err := range a.cfg.Journal.Records(ctx, from, false) {
			if err != nil {
				return nil, fmt.Errorf("reading the journal: %w", err)
			}
			trail.Add(record)
		}
	} else {
		until, err := parseMoment(in.At, end)
		if err != nil {
			return nil, err
		}
		folded, err := a.fold(ctx, until, trail.Add)
		if err != nil {
			return nil, err
		}
		state, view.Sequence, view.Time = folded.state, folded.sequence, instant(folded.time)
		// Locks and waits end without an event.
		now = max(folded.time, until.time)
	}

	u := state.User(name)
	switch {
	case u == nil && in.At != "":
		return nil, problem(http.StatusNotFound, "not_found", fmt.Sprintf("user %.64q did not exist at that time, after event %d", in.User, view.Sequence))
	case u == nil:
		return nil, notFound("user", in.User, engine.HelpListUsers)
	}
	view.fill(state, u, now)
	if c := u.Conversation; c != nil && c.Expires > now {
		view.Conversation = &OpenConversation{Serial: c.Serial, Step: string(c.Step), Door: string(c.Door), Expires: instant(c.Expires)}
	}
	view.Refusals = viewRefusals(state, trail, now)
	view.summarize(state, u, diagnosis.Of(state, u, trail, now))
	if in.At == "" && a.cfg.Sound != nil && !a.cfg.Sound() && state.NeedsTime(u, now) {
		view.Summary = reasonWords[events.ReasonClockSkew] + ": it cannot decide logins of this user; " + view.Summary
	}
	return answered(view), nil
}

// fill adds what the state knows of a user.
func (v *UserState) fill(s *engine.State, u *engine.User, now events.Time) {
	v.User, v.Budgets = viewUser(u, now), viewBudgetsOf(s.Policy, u, now)
	v.Tokens, v.Drifts = []Token{}, []TokenDrift{}
	for _, serial := range u.Tokens {
		t := s.Token(serial)
		if t == nil {
			continue
		}
		v.Tokens = append(v.Tokens, viewToken(s, t, now))
		if t.Period != 0 {
			v.Drifts = append(v.Drifts, viewDrift(t, s.Policy))
		}
	}
}

// summarize says in one line what stands in the way, and the last refusal if
// nothing has resolved it since.
func (v *UserState) summarize(s *engine.State, u *engine.User, d diagnosis.Diagnosis) {
	v.Steps = viewAdvice(d.Advice)
	v.Next = stepsInWords(v.Steps)
	parts := findingWords(u, d.Findings)
	switch {
	case d.Last != nil && d.Last.TellsClock():
		parts = append([]string{refusalWords(s, d.Last.Refusal)}, parts...)
	case d.Last != nil:
		if len(parts) == 0 {
			parts = []string{"nothing prevents a login"}
		}
		parts = append(parts, "last refused "+stamp(d.Last.Record.Time)+": "+refusalWords(s, d.Last.Refusal))
	case len(parts) == 0:
		parts = []string{"no problems found"}
	}
	v.Summary = strings.Join(parts, "; ")
}

// viewRefusals lists the refusals of a trail, newest first.
func viewRefusals(s *engine.State, t *diagnosis.Trail, now events.Time) []Refused {
	views := []Refused{}
	for _, e := range t.NewestFirst() {
		o, steps := e.Record.Origin, viewAdvice(e.Advice(s, now))
		views = append(views, Refused{
			Sequence: e.Record.Sequence, Time: instant(e.Record.Time), Reason: string(e.Reason), Reference: o.Reference,
			Words: refusalWords(s, e.Refusal), Next: stepsInWords(steps), Steps: steps, Problem: string(e.Problem), Settled: t.Resolved(e),
			Serial: e.Serial, Offset: e.Offset, Door: string(o.Door), Client: o.Client, SourceIP: o.SourceIP, Node: o.Node,
		})
	}
	return views
}

// moment is a place in the journal.
type moment struct {
	sequence uint64
	time     events.Time
}

// parseMoment reads a time, or the number of an event up to last.
func parseMoment(text string, last uint64) (moment, error) {
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		if n < 1 || n > last {
			return moment{}, invalid(fmt.Sprintf("event %d not found; the last one on this node is %d", n, last))
		}
		return moment{sequence: n}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return moment{}, invalid(fmt.Sprintf("at %.64q is neither a sequence number nor a time such as 2026-11-02T15:04:05Z", text))
	}
	return moment{time: events.At(t)}, nil
}

// before reports whether a record comes after m.
func (m moment) before(r events.Record) bool {
	if m.time.IsZero() {
		return r.Sequence > m.sequence
	}
	return r.Time > m.time
}

type folded struct {
	state    *engine.State
	sequence uint64
	time     events.Time
}

// fold rebuilds the state from the first record on. It needs the memory of a whole
// state, so it serves one caller at a time.
func (a *API) fold(ctx context.Context, until moment, look func(events.Record)) (folded, error) {
	select {
	case a.folding <- struct{}{}:
		defer func() { <-a.folding }()
	case <-ctx.Done():
		return folded{}, ctx.Err()
	}
	if err := a.wholeJournal(); err != nil {
		return folded{}, err
	}
	f := folded{state: engine.NewState()}
	for record, err := range a.cfg.Journal.Records(ctx, 1, false) {
		if err != nil {
			return folded{}, fmt.Errorf("folding the journal: %w", err)
		}
		if until.before(record) {
			break
		}
		f.state.Apply(record.Time, record.Draft)
		f.sequence, f.time = record.Sequence, record.Time
		look(record)
	}
	return f, nil
}

// wholeJournal returns a problem if this node cannot fold a state.
func (a *API) wholeJournal() error {
	if first, _ := a.cfg.Journal.Bounds(); first > 1 {
		return problem(http.StatusConflict, "conflict",
			fmt.Sprintf("the journal of this node starts with event %d, and a past state is folded from the first one; ask a node with the whole journal", first))
	}
	return nil
}
