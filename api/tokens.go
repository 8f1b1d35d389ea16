package api

import (
	"context"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// GivenToken is a token as it was left to a user.
type GivenToken struct {
	Token
	Warning        string `json:"warning,omitempty" doc:"What keeps it from being used, though all was done that was asked."`
	ActivationCode string `json:"activation_code,omitempty" doc:"Made where pin.first asks for one, and shown only this once: a PIN that proves the owner at the first use, and must be changed then. It is told to the owner by another way than the token."`
}

// TokenPath names a token in a path.
type TokenPath struct {
	Serial string `path:"serial" maxLength:"64"`
}

// ListTokensQuery asks for part of the tokens.
type ListTokensQuery struct {
	Page
	User       string `query:"user" maxLength:"256" doc:"Only this user's."`
	Unassigned bool   `query:"unassigned" doc:"Only those that belong to nobody."`
	Mode       string `query:"mode" enum:"normal,new_pin,next_tokencode" doc:"Only those in this mode."`
	Lost       bool   `query:"lost" doc:"Only those that are reported lost."`

	ExpiresBefore time.Time `query:"expires_before" doc:"Only those that expire before this time, or have expired."`
	PINSetBefore  time.Time `query:"pin_set_before" doc:"Only those with a PIN that was set before this time."`
}

// selects reports whether a token is one of those asked for.
func (q ListTokensQuery) selects(s *engine.State, t *engine.Token, now events.Time) bool {
	before := func(at events.Time, limit time.Time) bool {
		return limit.IsZero() || !at.IsZero() && at < events.At(limit)
	}
	return (q.User == "" || t.User == canonical(q.User)) &&
		(!q.Unassigned || t.User == "") &&
		(q.Mode == "" || string(s.Mode(t, now)) == q.Mode) &&
		(!q.Lost || t.Lost != nil) &&
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
	a.tokenCommand("enable", "Let a token be used again", helpers, func(s string) engine.Command { return engine.EnableToken{Serial: s} })
	a.tokenCommand("disable", "Refuse a token until it is enabled", helpers, func(s string) engine.Command { return engine.DisableToken{Serial: s} })
	register(a, route{post, "/tokens/{serial}/clear-pin", "clear-pin-token", "Forget the PIN; the next login sets one, with an activation code where the policy asks for it", helpers, 0}, a.clearPIN)
	a.tokenCommand("new-pin", "Demand a new PIN at the next login; the old one still proves its owner", helpers, func(s string) engine.Command { return engine.RequireNewPIN{Serial: s} })
	a.tokenCommand("next-tokencode", "Demand the next tokencode at the next login", helpers, func(s string) engine.Command { return engine.RequireNextTokencode{Serial: s} })
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

// giveOut carries out a command that may leave a token without a PIN to its
// owner, and shows the token with the activation code that was made.
func (a *API) giveOut(ctx context.Context, reason string, c engine.Command, serial string) (*answer[GivenToken], error) {
	o, err := a.origin(ctx, reason)
	if err != nil {
		return nil, err
	}
	code, err := a.cfg.Remedies.GiveOut(ctx, o, c)
	if err != nil {
		return nil, err
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
