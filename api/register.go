package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// route is one operation and who may call it.
type route struct {
	method  string
	path    string // below Prefix
	id      string
	summary string
	roles   roles
	status  int // of success, default 200, or 204 without a body
}

const rolesKey = "roles"

// largeRequest is implemented by requests that may be longer than others.
type largeRequest interface{ maxBytes() int64 }

// register adds an operation. It turns every error of the handler into a problem,
// so that no error text reaches a caller by accident.
func register[I, O any](a *API, r route, handle func(context.Context, *I) (*O, error)) {
	tag, _, _ := strings.Cut(strings.TrimPrefix(r.path, "/"), "/")
	op := huma.Operation{
		Method:        r.method,
		Path:          Prefix + r.path,
		OperationID:   r.id,
		Summary:       r.summary,
		Description:   "Roles: " + r.roles.String() + ".",
		Tags:          []string{tag},
		DefaultStatus: r.status,
		MaxBodyBytes:  maxBody,
		Metadata:      map[string]any{rolesKey: r.roles},
	}
	if r.roles.has(roleAnyone) {
		op.Security = []map[string][]string{{}}
	}
	if l, ok := any(new(I)).(largeRequest); ok {
		op.MaxBodyBytes = l.maxBytes()
	}
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, a.problemOf(ctx, r.id, err)
		}
		return out, nil
	})
}

// answer is the body of an answer.
type answer[T any] struct{ Body T }

func answered[T any](body T) *answer[T] { return &answer[T]{body} }

// none is an answer without a body.
type none struct{}

// CommandRequest is the body of a command that takes nothing but a reason. Every
// other request that changes something embeds it.
type CommandRequest struct {
	Reason string `json:"reason" minLength:"1" maxLength:"200" doc:"Why, for the audit trail."`
}

// RemovalQuery is the query of a request that deletes something.
type RemovalQuery struct {
	Reason string `query:"reason" required:"true" minLength:"1" maxLength:"200" doc:"Why, for the audit trail."`
}

// Page asks for part of a listing.
type Page struct {
	After string `query:"after" maxLength:"256" doc:"The next of the previous page; empty: the first page."`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Maximum number of items."`
}

// List is part of a listing.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"Value of after for the next page; absent on the last page."`
}

// page returns the part of all that p asks for. all is ordered by name.
func page[R any, T any](p Page, all func(yield func(R) bool), name func(R) string, view func(R) (T, bool)) List[T] {
	list := List[T]{Items: []T{}}
	last := ""
	all(func(r R) bool {
		if p.After != "" && name(r) <= p.After {
			return true
		}
		item, ok := view(r)
		if !ok {
			return true
		}
		if len(list.Items) == p.Limit {
			list.Next = last
			return false
		}
		last = name(r)
		list.Items = append(list.Items, item)
		return true
	})
	return list
}

const (
	get    = http.MethodGet
	post   = http.MethodPost
	patch  = http.MethodPatch
	remove = http.MethodDelete
)
