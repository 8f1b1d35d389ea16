package nodetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"

	"keyfob/engine"
	"keyfob/events"
)

// keptAnswers is how many answers a Script keeps for retries.
const keptAnswers = 16

// Script is a node that answers what Decide and Execute say. It panics at an
// answer that no node gives. Its methods may be called from any goroutine.
type Script struct {
	Decide  func(engine.Attempt) (engine.Outcome, error)
	Execute func(engine.Command) error // nil: every command succeeds
	// Impossible lets Decide and Execute answer what no node answers, for a test
	// that shows that a front end denies even then.
	Impossible bool

	mu       sync.Mutex // guards the fields below
	attempts []engine.Attempt
	answers  []answered
	commands []engine.Command
	fault    error
}

type answered struct {
	request events.Request
	outcome engine.Outcome
}

// Authenticate answers an attempt, and a retry with what was answered before.
func (s *Script) Authenticate(ctx context.Context, a engine.Attempt) (engine.Outcome, error) {
	s.mu.Lock()
	s.attempts = append(s.attempts, a)
	fault, decide, impossible := s.fault, s.Decide, s.Impossible
	before := slices.IndexFunc(s.answers, func(old answered) bool { return old.request == a.Origin.Request })
	var again engine.Outcome
	if before >= 0 {
		again = s.answers[before].outcome
	}
	s.mu.Unlock()
	switch {
	case fault != nil:
		return engine.Outcome{}, fault
	case a.Origin.Request.IsZero():
		return engine.Outcome{}, fmt.Errorf("the attempt has no request id: %w", engine.ErrUndecided)
	case ctx.Err() != nil:
		return engine.Outcome{}, fmt.Errorf("%w: %w", engine.ErrUndecided, ctx.Err())
	case before >= 0:
		return again, nil
	}
	out, err := decide(a)
	if impossible {
		return out, err
	}
	if out.Verdict == engine.Reject && err == nil && out.Reference == "" {
		out.Reference = a.Origin.Reference
	}
	if wrong := Possible(out, err); wrong != nil {
		panic("no node answers this: " + wrong.Error())
	}
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.answers) == keptAnswers {
			s.answers = s.answers[1:]
		}
		s.answers = append(s.answers, answered{a.Origin.Request, out})
	}
	return out, err
}

// Do answers a command.
func (s *Script) Do(ctx context.Context, _ events.Origin, c engine.Command) error {
	s.mu.Lock()
	s.commands = append(s.commands, c)
	fault, execute := s.fault, s.Execute
	s.mu.Unlock()
	var err error
	switch {
	case fault != nil:
		err = fault
	case ctx.Err() != nil:
		err = fmt.Errorf("%w: %w", engine.ErrUndecided, ctx.Err())
	case execute != nil:
		err = execute(c)
	}
	if wrong := PossibleCommand(err); wrong != nil && !s.Impossible {
		panic("no node answers this: " + wrong.Error())
	}
	return err
}

// Fail makes the node answer everything with an error, which wraps
// engine.ErrUndecided or engine.ErrBusy; nil ends that.
func (s *Script) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = err
}

// Attempts returns the attempts that reached the node.
func (s *Script) Attempts() []engine.Attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.attempts)
}

// Commands returns the commands that reached the node.
func (s *Script) Commands() []engine.Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}

// Reset forgets the attempts and commands.
func (s *Script) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts, s.commands = nil, nil
}

// Request returns a new request id.
func Request() (r events.Request) {
	_, _ = rand.Read(r[:]) // never fails
	return r
}
