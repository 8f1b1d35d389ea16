package api

import (
	"context"
	"net/http"
	"sort"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"keyfob/events"
)

// writeWait is how long a reader of the journal may take to read a line.
const writeWait = 30 * time.Second

// ReadAuditQuery selects events of the audit trail.
type ReadAuditQuery struct {
	From   uint64    `query:"from" doc:"The first sequence number wanted; default the first that this node holds."`
	Since  time.Time `query:"since" doc:"Only events from this time on."`
	Limit  int       `query:"limit" minimum:"0" doc:"End after so many events; 0: no limit."`
	Follow bool      `query:"follow" doc:"Do not end with the last event, but wait for more."`
}

func (a *API) audit() {
	op := huma.Operation{
		Method:      get,
		Path:        Prefix + "/audit",
		OperationID: "read-audit",
		Summary:     "Read the audit trail: one CloudEvents object a line, in order",
		Description: "For: " + auditors.String() + ". The stream is the same as on NATS, with the chain of hashes.",
		Tags:        []string{"audit"},
		Metadata:    map[string]any{rolesKey: auditors},
		Responses: map[string]*huma.Response{"200": {
			Description: "Events, one a line",
			Content:     map[string]*huma.MediaType{"application/x-ndjson": {}},
		}},
	}
	huma.Register(a.huma, op, a.readAudit)
	a.auditReaders()
}

func (a *API) readAudit(ctx context.Context, in *ReadAuditQuery) (*huma.StreamResponse, error) {
	if err := a.read(); err != nil {
		return nil, err
	}
	first, _ := a.cfg.Journal.Bounds()
	from := max(in.From, first, 1)
	if !in.Since.IsZero() {
		at, err := a.sequenceAt(ctx, events.At(in.Since))
		if err != nil {
			<-a.streaming
			return nil, a.problemOf(ctx, "read-audit", err)
		}
		from = max(from, at)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer func() { <-a.streaming }()
		a.stream(hc, from, in.Limit, in.Follow)
	}}, nil
}

// read makes the caller one of the bounded number that read the journal; who
// got nil owes a receive from streaming.
func (a *API) read() error {
	select {
	case a.streaming <- struct{}{}:
		return nil
	default:
		return again(problem(http.StatusServiceUnavailable, "busy", "too many readers of the audit trail at this node; ask again or ask another node"))
	}
}

// stream writes records until there are no more, the limit is reached, or the
// reader has gone. An error ends the stream in the middle, which the reader
// sees: the connection is cut and not closed in order.
func (a *API) stream(hc huma.Context, from uint64, limit int, follow bool) {
	r, w := humago.Unwrap(hc)
	control := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	_ = control.Flush()

	cluster := a.cfg.Node.State().Cluster.ID
	written := 0
	for record, err := range a.cfg.Journal.Records(r.Context(), from, follow) {
		if r.Context().Err() != nil {
			return
		}
		if err != nil {
			a.cfg.Log.ErrorContext(r.Context(), "reading journal for a reader of the audit trail", "sequence", record.Sequence, "err", err)
			panic(http.ErrAbortHandler)
		}
		_ = control.SetWriteDeadline(time.Now().Add(writeWait))
		if _, err := w.Write(append(events.CloudEvent(cluster, record), '\n')); err != nil {
			return
		}
		if follow {
			_ = control.Flush()
		}
		if written++; written == limit {
			return
		}
	}
}

// sequenceAt is the number of the first record at or after a time. Stamps
// never go back, so halving finds it.
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
