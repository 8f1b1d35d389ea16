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
	maxRefusals  = 10      // shown of a user
	refusalReach = 200_000 // records looked through for them
)

// UserState is where a user stood after a record of the journal.
type UserState struct {
	Sequence     uint64            `json:"sequence" doc:"Of the last event that this rests on."`
	Time         *time.Time        `json:"time,omitempty" doc:"Of that event."`
	User         User              `json:"user"`
	Summary      string            `json:"summary" doc:"In words: what stands between the user and the next login, and the last refusal, unless a success or a remedy has settled it."`
	Next         string            `json:"next,omitempty" doc:"What helps: the steps as one sentence."`
	Steps        []Step            `json:"steps" doc:"What helps, as alternatives."`
	Budgets      []FailureBudget   `json:"budgets" doc:"Of failures: strangers cannot use up the one of trusted clients."`
	Tokens       []Token           `json:"tokens"`
	Drifts       []TokenDrift      `json:"drifts" doc:"Of the tokens that follow a clock."`
	Conversation *OpenConversation `json:"conversation,omitempty" doc:"What the user is being asked for."`
	Refusals     []Refused         `json:"refusals" doc:"The last ones, newest first."`
}

// OpenConversation is a conversation that waits for its user.
type OpenConversation struct {
	Serial  string     `json:"serial"`
	Step    string     `json:"step"`
	Door    string     `json:"door"`
	Expires *time.Time `json:"expires,omitempty"`
}

// Refused is an attempt that was refused, and why.
type Refused struct {
	Sequence  uint64     `json:"sequence"`
	Time      *time.Time `json:"time"`
	Reason    string     `json:"reason"`
	Words     string     `json:"words" doc:"The reason, to be read out."`
	Next      string     `json:"next" doc:"What helps now: the steps as one sentence."`
	Steps     []Step     `json:"steps" doc:"What helps now, as alternatives."`
	Problem   string     `json:"problem,omitempty" doc:"The rule that the last new PIN broke."`
	Settled   bool       `json:"settled" doc:"A success or a remedy has come after it."`
	Reference string     `json:"reference,omitempty" doc:"What the user was shown."`
	Serial    string     `json:"serial,omitempty"`
	Offset    *int64     `json:"offset,omitempty" doc:"Intervals that the tokencode lay from where the token's clock was believed to be."`
	Door      string     `json:"door"`
	Client    string     `json:"client,omitempty"`
	SourceIP  string     `json:"source_ip,omitempty"`
	Node      string     `json:"node"`
}

// ShowStateQuery selects the point in time of a user's state.
type ShowStateQuery struct {
	At string `query:"at" maxLength:"64" doc:"A sequence number or an RFC 3339 time: the state then, folded from the journal. Locks and waits are judged at that time, or at that of the event."`
}

type stateInput struct {
	UserPath
	ShowStateQuery
}

func (a *API) showState(ctx context.Context, in *stateInput) (*answer[UserState], error) {
	if err := a.read(); err != nil {
		return nil, err
	}
	defer func() { <-a.streaming }()
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
				return nil, fmt.Errorf("reading journal: %w", err)
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
		return nil, problem(http.StatusNotFound, "not_found", fmt.Sprintf("there was no user %s then, after event %d", in.User, view.Sequence))
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

// fill shows what the state knows of a user.
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

// parseMoment reads the number of an event, which is one of those up to last,
// or a time.
func parseMoment(text string, last uint64) (moment, error) {
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		if n < 1 || n > last {
			return moment{}, invalid(fmt.Sprintf("there is no event %d; the last one here is %d", n, last))
		}
		return moment{sequence: n}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return moment{}, invalid("at " + text + " is neither a sequence number nor a time like 2026-11-02T15:04:05Z")
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

// fold makes the state again from the first record on. It takes the memory of
// a whole state, so it is done for one caller at a time.
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
			return folded{}, fmt.Errorf("folding journal: %w", err)
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

// wholeJournal is a problem where a state cannot be folded.
func (a *API) wholeJournal() error {
	if first, _ := a.cfg.Journal.Bounds(); first > 1 {
		return problem(http.StatusConflict, "conflict",
			fmt.Sprintf("this node's journal begins with event %d, and a state is folded from the first one: ask a node that has been there from the beginning", first))
	}
	return nil
}
