package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"keyfob/engine"
)

const problemType = "urn:keyfob:problem:"

// problem returns an RFC 9457 problem. Programs read the code.
func problem(status int, code, detail string) *huma.ErrorModel {
	return &huma.ErrorModel{
		Type:   problemType + code,
		Title:  http.StatusText(status),
		Status: status,
		Detail: detail,
	}
}

// helped is a problem that names the operation that helps.
type helped struct {
	*huma.ErrorModel
	Help engine.Help `json:"help"`
}

// withHelp names the operation that helps against a problem, if there is one.
func withHelp(p *huma.ErrorModel, help engine.Help) error {
	if help == "" {
		return p
	}
	return &helped{p, help}
}

// problemOf returns the problem that a caller gets for an error, and notes its
// code for the trail.
func (a *API) problemOf(ctx context.Context, operation string, err error) error {
	err = a.worded(ctx, operation, err)
	noteProblem(ctx, codeOf(err))
	return err
}

// codeOf returns the code of a problem, or nothing for any other error.
func codeOf(err error) string {
	var plain *huma.ErrorModel
	var with *helped
	if errors.As(err, &with) {
		plain = with.ErrorModel
	}
	if plain == nil && !errors.As(err, &plain) {
		return ""
	}
	return strings.TrimPrefix(plain.Type, problemType)
}

// worded returns the text of a refusal, and for any other error only that it
// happened.
func (a *API) worded(ctx context.Context, operation string, err error) error {
	var refusal *engine.Refusal
	var ready huma.StatusError
	err = a.pending(err, nil)
	switch {
	case errors.As(err, &ready):
		return err // already a problem
	case errors.As(err, &refusal):
		return withHelp(problem(statusOf(refusal.Code), refusal.Code, refusal.Text), refusal.Help)
	case errors.Is(err, engine.ErrBusy):
		return again(problem(http.StatusServiceUnavailable, "busy", "this node is overloaded; nothing was changed; try again, or ask another node"))
	case errors.Is(err, engine.ErrUndecided):
		a.cfg.Log.WarnContext(ctx, "command undecided", "operation", operation, "err", err)
		return again(withHelp(problem(http.StatusServiceUnavailable, "undecided",
			"the cluster could not decide: it has no leader, or this node cannot reach it; check the result before you try again"), engine.HelpListNodes))
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return again(problem(http.StatusServiceUnavailable, "undecided", "the request ended before the cluster answered; check the result before you try again"))
	default:
		a.cfg.Log.ErrorContext(ctx, "request failed", "operation", operation, "err", err)
		return problem(http.StatusInternalServerError, "internal", "internal error; the log of the node has the details")
	}
}

func statusOf(code string) int {
	switch code {
	case "not_found":
		return http.StatusNotFound
	case "forbidden":
		return http.StatusForbidden
	case "exists", "conflict":
		return http.StatusConflict
	default:
		return http.StatusUnprocessableEntity
	}
}

func again(p error) error { return later(p, 0) }

// later adds a Retry-After to a problem.
func later(p error, wait time.Duration) error {
	return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {seconds(wait)}})
}

// seconds formats a wait for Retry-After, at least one second.
func seconds(wait time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(wait.Seconds()))))
}

func throttled(detail string) *huma.ErrorModel {
	return problem(http.StatusTooManyRequests, "throttled", detail)
}

func notFound(what, name string, help engine.Help) error {
	return withHelp(problem(http.StatusNotFound, "not_found", fmt.Sprintf("%s %.64q not found", what, name)), help)
}

func invalid(detail string) error {
	return problem(http.StatusUnprocessableEntity, "invalid", detail)
}

// withoutValues removes the values of a request from huma's problems. A value may
// be a seed, or a PIN in the wrong field.
func withoutValues(_ huma.Context, _ string, body any) (any, error) {
	if p, ok := body.(*huma.ErrorModel); ok {
		for i, e := range p.Errors {
			p.Errors[i] = &huma.ErrorDetail{Message: e.Message, Location: e.Location}
		}
	}
	return body, nil
}
