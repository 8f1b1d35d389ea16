package api

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"keyfob/engine"
	"keyfob/events"
)

const (
	simulateFor    = 15 * time.Minute // the longest simulation
	simulateEvery  = time.Second      // between lines of progress
	simulateStride = 1024             // records between readings of the clock
	maxEffects     = 10_000           // users in the result
)

// SimulationLine is one line of a simulation's answer: the progress or, on the
// last line, the result.
type SimulationLine struct {
	Done   uint64            `json:"done,omitempty" doc:"Events replayed so far."`
	Total  uint64            `json:"total,omitempty" doc:"Events in total."`
	Result *SimulationResult `json:"result,omitempty"`
}

// SimulationResult is the effect that other settings would have had.
type SimulationResult struct {
	Since    time.Time         `json:"since"`
	Sequence uint64            `json:"sequence" doc:"Sequence number of the last event replayed."`
	Complete bool              `json:"complete" doc:"False if the simulation took too long and ended at that event."`
	Users    int               `json:"users" doc:"Users who attempted to log in."`
	Touched  int               `json:"touched" doc:"Users whose logins would have ended differently."`
	Totals   SimulatedEffect   `json:"totals"`
	Effects  []SimulatedEffect `json:"effects" doc:"Affected users by name, at most ten thousand."`
}

// SimulatedEffect is the effect on the logins of a user.
type SimulatedEffect struct {
	User    string `json:"user,omitempty"`
	Logins  int    `json:"logins" doc:"Logins that were accepted."`
	Refused int    `json:"refused" doc:"Accepted logins that would have been refused."`
	Locked  int    `json:"locked" doc:"Number of locks under the other settings."`
	Was     int    `json:"locked_actually" doc:"Number of locks that happened."`
	NewPIN  int    `json:"new_pin_required" doc:"Number of times that a new PIN would have been required."`
	Next    int    `json:"next_tokencode" doc:"Number of logins that would have required the next tokencode."`
}

// SimulatePolicyRequest replays the journal under a changed policy.
type SimulatePolicyRequest struct {
	PolicySettings
	Since time.Time `json:"since" doc:"Time from which the settings apply."`
}

type simulatePolicyInput struct{ Body SimulatePolicyRequest }

func (a *API) simulation() {
	op := huma.Operation{
		Method:      post,
		Path:        Prefix + "/policy/simulate",
		OperationID: "simulate-policy",
		Summary:     "Simulate other settings: which logins would have been refused, locked, or asked for more",
		Description: "Roles: " + auditors.String() + ". Changes nothing. One line per second reports the progress; the last line has the result.",
		Tags:        []string{"policy"},
		Metadata:    map[string]any{rolesKey: auditors},
		Responses: map[string]*huma.Response{"200": {
			Description: "Lines of SimulationLine",
			Content: map[string]*huma.MediaType{"application/x-ndjson": {
				Schema: huma.SchemaFromType(a.huma.OpenAPI().Components.Schemas, reflect.TypeFor[SimulationLine]()),
			}},
		}},
	}
	huma.Register(a.huma, op, a.simulate)
}

// simulate starts a simulation. Like a fold it needs the memory of a whole state,
// so only one of the two runs at a time.
func (a *API) simulate(ctx context.Context, in *simulatePolicyInput) (*huma.StreamResponse, error) {
	if _, err := engine.PreviewPolicy(a.cfg.Node.State(), in.Body.Settings, events.At(a.cfg.Now())); err != nil {
		return nil, a.problemOf(ctx, "simulate-policy", err)
	}
	if err := a.wholeJournal(); err != nil {
		return nil, err
	}
	select {
	case a.folding <- struct{}{}:
	default:
		return nil, again(problem(http.StatusServiceUnavailable, "busy", "this node is already folding its journal for another request; try again, or ask another node"))
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer func() { <-a.folding }()
		a.playAll(hc, engine.Simulate(in.Body.Settings, events.At(in.Body.Since)), in.Body.Since)
	}}, nil
}

// playAll replays the journal and writes the progress, until the end, the time
// limit, or the end of the request. An error cuts the connection, so that the
// answer lacks its last line.
func (a *API) playAll(hc huma.Context, s *engine.Simulation, since time.Time) {
	r, w := humago.Unwrap(hc)
	out := newLines(w)
	result := SimulationResult{Since: since.UTC(), Complete: true}
	_, last := a.cfg.Journal.Bounds()
	began := a.cfg.Now()
	said := began
	for record, err := range a.cfg.Journal.Records(r.Context(), 1, false) {
		if err == nil {
			err = s.Play(record)
		}
		if err != nil {
			a.cfg.Log.ErrorContext(r.Context(), "policy simulation failed", "sequence", record.Sequence, "err", err)
			panic(http.ErrAbortHandler)
		}
		result.Sequence = record.Sequence
		if record.Sequence%simulateStride != 0 {
			continue
		}
		now := a.cfg.Now()
		if now.Sub(began) > simulateFor {
			result.Complete = false
			break
		}
		if now.Sub(said) < simulateEvery {
			continue
		}
		said = now
		if !out.write(SimulationLine{Done: record.Sequence, Total: last}) {
			return
		}
	}
	if r.Context().Err() != nil {
		return
	}
	effects := s.Effects()
	all, users := s.Totals()
	result.Users, result.Touched, result.Totals = users, len(effects), SimulatedEffect(all)
	result.Effects = make([]SimulatedEffect, 0, min(len(effects), maxEffects))
	for _, e := range effects[:min(len(effects), maxEffects)] {
		result.Effects = append(result.Effects, SimulatedEffect(e))
	}
	out.write(SimulationLine{Result: &result})
}

// lines writes an answer line by line and flushes each one.
type lines struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func newLines(w http.ResponseWriter) lines {
	l := lines{w, http.NewResponseController(w)}
	_ = l.control.SetReadDeadline(time.Time{}) // the request has been read
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	return l
}

// write reports whether the client still reads.
func (l lines) write(line any) bool {
	_ = l.control.SetWriteDeadline(time.Now().Add(writeWait))
	return json.NewEncoder(l.w).Encode(line) == nil && l.control.Flush() == nil
}
