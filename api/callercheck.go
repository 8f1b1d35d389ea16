package api

import (
	"context"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// CheckCallerRequest checks the word that a caller reads out.
type CheckCallerRequest struct {
	CommandRequest
	Word Secret `json:"word" minLength:"1" maxLength:"64" doc:"As the page showed it to the user. Case, spaces and hyphens do not matter."`
}

type checkCaller struct {
	UserPath
	Body CheckCallerRequest
}

// CallerCheck is the result of a check.
type CallerCheck struct {
	User  string     `json:"user"`
	Right bool       `json:"right" doc:"The caller has the user's token."`
	Until *time.Time `json:"until,omitempty" doc:"How long you may help this caller."`
}

func (a *API) checkCaller(ctx context.Context, in *checkCaller) (*answer[CallerCheck], error) {
	user := canonical(in.User)
	o, err := a.origin(ctx, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	digest := a.cfg.Seal.CallerDigest(user, engine.Secret(in.Body.Word))
	if err := a.cfg.Node.Do(ctx, o, engine.CheckCaller{User: user, Digest: digest}); err != nil {
		return nil, err
	}
	s := a.cfg.Node.State()
	checked := CallerCheck{User: user, Right: s.CallerChecked(user, o.Actor, events.At(a.cfg.Now()))}
	if checked.Right {
		checked.Until = instant(s.User(user).Caller.Until)
	}
	return answered(checked), nil
}
