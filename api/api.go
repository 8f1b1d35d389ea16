// Package api is the front end for administrators and programs: the HTTP API
// under /api/v1 of the admin listener, described by an OpenAPI 3.1 document.
//
// It offers the administrator's commands, views of the state, the journal, and
// logins for applications. It translates requests; the engine decides their
// outcome.
//
// A caller is identified by a session, by an API token, or as root or the server's
// own user on the unix socket. The state holds only digests of sessions and
// tokens. Each operation lists the roles that may call it; an operation without
// roles cannot be called.
// No answer contains a seed, a PIN that an administrator chose, or a shared
// secret. Secrets that are shown once are listed with the reason in
// schema_test.go.
//
// The English wording of findings and events is in words.go, eventwords.go and
// steps.go. Package diagnosis answers them as types.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"keyfob/engine"
	"keyfob/engine/throttle"
	"keyfob/events"
)

// Prefix is the path of the API.
const Prefix = "/api/v1"

const (
	maxBody = 64 << 10 // bytes of a request, unless its type allows more
)

// Node executes commands and decides logins.
type Node interface {
	// State returns this node's copy of the state, which is read-only.
	State() *engine.State
	// Do executes a command and returns when it is committed. The error is a
	// *engine.Refusal if the rules refuse the command, and a *engine.Waiting if it
	// waits for a second administrator.
	Do(context.Context, events.Origin, engine.Command) error
	Authenticate(context.Context, engine.Attempt) (engine.Outcome, error)
}

// Sealer seals secrets of a request before they leave the node.
type Sealer interface {
	SealSeed(serial string, seed engine.Secret) ([]byte, error)
	SealPIN(ctx context.Context, serial string, revision uint64, pin engine.Secret) ([]byte, error)
	// SealPINpad is SealPIN for a token that adds the PIN to its tokencode.
	SealPINpad(serial string, revision uint64, pin engine.Secret) ([]byte, error)
	SealClientSecret(name string, secret engine.Secret) ([]byte, error)
	// CallerDigest is what the state holds of the word of a user on the telephone.
	CallerDigest(user string, word engine.Secret) string
	// SameSeed reports whether a seed is the one that is sealed for a serial.
	SameSeed(serial string, sealed []byte, seed engine.Secret) (bool, error)
}

// Cluster manages the members and the backups of the cluster.
type Cluster interface {
	Status(context.Context) (Status, error)
	Invite(ctx context.Context, o events.Origin, to Invitee) (string, error)
	RemoveNode(ctx context.Context, o events.Origin, name string) error
	Transfer(ctx context.Context, o events.Origin, name string) error // empty name: any node
	RotateKeys(context.Context, events.Origin) error
	RecoveryKeys() []RecoveryKey
	// SetRecoveryKey seals backups for this key alone, AddRecoveryKey for this one
	// too. public is the public half.
	SetRecoveryKey(ctx context.Context, o events.Origin, public []byte, shares, threshold uint8) error
	AddRecoveryKey(ctx context.Context, o events.Origin, public []byte, shares, threshold uint8) error
	RemoveRecoveryKey(ctx context.Context, o events.Origin, name string) error
	Backup(ctx context.Context, o events.Origin) (Backup, error)
}

// Journal is the audit trail on this node.
type Journal interface {
	// Records yields the records from a sequence number on. It ends with the last
	// record, or with ctx if follow is set.
	Records(ctx context.Context, from uint64, follow bool) iter.Seq2[events.Record, error]
	// Bounds returns the numbers of the first and the last record of this node.
	Bounds() (first, last uint64)
}

// Config holds what the API depends on.
type Config struct {
	Node     Node
	Seal     Sealer
	Remedies Remedies
	Cluster  Cluster
	Journal  Journal
	// NewReader makes credentials for the audit stream. The embedded servers accept
	// them once the state lists their key.
	NewReader func(name string, expires time.Time) (key string, credentials []byte, err error)
	// SyncReaders makes the embedded server of this node accept the readers of
	// the state at once. It does so by itself a moment later.
	SyncReaders func(context.Context)

	// Refused records a request that was refused here, or counts it towards the
	// next record of its kind. It does not wait. The label tells refusals of a
	// kind apart.
	Refused func(label string, o events.Origin, e events.Sampled)
	// Observer counts commands for metrics; nil: none does.
	Observer Observer

	Name  string           // of this node, for the origin of commands
	Site  string           // of this node
	Now   func() time.Time // the node's clock
	Sound func() bool      // whether the clock can be trusted; nil: always
	// CaughtUp says why this node may still be missing decisions from before it
	// started; a nil error: it has them all.
	CaughtUp func() error
	Random   io.Reader // for request ids and API tokens
	Log      *slog.Logger
}

// Validate reports every missing field.
func (c Config) Validate() error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New(what+" is missing"))
		}
	}
	need(c.Node != nil, "node")
	need(c.Seal != nil, "seal")
	need(c.Remedies != nil, "remedies")
	need(c.Cluster != nil, "cluster")
	need(c.Journal != nil, "journal")
	need(c.NewReader != nil, "reader credentials")
	need(c.SyncReaders != nil, "reader update")
	need(c.Refused != nil, "refused")
	need(c.Now != nil, "now")
	need(c.Random != nil, "random")
	need(c.Log != nil, "log")
	return errors.Join(errs...)
}

// API answers the requests under Prefix.
type API struct {
	cfg         Config
	mux         *http.ServeMux
	huma        huma.API
	observer    Observer
	description []byte                           // the OpenAPI document
	strangers   *throttle.Throttle[netip.Prefix] // invalid API tokens and sessions
	uses        uses                             // of valid ones
	folding     chan struct{}                    // held while the journal is folded from its beginning
	streams     streams                          // readers of the journal
	importing   chan struct{}                    // held by an import, so that logins have room
	backing     chan struct{}                    // held while a backup is written
}

// New returns the API. It is served by a TLS listener, or on the unix socket by
// a server whose ConnContext is Local.
func New(cfg Config) (*API, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("making API: %w", err)
	}
	a := &API{
		cfg: cfg, mux: http.NewServeMux(), strangers: throttle.New[netip.Prefix](throttle.Remembered),
		folding:   make(chan struct{}, 1),
		importing: make(chan struct{}, 1), backing: make(chan struct{}, 1),
	}
	if a.observer = cfg.Observer; a.observer == nil {
		a.observer = unobserved{}
	}
	a.huma = humago.New(a.mux, description())
	a.huma.UseMiddleware(a.guard)

	a.users()
	a.tokens()
	a.remedies()
	a.clients()
	a.policy()
	a.drift()
	a.cluster()
	a.backups()
	a.apiTokens()
	a.administrators()
	a.sessions()
	a.approvals()
	a.audit()
	a.references()
	a.login()

	doc, err := json.MarshalIndent(a.huma.OpenAPI(), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("describing API: %w", err)
	}
	a.description = append(doc, '\n')
	a.mux.HandleFunc("GET "+Prefix+"/openapi.json", a.describe)
	a.mux.HandleFunc("/", a.unknown)
	return a, nil
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	a.mux.ServeHTTP(w, r)
}

// Description returns the OpenAPI document.
func (a *API) Description() []byte { return a.description }

func (a *API) describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/openapi+json")
	_, _ = w.Write(a.description)
}

func (a *API) unknown(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusNotFound)
	_ = json.NewEncoder(w).Encode(problem(http.StatusNotFound, "not_found",
		"no such operation: "+r.Method+" on this path; see "+Prefix+"/openapi.json"))
}

func description() huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:   "keyfob",
				Version: "1",
				Description: "Administration of a keyfob cluster, and logins for applications that do not use RADIUS. " +
					"Every node answers. Every change takes a `reason`, which is recorded with the actor. " +
					"After too many failed logins or invalid API tokens, a source gets status 429 with `Retry-After`. " +
					"A command that waits for a second administrator gets status 202 with the ID of its `approval`; nothing has changed then. " +
					"A problem may have the member `help`: the operation that helps, such as `list_users`.",
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"bearer": {Type: "http", Scheme: "bearer", Description: "An API token, as returned by POST /api-tokens, or a session, as returned by POST /sessions."},
				},
			},
			Security: []map[string][]string{{"bearer": {}}},
		},
		Formats:                      map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{withoutValues},
	}
}
