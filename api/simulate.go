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
	simulateEvery  = time.Second      // between two lines that say how far it is
	simulateStride = 1024             // records between two looks at the clock
	maxEffects     = 10_000           // users listed
)

// SimulationLine is one line of a simulation's answer: how far it is, or at
// the end the result.
type SimulationLine struct {
	Done   uint64            `json:"done,omitempty" doc:"Events played."`
	Total  uint64            `json:"total,omitempty" doc:"Events there are."`
	Result *SimulationResult `json:"result,omitempty"`
}

// SimulationResult is what would have become of people under other rules.
type SimulationResult struct {
	Since    time.Time         `json:"since"`
	Sequence uint64            `json:"sequence" doc:"Of the last event played."`
	Complete bool              `json:"complete" doc:"False when it took too long, and ended at that event."`
	Users    int               `json:"users" doc:"That tried to log in."`
	Touched  int               `json:"touched" doc:"Of them, whose logins would have gone otherwise."`
	Totals   SimulatedEffect   `json:"totals"`
	Effects  []SimulatedEffect `json:"effects" doc:"Of the users touched, in order of name, the first ten thousand."`
}

// SimulatedEffect is what would have become of a user's logins.
type SimulatedEffect struct {
	User    string `json:"user,omitempty"`
	Logins  int    `json:"logins" doc:"That were let in."`
	Refused int    `json:"refused" doc:"Of those, that would not have been."`
	Locked  int    `json:"locked" doc:"Times, instead of locked_actually."`
	Was     int    `json:"locked_actually" doc:"Times, in fact."`
	NewPIN  int    `json:"new_pin_required" doc:"Times that a new PIN would have been asked for."`
	Next    int    `json:"next_tokencode" doc:"Logins that would have been asked for the next tokencode."`
}

// SimulatePolicyRequest replays the journal under a changed policy.
type SimulatePolicyRequest struct {
	PolicySettings
	Since time.Time `json:"since" doc:"From when on the settings are in force."`
}

type simulatePolicyInput struct{ Body SimulatePolicyRequest }

func (a *API) simulation() {
	op := huma.Operation{
		Method:      post,
		Path:        Prefix + "/policy/simulate",
		OperationID: "simulate-policy",
		Summary:     "Play the journal under other rules: who would have been refused, locked, asked for more",
		Description: "For: " + auditors.String() + ". It changes nothing. One line a second says how far it is; the last one has the result.",
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

// simulate begins a simulation. It takes the memory of a whole state, as a
// fold does, and so the place of one.
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
		return nil, again(problem(http.StatusServiceUnavailable, "busy", "this node folds its journal for somebody else just now; ask again or ask another node"))
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer func() { <-a.folding }()
		a.playAll(hc, engine.Simulate(in.Body.Settings, events.At(in.Body.Since)), in.Body.Since)
	}}, nil
}

// playAll plays the journal and writes how far it is, until it is done, has
// taken too long, or the reader has gone. What fails cuts the answer short:
// without its last line it is none.
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
			a.cfg.Log.ErrorContext(r.Context(), "simulating a policy", "sequence", record.Sequence, "err", err)
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

// lines writes an answer line by line, each as soon as it is there.
type lines struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func newLines(w http.ResponseWriter) lines {
	l := lines{w, http.NewResponseController(w)}
	_ = l.control.SetReadDeadline(time.Time{}) // the request was read; that its sender is there still is seen without
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	return l
}

// write reports whether the reader is there still.
func (l lines) write(line any) bool {
	_ = l.control.SetWriteDeadline(time.Now().Add(writeWait))
	return json.NewEncoder(l.w).Encode(line) == nil && l.control.Flush() == nil
}
