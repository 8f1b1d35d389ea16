package api

import (
	"context"
	"net/http"
	"sort"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"keyfob/events"
)

// writeWait is how long a client may take to read a line.
const writeWait = 30 * time.Second

// ReadAuditQuery selects events of the audit trail.
type ReadAuditQuery struct {
	From   uint64    `query:"from" doc:"First sequence number; default: the first that this node has."`
	Since  time.Time `query:"since" doc:"Only events at or after this time."`
	Limit  int       `query:"limit" minimum:"0" doc:"Maximum number of events; 0: no limit."`
	Follow bool      `query:"follow" doc:"Wait for more events instead of ending with the last one."`

	Until   time.Time `query:"until" doc:"Only events before this time."`
	User    string    `query:"user" maxLength:"256" doc:"Only events of this user."`
	Serial  string    `query:"serial" maxLength:"64" doc:"Only events of this token."`
	Actor   string    `query:"actor" maxLength:"128" doc:"Only commands of this actor, as the events name it."`
	Outcome string    `query:"outcome" enum:"accept,reject,challenge" doc:"Only attempts with this outcome."`
}

// selects reports whether a record matches the filters, regardless of its number
// and time.
func (q ReadAuditQuery) selects(r events.Record) bool {
	if q.User == "" && q.Serial == "" && q.Actor == "" && q.Outcome == "" {
		return true
	}
	d := events.Describe(r.Event)
	is := func(want, got string) bool { return want == "" || want == got }
	return is(q.User, d.User) && is(q.Serial, d.Serial) && is(q.Actor, r.Origin.Actor) && is(q.Outcome, d.Outcome)
}

func (a *API) audit() {
	huma.Register(a.huma, auditOperation("/audit", "read-audit", "Read the audit trail: one CloudEvents object per line, in order", auditors), a.readAudit)
	a.auditReaders()
}

// userAudit offers the events of one user to the help desk.
func (a *API) userAudit() {
	huma.Register(a.huma, auditOperation("/users/{user}/audit", "read-user-audit", "Read the events of a user: one CloudEvents object per line, in order", readers), a.readUserAudit)
}

func auditOperation(path, id, summary string, who roles) huma.Operation {
	tag, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return huma.Operation{
		Method:      get,
		Path:        Prefix + path,
		OperationID: id,
		Summary:     summary,
		Description: "Roles: " + who.String() + ". The events are the same as on NATS, with the hash chain.",
		Tags:        []string{tag},
		Metadata:    map[string]any{rolesKey: who},
		Responses: map[string]*huma.Response{"200": {
			Description: "Events, one per line",
			Content:     map[string]*huma.MediaType{"application/x-ndjson": {}},
		}},
	}
}

// ReadUserAuditQuery selects events of one user.
type ReadUserAuditQuery struct {
	Since  time.Time `query:"since" doc:"Only events at or after this time."`
	Until  time.Time `query:"until" doc:"Only events before this time."`
	Limit  int       `query:"limit" minimum:"0" doc:"Maximum number of events; 0: no limit."`
	Follow bool      `query:"follow" doc:"Wait for more events instead of ending with the last one."`
}

type userAuditInput struct {
	UserPath
	ReadUserAuditQuery
}

func (a *API) readUserAudit(ctx context.Context, in *userAuditInput) (*huma.StreamResponse, error) {
	return a.readAudit(ctx, &ReadAuditQuery{User: canonical(in.User), Since: in.Since, Until: in.Until, Limit: in.Limit, Follow: in.Follow})
}

func (a *API) readAudit(ctx context.Context, in *ReadAuditQuery) (*huma.StreamResponse, error) {
	leave, err := a.streams.enter(callerOf(ctx))
	if err != nil {
		return nil, err
	}
	if in.User != "" {
		in.User = canonical(in.User)
	}
	first, _ := a.cfg.Journal.Bounds()
	from := max(in.From, first, 1)
	if !in.Since.IsZero() {
		at, err := a.sequenceAt(ctx, events.At(in.Since))
		if err != nil {
			leave()
			return nil, a.problemOf(ctx, "read-audit", err)
		}
		from = max(from, at)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer leave()
		a.stream(hc, from, *in)
	}}, nil
}

// stream writes records until the last one, the limit, or the end of the request.
// An error cuts the connection, so that the client notices it. So does the end of
// the caller's API token or session, which is checked before each record.
func (a *API) stream(hc huma.Context, from uint64, q ReadAuditQuery) {
	r, w := humago.Unwrap(hc)
	control := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	_ = control.Flush()

	cluster := a.cfg.Node.State().Cluster.ID
	written := 0
	for record, err := range a.cfg.Journal.Records(r.Context(), from, q.Follow) {
		if r.Context().Err() != nil {
			return
		}
		if err != nil {
			a.cfg.Log.ErrorContext(r.Context(), "reading the journal failed; audit stream ended", "sequence", record.Sequence, "err", err)
			panic(http.ErrAbortHandler)
		}
		if !a.permits(hc) {
			a.cfg.Log.InfoContext(r.Context(), "API token or session ended; audit stream ended", "sequence", record.Sequence, "actor", callerOf(hc.Context()).name)
			panic(http.ErrAbortHandler)
		}
		if !q.Until.IsZero() && record.Time >= events.At(q.Until) {
			return
		}
		if !q.selects(record) {
			continue
		}
		_ = control.SetWriteDeadline(time.Now().Add(writeWait))
		if _, err := w.Write(append(events.CloudEvent(cluster, record), '\n')); err != nil {
			return
		}
		if q.Follow {
			_ = control.Flush()
		}
		if written++; written == q.Limit {
			return
		}
	}
}

// sequenceAt returns the number of the first record at or after a time, by binary
// search: the times of records never decrease.
func (a *API) sequenceAt(ctx context.Context, t events.Time) (uint64, error) {
	first, last := a.cfg.Journal.Bounds()
	if last == 0 {
		return 1, nil
	}
	var failed error
	n := sort.Search(int(last-first+1), func(i int) bool {
		for record, err := range a.cfg.Journal.Records(ctx, first+uint64(i), false) {
			if err != nil {
				failed = err
				return true
			}
			return record.Time >= t
		}
		return true
	})
	return first + uint64(n), failed
}
