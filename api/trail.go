package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"keyfob/events"
)

// Every operation leaves a trace. A command that succeeds is recorded by the
// engine, as the events that it decided. One that fails, and reading what is
// known of people, is recorded here, sampled, because a caller with a credential
// could otherwise fill the log. Refused callers are recorded by guard.

// Observer counts administrators' commands, for metrics. No argument names a
// person.
type Observer interface {
	// Command is called for each command: the operation, and ok, waiting, or the
	// code of the problem.
	Command(operation, result string)
	// Refused is called for each caller who is refused: why.
	Refused(reason string)
}

// unobserved is used if there is no observer.
type unobserved struct{}

func (unobserved) Command(string, string) {}
func (unobserved) Refused(string)         {}

// sensitive lists the operations that only read, and whose readers are
// recorded: the audit trail, and what is known of one user.
var sensitive = map[string]bool{
	"read-audit": true, "read-user-audit": true, "show-reference": true, "show-state": true,
}

// harmlessPosts are the operations that change nothing although they take a
// body, and logins, which have events of their own.
var harmlessPosts = map[string]bool{"preview-policy": true, "simulate-policy": true, "authenticate": true, "open-session": true}

// isCommand reports whether an operation changes something.
func isCommand(o *huma.Operation) bool {
	return o.Method != http.MethodGet && !harmlessPosts[o.OperationID]
}

// result is what became of a request, for the trail.
type result struct{ problem string }

type resultKey struct{}

// noteProblem remembers the code of the problem that a request is answered
// with.
func noteProblem(ctx context.Context, code string) {
	if r, ok := ctx.Value(resultKey{}).(*result); ok {
		r.problem = code
	}
}

// carryOut lets a request through to its operation and records how it ended.
func (a *API) carryOut(ctx huma.Context, who caller, next func(huma.Context)) {
	end := &result{}
	known := as(ctx, who)
	next(huma.WithContext(known, context.WithValue(known.Context(), resultKey{}, end)))
	operation, outcome := ctx.Operation(), end.outcome(ctx.Status())
	if isCommand(operation) {
		a.observer.Command(operation.OperationID, outcome)
	}
	subject := strings.Join([]string{who.name, operation.OperationID}, " ")
	switch {
	case outcome == "ok" && sensitive[operation.OperationID]:
		of := ctx.Param("user") + ctx.Param("reference")
		a.cfg.Refused(strings.TrimSpace(subject+" "+of), a.originOf(who), events.RecordsRead{Operation: operation.OperationID, Subject: of})
	case outcome != "ok" && outcome != "waiting":
		a.cfg.Refused(subject+" "+outcome, a.originOf(who), events.CommandRefused{Operation: operation.OperationID, Problem: outcome})
	}
}

// outcome is ok, waiting, or the code of the problem.
func (r *result) outcome(status int) string {
	switch {
	case status == http.StatusAccepted:
		return "waiting"
	case r.problem != "":
		return r.problem
	case status < http.StatusBadRequest:
		return "ok"
	case status < http.StatusInternalServerError:
		return "invalid" // the request does not match its schema
	default:
		return "internal"
	}
}
