package api

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/netip"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// Session is a session of an administrator, without its secret.
type Session struct {
	Session string     `json:"session" doc:"Public name. Events of the session's commands contain it."`
	User    string     `json:"user"`
	Role    string     `json:"role"`
	Serial  string     `json:"serial" doc:"Of the token that was used to log in."`
	Network string     `json:"network" doc:"From which it was opened."`
	Issued  *time.Time `json:"issued"`
	Expires *time.Time `json:"expires"`
	Used    *time.Time `json:"used" doc:"Last recorded use, up to a quarter of admin.session_idle ago."`
}

// IssuedSession is a new session with its secret.
type IssuedSession struct {
	Session
	Secret string `json:"secret" doc:"Send it as Authorization: Bearer. Shown only this once."`
}

// OpenSessionRequest is what an administrator typed to log in.
type OpenSessionRequest struct {
	User         string `json:"user" minLength:"1" maxLength:"512"`
	Passcode     Secret `json:"passcode,omitempty" maxLength:"256" doc:"What the step asks for: a passcode, a tokencode or a PIN."`
	Again        Secret `json:"again,omitempty" maxLength:"256" doc:"The new PIN again, if both are sent at once."`
	Choice       string `json:"choice,omitempty" enum:"own,generated" doc:"At the step choose_pin or generate_pin."`
	Conversation string `json:"conversation,omitempty" maxLength:"8192" doc:"From the previous answer to the same address; absent: a new login."`
}

// OpenSessionAnswer is the outcome of an administrator's login.
type OpenSessionAnswer struct {
	LoginAnswer
	Session *IssuedSession `json:"session,omitempty" doc:"On accept."`
}

type openSessionInput struct{ Body OpenSessionRequest }

type ownSessionRemoval struct {
	All bool `query:"all" doc:"End all sessions of the same user."`
	RemovalQuery
}

type sessionRemoval struct {
	Session string `path:"session" maxLength:"64"`
	RemovalQuery
}

func (a *API) sessions() {
	register(a, route{post, "/sessions", "open-session", "Log in as an administrator, or take the next step of that login", anyone, 0}, a.openSession)
	register(a, route{get, "/sessions", "list-sessions", "List the sessions of administrators", auditors, 0}, a.listSessions)
	register(a, route{remove, "/sessions/current", "end-own-session", "End the session that sends this request", readers, 0}, a.endOwnSession)
	register(a, route{remove, "/sessions/{session}", "end-session", "End a session", administrators, 0}, a.endSession)
	register(a, route{remove, "/admins/{user}/sessions", "end-sessions", "End all sessions of a user", administrators, 0}, a.endSessions)
}

// openSession decides a login as for every front end, and opens a session if it
// is accepted and the user has a role.
func (a *API) openSession(ctx context.Context, in *openSessionInput) (*answer[OpenSessionAnswer], error) {
	who := callerOf(ctx)
	if who.local {
		return nil, problem(http.StatusConflict, "conflict", "at the socket of a node no session is needed; log in at the URL of its API")
	}
	network := who.network()
	o, err := a.origin(ctx, "login of an administrator")
	if err != nil {
		return nil, err
	}
	out, err := a.cfg.Node.Authenticate(ctx, engine.Attempt{
		Origin:       o, // without an actor: a login is nobody's command
		User:         in.Body.User,
		Typed:        engine.Secret(in.Body.Passcode),
		Again:        engine.Secret(in.Body.Again),
		Choice:       engine.Choice(in.Body.Choice),
		Conversation: in.Body.Conversation,
		Holder:       "administrator at " + network.String(),
		Arrived:      a.cfg.Now(),
		Source:       who.address(),
	})
	switch {
	case err != nil:
		return nil, err
	case out.Wait > 0:
		return nil, later(throttled("too many attempts from this address have failed; this one was not checked"), out.Wait)
	}
	v := OpenSessionAnswer{LoginAnswer: viewOutcome(out)}
	if out.Verdict == engine.Accept {
		if v.Session, err = a.begin(ctx, out.User, network, o.Request); err != nil {
			return nil, err
		}
	}
	return answered(v), nil
}

// begin opens the session of an accepted login.
func (a *API) begin(ctx context.Context, user string, network netip.Prefix, login events.Request) (*IssuedSession, error) {
	secret, digest, err := newSecret(a.cfg.Random, SessionPrefix)
	if err != nil {
		return nil, err
	}
	o, err := a.origin(ctx, "keyfob login")
	if err != nil {
		return nil, err
	}
	name := engine.SessionName(digest)
	o.Actor, o.Session = engine.UserActor(user), name
	err = a.cfg.Node.Do(ctx, o, engine.OpenSession{User: user, Digest: digest, Network: network.String(), Login: login})
	var refusal *engine.Refusal
	if errors.As(err, &refusal) && refusal.Code == engine.Forbidden {
		o.Session = ""
		a.cfg.Refused(o.Actor, o, events.CommandDenied{Operation: "open-session", Cause: causeRole})
	}
	if err != nil {
		return nil, err
	}
	x := a.cfg.Node.State().Session(name)
	if x == nil { // this node lags
		return nil, engine.ErrUndecided
	}
	return &IssuedSession{Session: viewSession(x), Secret: secret.Reveal()}, nil
}

func viewSession(x *engine.Session) Session {
	return Session{
		Session: x.Name, User: x.User, Role: x.Role, Serial: x.Serial, Network: x.Network,
		Issued: instant(x.Issued), Expires: instant(x.Expires), Used: instant(x.Used),
	}
}

// openSessions are the sessions that have not ended.
func (a *API) openSessions() iter.Seq[*engine.Session] {
	s := a.cfg.Node.State()
	now := a.now(s)
	return func(yield func(*engine.Session) bool) {
		s.Sessions(func(x *engine.Session) bool {
			network, err := netip.ParsePrefix(x.Network)
			if err != nil || s.SessionEnd(x, network.Addr(), now) != "" {
				return true
			}
			return yield(x)
		})
	}
}

func (a *API) listSessions(_ context.Context, in *Page) (*answer[List[Session]], error) {
	return answered(page(*in, a.openSessions(),
		func(x *engine.Session) string { return x.Name },
		func(x *engine.Session) (Session, bool) { return viewSession(x), true })), nil
}

func (a *API) endOwnSession(ctx context.Context, in *ownSessionRemoval) (*none, error) {
	who := callerOf(ctx)
	if who.session == "" {
		return nil, problem(http.StatusConflict, "conflict", "this request was not sent with a session")
	}
	c := engine.EndSession{Session: who.session}
	if in.All {
		c = engine.EndSession{User: who.user}
	}
	return nil, a.do(ctx, in.Reason, c)
}

func (a *API) endSession(ctx context.Context, in *sessionRemoval) (*none, error) {
	return nil, a.do(ctx, in.Reason, engine.EndSession{Session: in.Session})
}

func (a *API) endSessions(ctx context.Context, in *administratorRemoval) (*none, error) {
	return nil, a.do(ctx, in.Reason, engine.EndSession{User: canonical(in.User)})
}
