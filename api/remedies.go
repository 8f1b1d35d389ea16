package api

import (
	"context"
	"time"

	"keyfob/engine"
	"keyfob/engine/tokencode"
	"keyfob/events"
)

// Remedies executes the commands that need the node's keys.
type Remedies interface {
	// SetTemporaryPIN sets a temporary PIN and returns it. An empty PIN has one
	// generated.
	SetTemporaryPIN(ctx context.Context, o events.Origin, serial string, pin engine.Secret) (engine.Secret, error)
	Resynchronize(ctx context.Context, o events.Origin, serial string, first, second engine.Secret) error
	// Lose reports a token lost and returns its emergency tokencodes.
	Lose(ctx context.Context, o events.Origin, loss Loss) ([]string, error)
	// Sends reports whether this node can send tokencodes to an address.
	Sends(address engine.Secret) bool
	// Replace and GiveOut return the activation code of a token that the command
	// leaves without a PIN; empty if none is needed.
	Replace(ctx context.Context, o events.Origin, old, serial string, keepPIN bool) (engine.Secret, error)
	GiveOut(ctx context.Context, o events.Origin, c engine.Command) (engine.Secret, error)
}

// Loss is what applies while a token is lost.
type Loss struct {
	Serial string
	Codes  int           // emergency tokencodes, each valid once; 0: none
	Fixed  bool          // one emergency tokencode instead, valid until the end
	For    time.Duration // how long they are valid
	Found  string        // what the token's own tokencodes do meanwhile: refuse, allow, after
}

// TemporaryPIN is a temporary PIN, which is shown once.
type TemporaryPIN struct {
	Serial string `json:"serial"`
	PIN    string `json:"temporary_pin" doc:"Shown only this once. The user must change it at the first login."`
}

// Emergency is the emergency access of the user of a lost token.
type Emergency struct {
	Serial     string    `json:"serial"`
	User       string    `json:"user"`
	Kind       string    `json:"kind"`
	Tokencodes []string  `json:"emergency_tokencodes" doc:"Shown only this once. The user enters one after the PIN, in place of the token's own tokencode."`
	Fixed      bool      `json:"fixed" doc:"One tokencode that is valid until the end; otherwise each is valid once."`
	Until      time.Time `json:"until"`
	Found      string    `json:"found" enum:"refuse,allow,after" doc:"What the token's own tokencodes do meanwhile."`
	NoPIN      bool      `json:"without_pin,omitempty" doc:"The token has no PIN, so these are entered without one."`
	Voided     bool      `json:"voided,omitempty" doc:"Emergency tokencodes that were issued before are no longer valid."`
}

// ResyncTokenRequest resynchronizes a token by two consecutive tokencodes.
type ResyncTokenRequest struct {
	CommandRequest
	First  Secret `json:"first" minLength:"6" maxLength:"8" doc:"The tokencode that the token shows."`
	Second Secret `json:"second" minLength:"6" maxLength:"8" doc:"The tokencode that it shows next."`
}

type resyncCommand struct {
	TokenPath
	Body ResyncTokenRequest
}

// LostTokenRequest reports a token lost.
type LostTokenRequest struct {
	CommandRequest
	Tokencodes *int   `json:"tokencodes,omitempty" minimum:"0" maximum:"50" doc:"Number of emergency tokencodes; default: emergency.codes of the policy; 0: no emergency access."`
	Fixed      bool   `json:"fixed,omitempty" doc:"Issue one tokencode that is valid until the end."`
	ForSeconds int    `json:"for_seconds,omitempty" minimum:"60" doc:"How long they are valid; default: emergency.for of the policy."`
	Found      string `json:"found,omitempty" enum:"refuse,allow,after" default:"refuse" doc:"What the token's own tokencodes do meanwhile. refuse: they are refused; allow: they are accepted and end the emergency access; after: they are refused until the emergency access ends."`
}

type lostCommand struct {
	TokenPath
	Body LostTokenRequest
}

// ReplaceTokenRequest replaces a token with another.
type ReplaceTokenRequest struct {
	CommandRequest
	Replacement string `json:"replacement" minLength:"1" maxLength:"64" doc:"Serial of the new token, which must be unassigned."`
	KeepPIN     *bool  `json:"keep_pin,omitempty" doc:"Move the PIN to the new token; default: replace.keep_pin of the policy, if both tokens have the same PIN style."`
}

type replaceCommand struct {
	TokenPath
	Body ReplaceTokenRequest
}

func (a *API) remedies() {
	register(a, route{post, "/tokens/{serial}/temporary-pin", "set-temporary-pin", "Set a temporary PIN, shown once, which the user must change at the first login", staff, 0}, a.setTemporaryPIN)
	register(a, route{post, "/tokens/{serial}/resync", "resync-token", "Resynchronize a token with two consecutive tokencodes that the user reads out", helpers, 0}, a.resync)
	register(a, route{post, "/tokens/{serial}/lost", "lost-token", "Report a token lost, and issue emergency tokencodes, shown once", helpers, 0}, a.lost)
	register(a, route{post, "/tokens/{serial}/replace", "replace-token", "Replace a token with another one, which takes its place at its first successful login", staff, 0}, a.replace)
	a.tokenCommand("found", "Report a token found, and end its emergency tokencodes", helpers, func(s string) engine.Command { return engine.FindToken{Serial: s} })
	a.tokenCommand("zero-drift", "Reset the drift of a token", helpers, func(s string) engine.Command { return engine.ZeroDrift{Serial: s} })
}

func (a *API) setTemporaryPIN(ctx context.Context, in *tokenCommand) (*answer[TemporaryPIN], error) {
	o, err := a.origin(ctx, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	const generated = "" // an administrator cannot choose it
	pin, err := a.cfg.Remedies.SetTemporaryPIN(ctx, o, in.Serial, generated)
	if err != nil {
		return nil, a.pending(err, func(p *PendingCommand) { p.PIN = pin.Reveal() })
	}
	return answered(TemporaryPIN{Serial: in.Serial, PIN: pin.Reveal()}), nil
}

func (a *API) resync(ctx context.Context, in *resyncCommand) (*answer[Token], error) {
	o, err := a.origin(ctx, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	if err := a.cfg.Remedies.Resynchronize(ctx, o, in.Serial, engine.Secret(in.Body.First), engine.Secret(in.Body.Second)); err != nil {
		return nil, err
	}
	return a.tokenNow(in.Serial)
}

func (a *API) lost(ctx context.Context, in *lostCommand) (*answer[Emergency], error) {
	o, err := a.origin(ctx, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	usual := a.cfg.Node.State().Policy
	loss := Loss{Serial: in.Serial, Codes: usual.EmergencyCodes, Fixed: in.Body.Fixed, For: usual.EmergencyFor, Found: in.Body.Found}
	if in.Body.Tokencodes != nil { // 0 is a choice too
		loss.Codes = *in.Body.Tokencodes
	}
	if in.Body.ForSeconds > 0 {
		loss.For = time.Duration(in.Body.ForSeconds) * time.Second
	}
	now := Emergency{Serial: in.Serial, Fixed: loss.Fixed, Found: loss.Found}
	if t := a.cfg.Node.State().Token(in.Serial); t != nil {
		now.User, now.Kind, now.NoPIN = t.User, t.Kind, t.PINStyle == string(tokencode.NoPIN)
		now.Voided = t.Lost != nil && len(t.Lost.Sealed) != 0
	}
	now.Until = events.At(a.cfg.Now().Add(loss.For)).Std()
	codes, err := a.cfg.Remedies.Lose(ctx, o, loss)
	if err != nil {
		return nil, a.pending(err, func(p *PendingCommand) { p.Tokencodes = codes })
	}
	now.Tokencodes = append([]string{}, codes...)
	return answered(now), nil
}

func (a *API) replace(ctx context.Context, in *replaceCommand) (*answer[GivenToken], error) {
	o, err := a.origin(ctx, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	keep := a.cfg.Node.State().KeepsPIN(in.Serial, in.Body.Replacement)
	if in.Body.KeepPIN != nil {
		keep = *in.Body.KeepPIN
	}
	code, err := a.cfg.Remedies.Replace(ctx, o, in.Serial, in.Body.Replacement, keep)
	if err != nil {
		return nil, a.pending(err, func(p *PendingCommand) { p.ActivationCode = code.Reveal() })
	}
	return a.given(in.Body.Replacement, code)
}
