package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"keyfob/engine"
	"keyfob/engine/throttle"
	"keyfob/events"
)

// Prefixes of the secrets that identify a caller, so that people and secret
// scanners recognize one.
const (
	TokenPrefix   = "kf_"  // of an API token
	SessionPrefix = "kfs_" // of a session
)

// NewBearer returns a new API token of 256 random bits, and its digest.
func NewBearer(random io.Reader) (engine.Secret, events.Hash, error) {
	return newSecret(random, TokenPrefix)
}

func newSecret(random io.Reader, prefix string) (engine.Secret, events.Hash, error) {
	var b [32]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", events.Hash{}, fmt.Errorf("making a secret: %w", err)
	}
	secret := prefix + base64.RawURLEncoding.EncodeToString(b[:])
	return engine.Secret(secret), sha256.Sum256([]byte(secret)), nil
}

// caller is who sent a request.
type caller struct {
	name    string // as the audit trail names the actor
	role    string
	token   string // name of the API token, if there is one
	session string // public name of the session, if there is one
	user    string // of the session
	local   bool   // on the unix socket
	source  string // IP address, unless local
	secret  string // which kind there is: a prefix, "other", or empty if none
	end     string // why the API token or the session is not valid
}

type callerKey struct{}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// address returns the address of a caller; it is not valid on the unix socket.
func (c caller) address() netip.Addr {
	address, _ := netip.ParseAddr(c.source)
	return address.Unmap()
}

// network returns what a session of a caller is bound to: an IPv4 address, or an
// IPv6 /64, within which a machine changes its address by itself.
func (c caller) network() netip.Prefix {
	bits := 64
	if c.address().Is4() {
		bits = 32
	}
	network, _ := c.address().Prefix(bits)
	return network
}

// identify says who sent a request. ok is false without a valid API token or
// session; the caller then has the source, and the name and the end of one that
// is known.
func (a *API) identify(ctx huma.Context) (who caller, ok bool) {
	if uid, ok := ctx.Context().Value(localKey{}).(uint32); ok {
		return caller{name: engine.SocketActor(uid), role: RoleAdmin, local: true}, true
	}
	who.source = sourceOf(ctx)
	authorization := ctx.Header("Authorization")
	if authorization == "" {
		return who, false
	}
	who.secret, who.end = "other", engine.EndUnknown
	scheme, secret, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "bearer") {
		return who, false
	}
	digest := sha256.Sum256([]byte(secret))
	switch {
	case strings.HasPrefix(secret, SessionPrefix):
		who.secret = SessionPrefix
		a.identifySession(&who, digest)
	case strings.HasPrefix(secret, TokenPrefix):
		who.secret = TokenPrefix
		a.identifyToken(&who, digest)
	}
	return who, who.end == ""
}

func (a *API) identifySession(who *caller, digest events.Hash) {
	s := a.cfg.Node.State()
	if x := s.SessionWith(digest); x != nil {
		who.name, who.role, who.session, who.user = engine.UserActor(x.User), x.Role, x.Name, x.User
		who.end = s.SessionEnd(x, who.address(), a.now(s))
	}
}

func (a *API) identifyToken(who *caller, digest events.Hash) {
	s := a.cfg.Node.State()
	t := tokenWith(s, digest)
	if t == nil {
		return
	}
	who.name, who.role, who.token = engine.TokenActor(t.Name), t.Role, t.Name
	if who.end = s.APITokenEnd(t, a.now(s)); who.end == "" && !t.AcceptedFrom(who.address()) {
		who.end = engine.EndAddress
	}
}

// now is the time that credentials are compared with. A clock that was put back
// does not revive one: it is at least the time of the last record.
func (a *API) now(s *engine.State) events.Time { return max(events.At(a.cfg.Now()), s.Time) }

// sourceOf returns the address that a request came from.
func sourceOf(ctx huma.Context) string {
	source, _, err := net.SplitHostPort(ctx.RemoteAddr())
	if err != nil {
		return ctx.RemoteAddr()
	}
	return source
}

// tokenWith returns the API token with a digest, or nil. It compares every token,
// so that the time it takes does not reveal how much of a digest was correct.
func tokenWith(s *engine.State, digest events.Hash) *engine.APIToken {
	var found *engine.APIToken
	s.APITokens(func(t *engine.APIToken) bool {
		if subtle.ConstantTimeCompare(t.Digest[:], digest[:]) == 1 {
			found = t
		}
		return true
	})
	return found
}

// Why an operation is not permitted to a caller.
const (
	causeRole     = "role"
	causeSite     = "site"
	causeCommands = "commands"
)

// denied returns why an operation is not permitted to a caller, or an empty
// string. The role and the limits of an API token must all permit it.
func (a *API) denied(who caller, o *huma.Operation) string {
	if !allowedTo(o).has(who.role) {
		return causeRole
	}
	t := a.cfg.Node.State().APIToken(who.token)
	switch {
	case t == nil:
	case !t.AcceptedAt(a.cfg.Site):
		return causeSite
	case !t.Permits(o.OperationID):
		return causeCommands
	}
	return ""
}

// deniedWords says what an operation is denied for.
func (a *API) deniedWords(cause string, who caller, o *huma.Operation) string {
	switch cause {
	case causeSite:
		return "this API token is not valid at the site of this node; ask another node"
	case causeCommands:
		return "this API token is limited to other operations than " + o.OperationID
	default:
		return "the role " + who.role + " is not allowed to do this; allowed: " + allowedTo(o).String()
	}
}

// strangerEvent is the record of a request without a valid API token or session.
func strangerEvent(who caller) events.Sampled {
	if who.secret == SessionPrefix {
		return events.SessionRefused{Session: who.session, User: who.user, Cause: who.end}
	}
	return events.APITokenRefused{Name: who.token, Cause: who.end}
}

// refusedReason names why a caller is refused, for metrics.
func refusedReason(who caller) string {
	if who.secret == SessionPrefix {
		return "session_" + who.end
	}
	return "api_token_" + who.end
}

// refuseStranger answers a request without a valid API token or session. Those
// that are not valid count as failures of their source. A valid one from the same
// source is accepted all the same: 256 bits cannot be guessed, and otherwise
// anyone who shares an administrator's address could lock them out.
func (a *API) refuseStranger(ctx huma.Context, who caller) {
	if who.secret == "" {
		a.observer.Refused("no_credential")
	} else {
		a.observer.Refused(refusedReason(who))
		p := a.cfg.Node.State().Policy
		rate := throttle.Rate{Burst: p.SourceFailures, Every: p.SourceEvery}
		network := throttle.Network(who.address())
		a.cfg.Refused(network.String(), a.originOf(caller{source: who.source}), strangerEvent(who))
		if wait, ok := a.strangers.Spend(network, rate, a.cfg.Now()); !ok {
			ctx.SetHeader("Retry-After", seconds(wait))
			a.refuse(ctx, throttled("too many invalid API tokens came from this address"))
			return
		}
	}
	ctx.SetHeader("WWW-Authenticate", `Bearer realm="keyfob"`)
	what := "this needs a valid API token: Authorization: Bearer " + TokenPrefix + "…, or a session; this one is missing, unknown, revoked or expired"
	if who.secret == SessionPrefix {
		what = "the session has ended, or was opened from another address; log in again"
	}
	a.refuse(ctx, problem(http.StatusUnauthorized, "unauthorized", what))
}

const (
	useTimeout = time.Second // of recording that a credential is used
	useAgain   = time.Minute // until it is tried again
	maxUses    = 4096
)

// uses remembers when the use of a credential was last to be recorded.
type uses struct {
	mu   sync.Mutex // guards last
	last map[string]time.Time
}

// due reports whether to record the use of a credential, at most once within
// useAgain.
func (u *uses) due(name string, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if last, ok := u.last[name]; ok && now.Sub(last) < useAgain && !now.Before(last) {
		return false
	}
	if u.last == nil || len(u.last) >= maxUses {
		u.last = map[string]time.Time{}
	}
	u.last[name] = now
	return true
}

// recordUse records that a credential is used, if the last record is old enough.
// It changes nothing for this request if that is not possible: without records, a
// session ends earlier.
func (a *API) recordUse(ctx context.Context, who caller) {
	s := a.cfg.Node.State()
	x, t := s.Session(who.session), s.APIToken(who.token)
	if (x == nil || !s.SessionUseDue(x, a.now(s))) && (t == nil || !engine.APITokenUseDue(t, a.now(s))) {
		return
	}
	if !a.uses.due(who.name+" "+who.session, a.cfg.Now()) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, useTimeout)
	defer cancel()
	o := a.originOf(caller{source: who.source})
	if err := a.cfg.Node.Do(ctx, o, engine.RecordUse{Session: who.session, APIToken: who.token}); err != nil {
		a.cfg.Log.InfoContext(ctx, "use of a session or an API token not recorded", "actor", who.name, "err", err)
	}
}
