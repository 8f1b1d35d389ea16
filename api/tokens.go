package api

import (
	"context"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// GivenToken is a token after a command that may have assigned it.
type GivenToken struct {
	Token
	Warning        string `json:"warning,omitempty" doc:"Why the token cannot be used yet, although the command succeeded."`
	ActivationCode string `json:"activation_code,omitempty" doc:"Only with pin.first=activation_code, and shown only this once: a PIN for the first login, which must be changed then. Give it to the user separately from the token."`
}

// TokenPath names a token in a path.
type TokenPath struct {
	Serial string `path:"serial" maxLength:"64"`
}

// ListTokensQuery asks for part of the tokens.
type ListTokensQuery struct {
	Page
	User       string `query:"user" maxLength:"256" doc:"Only tokens of this user."`
	Unassigned bool   `query:"unassigned" doc:"Only tokens without a user."`
	Mode       string `query:"mode" enum:"normal,new_pin,next_tokencode" doc:"Only tokens in this mode."`
	Lost       bool   `query:"lost" doc:"Only tokens that are reported lost."`

	Exposed bool `query:"exposed" doc:"Only tokens whose seed was in the cluster while a node was a member that has been removed since."`

	ExpiresBefore time.Time `query:"expires_before" doc:"Only tokens that expire before this time."`
	PINSetBefore  time.Time `query:"pin_set_before" doc:"Only tokens with a PIN that was set before this time."`
}

// selects reports whether a token matches the filters.
func (q ListTokensQuery) selects(s *engine.State, t *engine.Token, now events.Time) bool {
	before := func(at events.Time, limit time.Time) bool {
		return limit.IsZero() || !at.IsZero() && at < events.At(limit)
	}
	return (q.User == "" || t.User == canonical(q.User)) &&
		(!q.Unassigned || t.User == "") &&
		(q.Mode == "" || string(s.Mode(t, now)) == q.Mode) &&
		(!q.Lost || t.Lost != nil) &&
		(!q.Exposed || s.Exposed(t)) &&
		before(t.Expires, q.ExpiresBefore) &&
		(q.PINSetBefore.IsZero() || len(t.PIN) > 0 && before(t.PINSetAt, q.PINSetBefore))
}

// AssignTokenRequest assigns a token to a user.
type AssignTokenRequest struct {
	CommandRequest
	User string `json:"user" minLength:"1" maxLength:"256"`
}

type tokenCommand struct {
	TokenPath
	Body CommandRequest
}

type tokenAssignment struct {
	TokenPath
	Body AssignTokenRequest
}

type tokenRemoval struct {
	TokenPath
	RemovalQuery
}

func (a *API) tokens() {
	register(a, route{get, "/tokens", "list-tokens", "List tokens, in order of serial", readers, 0}, a.listTokens)
	register(a, route{post, "/tokens", "add-token", "Import a token with its seed", enrollers, 201}, a.addToken)
	register(a, route{post, "/tokens/ondemand", "add-ondemand-token", "Add an on-demand token, whose tokencodes are sent to the user", enrollers, 201}, a.addOnDemandToken)
	register(a, route{post, "/tokens/import", "import-tokens", "Import several tokens with their seeds", enrollers, 0}, a.importTokens)
	register(a, route{get, "/tokens/{serial}", "show-token", "Show a token", readers, 0}, a.showToken)
	register(a, route{remove, "/tokens/{serial}", "delete-token", "Delete a token and its seed", enrollers, 0}, a.deleteToken)
	register(a, route{post, "/tokens/{serial}/assign", "assign-token", "Assign a token to a user", enrollers, 0}, a.assignToken)

	a.tokenCommand("unassign", "Unassign a token and delete its PIN", enrollers, func(s string) engine.Command { return engine.UnassignToken{Serial: s} })
	a.tokenCommand("enable", "Enable a token", helpers, func(s string) engine.Command { return engine.EnableToken{Serial: s} })
	a.tokenCommand("disable", "Disable a token", helpers, func(s string) engine.Command { return engine.DisableToken{Serial: s} })
	register(a, route{post, "/tokens/{serial}/clear-pin", "clear-pin-token", "Clear the PIN; the next login sets one, with an activation code if the policy requires it", helpers, 0}, a.clearPIN)
	a.tokenCommand("new-pin", "Require a new PIN at the next login, which the old PIN still authenticates", helpers, func(s string) engine.Command { return engine.RequireNewPIN{Serial: s} })
	a.tokenCommand("next-tokencode", "Require the next tokencode at the next login", helpers, func(s string) engine.Command { return engine.RequireNextTokencode{Serial: s} })
}

func (a *API) tokenCommand(verb, summary string, who roles, command func(serial string) engine.Command) {
	register(a, route{post, "/tokens/{serial}/" + verb, verb + "-token", summary, who, 0},
		func(ctx context.Context, in *tokenCommand) (*answer[Token], error) {
			if err := a.do(ctx, in.Body.Reason, command(in.Serial)); err != nil {
				return nil, err
			}
			return a.tokenNow(in.Serial)
		})
}

func (a *API) listTokens(_ context.Context, in *ListTokensQuery) (*answer[List[Token]], error) {
	s, now := a.cfg.Node.State(), events.At(a.cfg.Now())
	return answered(page(in.Page, s.Tokens,
		func(t *engine.Token) string { return t.Serial },
		func(t *engine.Token) (Token, bool) {
			if !in.selects(s, t, now) {
				return Token{}, false
			}
			return viewToken(s, t, now), true
		})), nil
}

func (a *API) showToken(_ context.Context, in *TokenPath) (*answer[Token], error) {
	return a.tokenNow(in.Serial)
}

func (a *API) deleteToken(ctx context.Context, in *tokenRemoval) (*none, error) {
	return nil, a.do(ctx, in.Reason, engine.DeleteToken{Serial: in.Serial})
}

func (a *API) assignToken(ctx context.Context, in *tokenAssignment) (*answer[GivenToken], error) {
	return a.giveOut(ctx, in.Body.Reason, engine.AssignToken{Serial: in.Serial, User: canonical(in.Body.User)}, in.Serial)
}

func (a *API) clearPIN(ctx context.Context, in *tokenCommand) (*answer[GivenToken], error) {
	return a.giveOut(ctx, in.Body.Reason, engine.ClearPIN{Serial: in.Serial}, in.Serial)
}

// giveOut executes a command that may leave a user with a token without a PIN. It
// answers the token, and the activation code if one was made.
func (a *API) giveOut(ctx context.Context, reason string, c engine.Command, serial string) (*answer[GivenToken], error) {
	o, err := a.origin(ctx, reason)
	if err != nil {
		return nil, err
	}
	code, err := a.cfg.Remedies.GiveOut(ctx, o, c)
	if err != nil {
		return nil, a.pending(err, func(p *PendingCommand) { p.ActivationCode = code.Reveal() })
	}
	return a.given(serial, code)
}

func (a *API) given(serial string, code engine.Secret) (*answer[GivenToken], error) {
	now, err := a.tokenNow(serial)
	if err != nil {
		return nil, err
	}
	return answered(GivenToken{Token: now.Body, ActivationCode: code.Reveal()}), nil
}

func (a *API) tokenNow(serial string) (*answer[Token], error) {
	s := a.cfg.Node.State()
	t := s.Token(serial)
	if t == nil {
		return nil, notFound("token", serial, engine.HelpListTokens)
	}
	return answered(viewToken(s, t, events.At(a.cfg.Now()))), nil
}
