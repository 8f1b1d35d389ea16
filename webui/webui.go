// Package webui is the web door: a short wizard on which the owner of a token
// puts it right, when the VPN client could not show the prompts for it.
//
// The wizard words what the engine decides and decides nothing. Each form
// becomes an engine.Attempt; the page that follows is the step that the outcome
// asks for. What must be remembered between two pages travels, sealed by the
// node, in one cookie, so that any node can take the next step. Nothing about a
// visitor is kept here but how often an address has posted.
//
// No page needs a script. The one script adds a countdown to the next
// tokencode. Every page is served under a policy that allows neither inline
// script nor inline style, and a test holds the templates to what templ
// escapes.
//
// The first step has one answer for every refusal: same words, same status,
// same size, same headers. When it leaves is the node's business.
package webui

import (
	"context"
	"net/http"
	"net/netip"

	"keyfob/engine"
	"keyfob/engine/throttle"
	"keyfob/events"
)

//go:generate go tool templ generate -include-version=false

// Node is what the wizard needs of the node it runs on.
type Node interface {
	// Authenticate decides an attempt. It answers engine.ErrConversation when
	// the conversation is over; any other error means that nothing is known.
	Authenticate(ctx context.Context, a engine.Attempt) (engine.Outcome, error)
	// Prompt is the step that a conversation waits for, without taking it.
	Prompt(ctx context.Context, conversation string, o events.Origin) (engine.Prompt, error)
	// State is this node's copy, for what the first page says of the rules.
	State() *engine.State
	// Ready says why the node should not be asked now, or nil.
	Ready() error
}

// site is the wizard as it is served.
type site struct {
	cfg     Config
	words   *words
	files   assets
	posts   *throttle.Throttle[netip.Prefix] // forms, whatever comes of them
	foreign *http.CrossOriginProtection
	routes  map[string]route
}

// route is a path's handlers by method; a missing one is not allowed.
type route struct {
	get, post func(*visit)
}

// New is the wizard's handler. It reports all that is wrong with cfg.
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
	s := &site{
		cfg:     cfg,
		words:   words,
		files:   files,
		posts:   throttle.New[netip.Prefix](throttle.Remembered),
		foreign: http.NewCrossOriginProtection(),
	}
	if cfg.PublicURL != "" {
		// Behind a proxy the Host header may be another name than the browser's.
		if err := s.foreign.AddTrustedOrigin(cfg.PublicURL); err != nil {
			return nil, err
		}
	}
	s.routes = s.table()
	return s, nil
}

// table is every path there is. Paths are compared as they are, without
// cleaning: nothing is redirected to what somebody wrote into a URL.
func (s *site) table() map[string]route {
	step := route{get: s.showStep, post: s.answerStep}
	routes := map[string]route{
		pathSignIn: {get: s.showSignIn, post: s.signIn},
		pathPIN:    step,
		pathNext:   step,
		pathLogin:  step,
		pathResync: {get: s.showResync, post: s.resync},
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
		if lang, ok := asked(r); ok {
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

// post reads a form before its handler sees it. What is no form, or was sent
// by another site, changes nothing.
func (s *site) post(v *visit, handle func(*visit)) {
	if err := s.foreign.Check(v.r); err != nil {
		s.cfg.Log.InfoContext(v.r.Context(), "form from another site refused", "path", v.path, "source_ip", v.source)
		v.notice(http.StatusForbidden, "foreign")
		return
	}
	form, err := readForm(v.w, v.r)
	if err != nil {
		s.cfg.Log.InfoContext(v.r.Context(), "unreadable form refused", "path", v.path, "source_ip", v.source, "err", err)
		v.notice(http.StatusBadRequest, "unreadable")
		return
	}
	v.form = form
	if wait, ok := s.posts.Spend(throttle.Network(v.source), s.cfg.perSource(), v.arrived); !ok {
		v.throttled(wait)
		return
	}
	handle(v)
}

func (r route) methods() string {
	if r.post != nil {
		return "GET, HEAD, POST"
	}
	return "GET, HEAD"
}

func (s *site) live(v *visit) { v.plain(http.StatusOK, "ok\n") }

// ready says no more than yes or no: the reason is for the operator, on the
// listener for metrics.
func (s *site) ready(v *visit) {
	if err := s.cfg.Node.Ready(); err != nil {
		v.plain(http.StatusServiceUnavailable, "not ready\n")
		return
	}
	v.plain(http.StatusOK, "ok\n")
}
