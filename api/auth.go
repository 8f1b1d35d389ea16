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
	"os"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/sys/unix"

	"keyfob/engine"
	"keyfob/engine/throttle"
	"keyfob/events"
)

// TokenPrefix starts every API token, so that people and secret scanners
// recognize one.
const TokenPrefix = "kf_"

// NewBearer returns a new API token of 256 random bits, and its digest.
func NewBearer(random io.Reader) (engine.Secret, events.Hash, error) {
	var b [32]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", events.Hash{}, fmt.Errorf("making API token: %w", err)
	}
	token := TokenPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	return engine.Secret(token), sha256.Sum256([]byte(token)), nil
}

// caller is who sent a request.
type caller struct {
	name   string // as the audit trail names the actor
	role   string
	token  string // name of the API token; empty on the unix socket
	source string // IP address
}

type callerKey struct{}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// guard lets a request through to its operation if its caller has one of the
// operation's roles.
func (a *API) guard(ctx huma.Context, next func(huma.Context)) {
	who, ok := a.identify(ctx)
	atSocket := ok && who.token == ""
	if err := a.behind(); err != nil && !atSocket {
		ctx.SetHeader("Retry-After", "1")
		a.refuse(ctx, problem(http.StatusServiceUnavailable, "not_ready",
			"this node does not know which API tokens are valid: "+err.Error()+"; try again, or ask another node"))
		return
	}
	if !ok {
		a.refuseStranger(ctx, who)
		return
	}
	operation := ctx.Operation()
	allowed := allowedTo(operation)
	if !allowed.has(who.role) {
		a.cfg.Log.WarnContext(ctx.Context(), "request denied by role", "operation", operation.OperationID, "actor", who.name, "role", who.role)
		a.cfg.Refused(who.name, a.originOf(who), events.CommandDenied{Operation: operation.OperationID, Role: who.role})
		a.refuse(ctx, problem(http.StatusForbidden, "forbidden", "the role "+who.role+" is not allowed to do this; allowed: "+allowed.String()))
		return
	}
	next(huma.WithContext(ctx, context.WithValue(ctx.Context(), callerKey{}, who)))
}

// allowedTo returns the roles that may call an operation.
func allowedTo(o *huma.Operation) roles {
	allowed, _ := o.Metadata[rolesKey].(roles)
	return allowed
}

// permits reports whether a request that was let through is still permitted: its
// API token may have been revoked since, or have expired.
func (a *API) permits(ctx huma.Context) bool {
	who, ok := a.identify(ctx)
	return ok && allowedTo(ctx.Operation()).has(who.role)
}

// behind says why this node's list of API tokens may be out of date: a token that
// it does not know may be valid, and one that it knows may be revoked.
func (a *API) behind() error {
	if a.cfg.CaughtUp == nil {
		return nil
	}
	return a.cfg.CaughtUp()
}

// refuseStranger answers a request without a valid API token. Tokens that are
// not valid count as failures of their source. A valid token from the same
// source is accepted all the same: 256 bits cannot be guessed, and otherwise
// anyone who shares an administrator's address could lock them out.
func (a *API) refuseStranger(ctx huma.Context, who caller) {
	if ctx.Header("Authorization") != "" {
		p := a.cfg.Node.State().Policy
		rate := throttle.Rate{Burst: p.SourceFailures, Every: p.SourceEvery}
		address, _ := netip.ParseAddr(who.source)
		network := throttle.Network(address)
		a.cfg.Refused(network.String(), a.originOf(caller{source: who.source}), events.APITokenRefused{Name: who.token})
		if wait, ok := a.strangers.Spend(network, rate, a.cfg.Now()); !ok {
			ctx.SetHeader("Retry-After", seconds(wait))
			a.refuse(ctx, throttled("too many invalid API tokens came from this address"))
			return
		}
	}
	ctx.SetHeader("WWW-Authenticate", `Bearer realm="keyfob"`)
	a.refuse(ctx, problem(http.StatusUnauthorized, "unauthorized", "this needs a valid API token: Authorization: Bearer "+TokenPrefix+"…; this one is missing, unknown, revoked or expired"))
}

func (a *API) refuse(ctx huma.Context, p *huma.ErrorModel) {
	ctx.SetHeader("Content-Type", "application/problem+json")
	ctx.SetStatus(p.Status)
	_ = a.huma.Marshal(ctx.BodyWriter(), "application/json", p)
}

// identify says who sent a request. ok is false without a valid API token; the
// caller then has the source, and the name of a token that has expired. A clock
// that was put back does not revive one: the time is at least that of the last
// record.
func (a *API) identify(ctx huma.Context) (who caller, ok bool) {
	if uid, ok := ctx.Context().Value(localKey{}).(uint32); ok {
		return caller{name: engine.SocketActor(uid), role: RoleAdmin}, true
	}
	who.source = sourceOf(ctx)
	scheme, token, _ := strings.Cut(ctx.Header("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") || !strings.HasPrefix(token, TokenPrefix) {
		return who, false
	}
	state := a.cfg.Node.State()
	found := tokenWith(state, sha256.Sum256([]byte(token)))
	if found == nil {
		return who, false
	}
	who.name, who.role, who.token = engine.TokenActor(found.Name), found.Role, found.Name
	return who, found.Expires.IsZero() || max(events.At(a.cfg.Now()), state.Time) < found.Expires
}

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

type localKey struct{}

// Local is the ConnContext of the server on the unix socket. Root, and the user
// that the server runs as, need no token: the kernel names the peer.
func Local(ctx context.Context, c net.Conn) context.Context {
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return ctx
	}
	var peer *unix.Ucred
	if ctlErr := raw.Control(func(fd uintptr) {
		peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); ctlErr != nil || err != nil {
		return ctx
	}
	if peer.Uid != 0 && peer.Uid != uint32(os.Geteuid()) {
		return ctx
	}
	return context.WithValue(ctx, localKey{}, peer.Uid)
}

// origin returns the origin of a command, with a new request id.
func (a *API) origin(ctx context.Context, reason string) (events.Origin, error) {
	o := a.originOf(callerOf(ctx))
	o.Note = reason
	if _, err := io.ReadFull(a.cfg.Random, o.Request[:]); err != nil {
		return events.Origin{}, fmt.Errorf("making request id: %w", err)
	}
	o.Reference = o.Request.Reference()
	return o, nil
}

// originOf says where a request of a caller comes from.
func (a *API) originOf(who caller) events.Origin {
	return events.Origin{Node: a.cfg.Name, Site: a.cfg.Site, Door: events.DoorAPI, SourceIP: who.source, Actor: who.name}
}

// do executes a command for the caller.
func (a *API) do(ctx context.Context, reason string, c engine.Command) error {
	o, err := a.origin(ctx, reason)
	if err != nil {
		return err
	}
	return a.cfg.Node.Do(ctx, o, c)
}
