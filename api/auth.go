package api

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/sys/unix"

	"keyfob/engine"
	"keyfob/events"
)

// guard lets a request through to its operation if that is permitted to its
// caller.
func (a *API) guard(ctx huma.Context, next func(huma.Context)) {
	who, ok := a.identify(ctx)
	if err := a.behind(); err != nil && !who.local {
		ctx.SetHeader("Retry-After", "1")
		a.observer.Refused("not_ready")
		a.refuse(ctx, problem(http.StatusServiceUnavailable, "not_ready",
			"this node does not know which API tokens and sessions are valid: "+err.Error()+"; try again, or ask another node"))
		return
	}
	operation := ctx.Operation()
	if allowedTo(operation).has(roleAnyone) {
		next(as(ctx, caller{source: who.source, local: who.local})) // a login has events of its own
		return
	}
	if !ok {
		a.refuseStranger(ctx, who)
		return
	}
	if cause := a.denied(who, operation); cause != "" {
		a.cfg.Log.WarnContext(ctx.Context(), "request denied", "operation", operation.OperationID, "actor", who.name, "role", who.role, "cause", cause)
		a.observer.Refused(cause)
		a.cfg.Refused(who.name, a.originOf(who), events.CommandDenied{Operation: operation.OperationID, Role: who.role, Cause: cause})
		a.refuse(ctx, problem(http.StatusForbidden, "forbidden", a.deniedWords(cause, who, operation)))
		return
	}
	a.recordUse(ctx.Context(), who)
	a.carryOut(ctx, who, next)
}

// as is the context of a request with its caller.
func as(ctx huma.Context, who caller) huma.Context {
	return huma.WithContext(ctx, context.WithValue(ctx.Context(), callerKey{}, who))
}

// allowedTo returns the roles that may call an operation.
func allowedTo(o *huma.Operation) roles {
	allowed, _ := o.Metadata[rolesKey].(roles)
	return allowed
}

// permits reports whether a request that was let through is still permitted: its
// API token or session may have ended since.
func (a *API) permits(ctx huma.Context) bool {
	who, ok := a.identify(ctx)
	return ok && a.denied(who, ctx.Operation()) == ""
}

// behind says why this node's list of API tokens and sessions may be out of date:
// one that it does not know may be valid, and one that it knows may have ended.
func (a *API) behind() error {
	if a.cfg.CaughtUp == nil {
		return nil
	}
	return a.cfg.CaughtUp()
}

func (a *API) refuse(ctx huma.Context, p *huma.ErrorModel) {
	ctx.SetHeader("Content-Type", "application/problem+json")
	ctx.SetStatus(p.Status)
	_ = a.huma.Marshal(ctx.BodyWriter(), "application/json", p)
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
	return events.Origin{Node: a.cfg.Name, Site: a.cfg.Site, Door: events.DoorAPI, SourceIP: who.source, Actor: who.name, Session: who.session}
}

// do executes a command for the caller.
func (a *API) do(ctx context.Context, reason string, c engine.Command) error {
	o, err := a.origin(ctx, reason)
	if err != nil {
		return err
	}
	return a.cfg.Node.Do(ctx, o, c)
}
