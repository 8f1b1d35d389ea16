// Package nodetest holds the nodes that front ends are tested with to the
// behavior of the real node.
//
//   - Run is the conformance suite. The real node, Node and every scripted node
//     in the tests of a front end pass it, each for what it claims to do.
//   - Node is a node without a cluster: the engine's rules over a state in
//     memory, with a clock that the test sets. Use it where a test needs the
//     rules.
//   - Script is a node that answers what a test tells it to. Use it where a test
//     needs one particular answer. It refuses to give an answer that no node
//     gives, so a front end is not tested against, and grows no code for, what
//     cannot happen.
//
// The package does not import cluster, so the tests of a front end do not depend
// on Raft. The suite leaves out what the real node adds and front ends do not
// rely on: the refusal delay and the gate.
package nodetest

import (
	"errors"
	"fmt"

	"keyfob/engine"
	"keyfob/events"
)

// Possible returns nil if a node can answer an attempt with out and err, or what
// is wrong with that.
func Possible(out engine.Outcome, err error) error {
	open := out.Prompt.Step != events.StepNone
	switch {
	case err != nil && !errors.Is(err, engine.ErrUndecided) && !errors.Is(err, engine.ErrBusy):
		return fmt.Errorf("the error wraps neither ErrUndecided nor ErrBusy: %w", err)
	case err != nil && out.Verdict != engine.Reject:
		return fmt.Errorf("verdict %v with an error: %w", out.Verdict, err)
	case err != nil:
		return nil
	case out.Verdict > engine.Proved:
		return fmt.Errorf("verdict %d is unknown", out.Verdict)
	case open != (out.Conversation != ""):
		return fmt.Errorf("step %q with conversation %q", out.Prompt.Step, out.Conversation)
	case out.Verdict == engine.Challenge && !open:
		return errors.New("a challenge without a conversation")
	case open && out.Verdict != engine.Challenge && out.Verdict != engine.Reject:
		return fmt.Errorf("verdict %v with an open conversation", out.Verdict)
	case (out.Verdict == engine.Proved) != (out.Word != "" && !out.Expires.IsZero()):
		return fmt.Errorf("verdict %v with the word %v", out.Verdict, out.Word)
	case out.Wait > 0 && (out.Verdict != engine.Reject || out.Reason != events.ReasonThrottled || open):
		return fmt.Errorf("verdict %v (%s) with a wait", out.Verdict, out.Reason)
	}
	return nil
}

// PossibleCommand returns nil if a node can answer a command with err.
func PossibleCommand(err error) error {
	var refusal *engine.Refusal
	var waits *engine.Waiting
	if err == nil || errors.As(err, &refusal) || errors.As(err, &waits) || errors.Is(err, engine.ErrUndecided) || errors.Is(err, engine.ErrBusy) {
		return nil
	}
	return fmt.Errorf("the error is no *Refusal, no *Waiting, and wraps neither ErrUndecided nor ErrBusy: %w", err)
}
