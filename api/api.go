// Package api is the door for machines and administrators: the HTTP API under
// /api/v1 of the admin listener, described by its own OpenAPI 3.1 document.
//
// Its operations are the administrator's commands, the views of the state that
// go with them, the journal, and the same login that RADIUS clients get. It
// translates and never decides: what a command comes to is the engine's answer.
//
// A caller is known by a bearer token, of which the state holds the digest
// alone, or by being root (or the server's own user) at the other end of the
// unix socket. Each operation names the roles that may call it; one that names
// none is open to nobody. An answer never holds a seed, a PIN that an
// administrator set or a shared secret. What must be shown once, to its owner,
// is listed with the reason in schema_test.go.
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

// Prefix is where the API lies on its listener.
const Prefix = "/api/v1"

const (
	maxBody    = 64 << 10 // bytes of a request, if its type says nothing else
	maxStreams = 32       // readers of the journal at once
)

// Node is what the API needs to command and to ask.
type Node interface {
	// State is this node's copy, not to be changed.
	State() *engine.State
	// Do has a command decided and returns when it is committed. The error is
	// a *engine.Refusal when the rules say no.
	Do(context.Context, events.Origin, engine.Command) error
	Authenticate(context.Context, engine.Attempt) (engine.Outcome, error)
}

// Sealer seals what callers hand in, before it goes anywhere.
type Sealer interface {
	SealSeed(serial string, seed engine.Secret) ([]byte, error)
	SealPIN(ctx context.Context, serial string, revision uint64, pin engine.Secret) ([]byte, error)
	// SealPINpad is SealPIN for a token that mixes the PIN into its tokencode.
	SealPINpad(serial string, revision uint64, pin engine.Secret) ([]byte, error)
	SealClientSecret(name string, secret engine.Secret) ([]byte, error)
	// SameSeed reports whether a seed is the one that was sealed for a serial.
	SameSeed(serial string, sealed []byte, seed engine.Secret) (bool, error)
}

// Cluster is the membership, for its administrators.
type Cluster interface {
	Status(context.Context) (Status, error)
	Invite(ctx context.Context, o events.Origin, ttl time.Duration) (string, error)
	RemoveNode(ctx context.Context, o events.Origin, name string) error
	Transfer(ctx context.Context, o events.Origin, name string) error // an empty name lets the cluster choose
	RecoveryKey() string                                              // short name of the key that opens backups
	SetRecoveryKey(ctx context.Context, o events.Origin, public []byte) error
	Backup(ctx context.Context, o events.Origin) (Backup, error)
}

// Journal is what happened, in order.
type Journal interface {
	// Records yields the records from the one numbered from on. It ends with
	// the last one, or, when follow is set, waits for more until ctx is over.
	Records(ctx context.Context, from uint64, follow bool) iter.Seq2[events.Record, error]
	// Bounds are the numbers of the first and the last record held here.
	Bounds() (first, last uint64)
}

// Config is what the API is made of.
type Config struct {
	Node     Node
	Seal     Sealer
	Remedies Remedies
	Cluster  Cluster
	Journal  Journal
	// NewReader makes credentials to read the audit stream; the embedded servers
	// accept them once the state lists their key.
	NewReader func(name string, expires time.Time) (key string, credentials []byte, err error)
	// SyncReaders makes the embedded server of this node accept the readers of
	// the state at once. It does so by itself a moment later.
	SyncReaders func(context.Context)

	// Refused records a request that was refused here, or counts it towards the
	// next record of its kind. It does not wait. The label tells refusals of a
	// kind apart.
	Refused func(label string, o events.Origin, e events.Sampled)

	Name  string           // of this node, for the origin of what is commanded here
	Site  string           // of this node
	Now   func() time.Time // the node's clock
	Sound func() bool      // whether that clock is to be trusted; nil: always
	// CaughtUp says why this node may not know yet all that had been decided
	// when it started; nil: it does.
	CaughtUp func() error
	Random   io.Reader // for request numbers and API tokens
	Log      *slog.Logger
}

// Validate reports everything that is missing.
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
	description []byte                           // the OpenAPI document
	strangers   *throttle.Throttle[netip.Prefix] // wrong API tokens
	folding     chan struct{}                    // held by whoever folds the journal from its beginning
	streaming   chan struct{}                    // held by those who read the journal
	importing   chan struct{}                    // held by whoever takes in many tokens, so that logins find room
	backing     chan struct{}                    // held by whoever is written a backup
}

// New returns the API for a listener that speaks TLS, or for the unix socket
// with a server whose ConnContext is Local.
func New(cfg Config) (*API, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("making API: %w", err)
	}
	a := &API{
		cfg: cfg, mux: http.NewServeMux(), strangers: throttle.New[netip.Prefix](throttle.Remembered),
		folding: make(chan struct{}, 1), streaming: make(chan struct{}, maxStreams),
		importing: make(chan struct{}, 1), backing: make(chan struct{}, 1),
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

// Description is the OpenAPI document.
func (a *API) Description() []byte { return a.description }

func (a *API) describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/openapi+json")
	_, _ = w.Write(a.description)
}

func (a *API) unknown(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusNotFound)
	_ = json.NewEncoder(w).Encode(problem(http.StatusNotFound, "not_found",
		"there is no "+r.Method+" here; see "+Prefix+"/openapi.json"))
}

func description() huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:   "keyfob",
				Version: "1",
				Description: "Administration of a keyfob cluster, and logins for applications that do not speak RADIUS. " +
					"Any node answers. Every change takes a `reason`, which is recorded with who made it. " +
					"Where too many logins failed, or too many wrong API tokens came from, the next is answered 429 with `Retry-After`.",
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"bearer": {Type: "http", Scheme: "bearer", Description: "An API token, as `keyfob cluster init` and POST /api-tokens print it."},
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
