package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"keyfob/engine"
)

// problem is an RFC 9457 problem. The code is the part that programs read.
func problem(status int, code, detail string) *huma.ErrorModel {
	return &huma.ErrorModel{
		Type:   "urn:keyfob:problem:" + code,
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

// problemOf is what a caller is told of an error: the rules' own words, which
// are made to be read, and of everything else only that it happened.
func (a *API) problemOf(ctx context.Context, operation string, err error) error {
	var refusal *engine.Refusal
	var ready huma.StatusError
	switch {
	case errors.As(err, &ready):
		return err // with the headers that it may have
	case errors.As(err, &refusal):
		return withHelp(problem(statusOf(refusal.Code), refusal.Code, refusal.Text), refusal.Help)
	case errors.Is(err, engine.ErrBusy):
		return again(problem(http.StatusServiceUnavailable, "busy", "this node has more to do than it may queue; nothing was changed, ask again or ask another node"))
	case errors.Is(err, engine.ErrUndecided):
		a.cfg.Log.WarnContext(ctx, "command undecided", "operation", operation, "err", err)
		return again(withHelp(problem(http.StatusServiceUnavailable, "undecided",
			"the cluster could not decide: it has no leader, or this node cannot reach it; check the result before you try again"), engine.HelpListNodes))
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return again(problem(http.StatusServiceUnavailable, "undecided", "the request ended before the cluster answered; look before you ask again"))
	default:
		a.cfg.Log.ErrorContext(ctx, "request failed", "operation", operation, "err", err)
		return problem(http.StatusInternalServerError, "internal", "the node could not do it; its log says why")
	}
}

func statusOf(code string) int {
	switch code {
	case "not_found":
		return http.StatusNotFound
	case "exists", "conflict":
		return http.StatusConflict
	default:
		return http.StatusUnprocessableEntity
	}
}

func again(p error) error { return later(p, 0) }

// later is a problem that may be gone after a while.
func later(p error, wait time.Duration) error {
	return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {seconds(wait)}})
}

// seconds is a wait as Retry-After has it, at least one.
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

// withoutValues takes what was sent out of huma's problems: it may be a seed
// or a PIN typed into the wrong field.
func withoutValues(_ huma.Context, _ string, body any) (any, error) {
	if p, ok := body.(*huma.ErrorModel); ok {
		for i, e := range p.Errors {
			p.Errors[i] = &huma.ErrorDetail{Message: e.Message, Location: e.Location}
		}
	}
	return body, nil
}
