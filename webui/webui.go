// Package webui serves the public web pages: a short wizard on which the owner
// of a token sets a PIN, brings the token back in sync, and signs in once when
// the VPN client cannot show the prompts for it.
//
// The engine makes every decision. Each form becomes an engine.Attempt, and
// the outcome names the page that follows. The state between two pages travels
// in one cookie that the node seals, so any node can take the next step. The
// package keeps nothing about a visitor.
//
// No page needs a script. The one script counts down to the next tokencode and
// warns before a step ends. The Content-Security-Policy allows no inline script
// or style, and a test restricts the templates to markup that templ escapes.
//
// A step ends after conversation.for. Its page says how much time is left and
// offers more, ten times (WCAG 2.2, 2.2.1). Two limits are essential and are not
// extended: the next tokencode of a clock, since only consecutive tokencodes
// prove that the token is in sync, and a tokencode that was sent. Their pages
// state the limit and lead to a new start, which loses nothing.
//
// The first step has one answer for every refusal: same words, same status,
// same size, same headers. The node decides when the answer is sent.
package webui

import (
	"context"
	"net/http"
	"time"

	"keyfob/engine"
	"keyfob/engine/throttle"
	"keyfob/events"
)

//go:generate go tool templ generate -include-version=false

// Node is the part of the node that the wizard uses.
type Node interface {
	// Authenticate decides an attempt. An error means that nothing was decided.
	Authenticate(ctx context.Context, a engine.Attempt) (engine.Outcome, error)
	// Prompt returns the step that a conversation waits for, without answering
	// it. The error is engine.ErrConversation when the conversation is over.
	Prompt(ctx context.Context, conversation string, o events.Origin) (engine.Prompt, error)
	// SealNote seals a text for a cookie. Every node of the cluster can open it
	// with the same kind, and nobody else can make one.
	SealNote(kind, text string) string
	OpenNote(kind, sealed string) (text string, ok bool)
	// State is this node's copy. The pages read the policy from it.
	State() *engine.State
	// Ready returns the reason why the node cannot serve now, or nil.
	Ready() error
}

// site is the handler of the wizard.
type site struct {
	cfg         Config
	words       *words
	files       assets
	crossOrigin *http.CrossOriginProtection
	logged      *throttle.Throttle[string] // refused forms, by kind
	routes      map[string]route
}

// route is a path's handlers by method. A missing handler means 405.
type route struct {
	get, post func(*visit)
}

// New returns the wizard's handler. It reports all problems of cfg at once.
func New(cfg Config) (http.Handler, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	words, err := loadWords()
	if err != nil {
		return nil, err
	}
	files, err := loadAssets(cfg.Branding.Logo)
	if err != nil {
		return nil, err
	}
	s := &site{cfg: cfg, words: words, files: files, crossOrigin: http.NewCrossOriginProtection(), logged: throttle.New[string](2)}
	if cfg.PublicURL != "" {
		// Behind a proxy the Host header can differ from the browser's origin.
		if err := s.crossOrigin.AddTrustedOrigin(cfg.PublicURL); err != nil {
			return nil, err
		}
	}
	s.routes = s.table()
	return s, nil
}

// table lists every path. Paths are compared without cleaning, so no request
// is redirected to text from its own URL.
func (s *site) table() map[string]route {
	step := route{get: s.showStep, post: s.answerStep}
	routes := map[string]route{
		pathSignIn: {get: s.showSignIn, post: s.signIn},
		pathPIN:    step,
		pathNext:   step,
		pathLogin:  step,
		pathResync: {get: s.showResync, post: s.resync},
		pathCaller: {get: s.showCaller, post: s.caller},
		pathDone:   {get: s.showDone},
		pathLost:   {get: s.showLost},
		"/livez":   {get: s.live},
		"/readyz":  {get: s.ready},
	}
	for name, file := range s.files {
		routes[file.path] = route{get: func(v *visit) { s.files[name].serve(v.w, v.r) }}
	}
	return routes
}

// ServeHTTP answers one request.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := s.visit(w, r)
	v.setHeaders()
	at, known := s.routes[r.URL.Path]
	switch {
	case !known:
		v.notice(http.StatusNotFound, "not_found")
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		if lang, ok := requestedLanguage(r); ok {
			v.prefer(lang)
		}
		at.get(v)
	case r.Method == http.MethodPost && at.post != nil:
		s.post(v, at.post)
	default:
		v.w.Header().Set("Allow", at.methods())
		v.notice(http.StatusMethodNotAllowed, "not_allowed")
	}
}

// post reads a form and passes it to its handler. Cross-origin and malformed
// forms are refused. Failed attempts are counted by the node (source.failures
// in the policy), so successful forms from one address are never throttled.
func (s *site) post(v *visit, handle func(*visit)) {
	if err := s.crossOrigin.Check(v.r); err != nil {
		if s.mayLog("cross_origin", v) {
			s.cfg.Log.InfoContext(v.r.Context(), "cross-origin form refused", "path", v.path, "source_ip", v.source)
		}
		v.notice(http.StatusForbidden, "cross_origin")
		return
	}
	form, err := readForm(v.w, v.r)
	if err != nil {
		if s.mayLog("malformed", v) {
			s.cfg.Log.InfoContext(v.r.Context(), "malformed form refused", "path", v.path, "source_ip", v.source, "err", err)
		}
		v.notice(http.StatusBadRequest, "malformed")
		return
	}
	v.form = form
	handle(v)
}

// logRate limits how often a refused form of one kind is logged. Strangers can send
// them and must not be able to fill the log.
var logRate = throttle.Rate{Burst: 10, Every: 10 * time.Second}

// mayLog reports whether a refused form of a kind is to be logged. The kinds are
// fixed.
func (s *site) mayLog(kind string, v *visit) bool {
	_, ok := s.logged.Spend(kind, logRate, v.arrived)
	return ok
}

func (r route) methods() string {
	if r.post != nil {
		return "GET, HEAD, POST"
	}
	return "GET, HEAD"
}

func (s *site) live(v *visit) { v.plain(http.StatusOK, "ok\n") }

// ready answers yes or no only. The reason is on the metrics listener.
func (s *site) ready(v *visit) {
	if err := s.cfg.Node.Ready(); err != nil {
		v.plain(http.StatusServiceUnavailable, "not ready\n")
		return
	}
	v.plain(http.StatusOK, "ok\n")
}
