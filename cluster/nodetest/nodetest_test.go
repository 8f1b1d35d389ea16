package nodetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

func TestNodeConforms(t *testing.T) {
	Run(t, func(t *testing.T) Subject {
		now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
		n := New(func() time.Time { return now })
		return SubjectOf(t, n, func() time.Time { return now }, func(d time.Duration) { now = now.Add(d) },
			func() { n.Fail(errors.New("stopped")) })
	})
}

func TestScriptConforms(t *testing.T) {
	Run(t, func(*testing.T) Subject {
		s := &Script{Decide: func(a engine.Attempt) (engine.Outcome, error) {
			if a.Typed == "right" {
				return engine.Outcome{Verdict: engine.Accept}, nil
			}
			return engine.Outcome{Reason: events.ReasonBadTokencode}, nil
		}}
		attempt := func(typed engine.Secret) func() engine.Attempt {
			return func() engine.Attempt {
				return engine.Attempt{Origin: events.Origin{Request: Request()}, User: "ada", Typed: typed}
			}
		}
		return Subject{
			Authenticate: s.Authenticate, Do: s.Do, Accepted: attempt("right"), Refused: attempt("wrong"),
			Stop: func() { s.Fail(engine.ErrUndecided) },
		}
	})
}

// TestImpossibleAnswersAreFound lists what a front end need not be prepared for.
func TestImpossibleAnswersAreFound(t *testing.T) {
	step := engine.Prompt{Step: events.StepNewPIN}
	for name, tc := range map[string]struct {
		out engine.Outcome
		err error
	}{
		"a conversation that is over as an error": {err: engine.ErrConversation},
		"an error of no kind":                     {err: errors.New("broken")},
		"an accept with an error":                 {out: engine.Outcome{Verdict: engine.Accept}, err: engine.ErrBusy},
		"an unknown verdict":                      {out: engine.Outcome{Verdict: 77}},
		"a proof without a word":                  {out: engine.Outcome{Verdict: engine.Proved}},
		"a word without a proof":                  {out: engine.Outcome{Verdict: engine.Accept, Word: "7K3 MQX", Expires: time.Unix(1, 0)}},
		"a challenge without a conversation":      {out: engine.Outcome{Verdict: engine.Challenge, Prompt: step}},
		"a challenge without a step":              {out: engine.Outcome{Verdict: engine.Challenge, Conversation: "c"}},
		"a challenge without either":              {out: engine.Outcome{Verdict: engine.Challenge}},
		"an accept that asks":                     {out: engine.Outcome{Verdict: engine.Accept, Prompt: step, Conversation: "c"}},
		"a wait for another reason":               {out: engine.Outcome{Reason: events.ReasonBadPIN, Wait: time.Second}},
	} {
		if Possible(tc.out, tc.err) == nil {
			t.Errorf("%s is taken for possible", name)
		}
		s := &Script{Decide: func(engine.Attempt) (engine.Outcome, error) { return tc.out, tc.err }}
		if answers(s, t) {
			t.Errorf("a script answers %s", name)
		}
	}
	if PossibleCommand(errors.New("broken")) == nil {
		t.Error("an error of no kind is taken for the answer to a command")
	}
	for _, err := range []error{nil, &engine.Refusal{Code: engine.NotFound}, fmt.Errorf("late: %w", engine.ErrUndecided), engine.ErrBusy} {
		if wrong := PossibleCommand(err); wrong != nil {
			t.Error(wrong)
		}
	}
}

// answers reports whether a script gives its answer instead of panicking.
func answers(s *Script, t *testing.T) (ok bool) {
	defer func() { _ = recover() }()
	_, _ = s.Authenticate(t.Context(), engine.Attempt{Origin: events.Origin{Request: Request()}})
	return true
}
