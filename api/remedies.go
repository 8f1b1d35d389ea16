package api

import (
	"context"
	"time"

	"keyfob/engine"
	"keyfob/engine/tokencode"
	"keyfob/events"
)

// Remedies are the commands that need the node's keys.
type Remedies interface {
	// SetTemporaryPIN makes a PIN where none is given, and answers it.
	SetTemporaryPIN(ctx context.Context, o events.Origin, serial string, pin engine.Secret) (engine.Secret, error)
	Resynchronize(ctx context.Context, o events.Origin, serial string, first, second engine.Secret) error
	// Lose answers the emergency tokencodes.
	Lose(ctx context.Context, o events.Origin, loss Loss) ([]string, error)
	// Sends reports whether this node has a way of sending tokencodes to an
	// address.
	Sends(address engine.Secret) bool
	// Replace and GiveOut answer the activation code that was made for a token
	// which the command leaves without a PIN, empty where none is needed.
	Replace(ctx context.Context, o events.Origin, old, serial string, keepPIN bool) (engine.Secret, error)
	GiveOut(ctx context.Context, o events.Origin, c engine.Command) (engine.Secret, error)
}

// Loss is what holds while a token is lost.
type Loss struct {
	Serial string
	Codes  int           // emergency tokencodes, each good once; 0: none
	Fixed  bool          // one emergency tokencode instead, good until the end
	For    time.Duration // how long they are good
	Found  string        // what the token's own tokencodes do meanwhile: refuse, allow, after
}

// TemporaryPIN is a PIN at the one time that it is shown.
type TemporaryPIN struct {
	Serial string `json:"serial"`
	PIN    string `json:"temporary_pin" doc:"Shown this once; its owner must change it at the first use."`
}

// Emergency is what the owner of a lost token uses meanwhile.
type Emergency struct {
	Serial     string    `json:"serial"`
	User       string    `json:"user"`
	Kind       string    `json:"kind"`
	Tokencodes []string  `json:"emergency_tokencodes" doc:"Shown only this once. Typed after the PIN, in place of the token's own."`
	Fixed      bool      `json:"fixed" doc:"One tokencode that is good until the end; otherwise each is good once."`
	Until      time.Time `json:"until"`
	Found      string    `json:"found" enum:"refuse,allow,after" doc:"What the token's own tokencodes do meanwhile."`
	NoPIN      bool      `json:"without_pin,omitempty" doc:"The token works without a PIN, and so do these."`
	Voided     bool      `json:"voided,omitempty" doc:"Emergency tokencodes were given out before; they are void now."`
}

// ResyncTokenRequest resynchronizes a token by two consecutive tokencodes.
type ResyncTokenRequest struct {
	CommandRequest
	First  Secret `json:"first" minLength:"6" maxLength:"8" doc:"What the token shows."`
	Second Secret `json:"second" minLength:"6" maxLength:"8" doc:"What it shows next."`
}

type resyncCommand struct {
	TokenPath
	Body ResyncTokenRequest
}

// LostTokenRequest reports a token lost.
type LostTokenRequest struct {
	CommandRequest
	Tokencodes *int   `json:"tokencodes,omitempty" minimum:"0" maximum:"50" doc:"How many emergency tokencodes are given out; default: emergency.codes of the policy; 0: no emergency access."`
	Fixed      bool   `json:"fixed,omitempty" doc:"One tokencode that is good until the end."`
	ForSeconds int    `json:"for_seconds,omitempty" minimum:"60" doc:"How long they are good; default: emergency.for of the policy."`
	Found      string `json:"found,omitempty" enum:"refuse,allow,after" default:"refuse" doc:"What the token's own tokencodes do meanwhile: nothing; let in and end the emergency; nothing until the emergency is over."`
}

type lostCommand struct {
	TokenPath
	Body LostTokenRequest
}

// ReplaceTokenRequest replaces a token with another.
type ReplaceTokenRequest struct {
	CommandRequest
	Replacement string `json:"replacement" minLength:"1" maxLength:"64" doc:"Serial of the new token, which belongs to nobody yet."`
	KeepPIN     *bool  `json:"keep_pin,omitempty" doc:"Whether the PIN goes with it; default: replace.keep_pin of the policy, where both tokens take the PIN alike."`
}

type replaceCommand struct {
	TokenPath
	Body ReplaceTokenRequest
}

func (a *API) remedies() {
	register(a, route{post, "/tokens/{serial}/temporary-pin", "set-temporary-pin", "Make a PIN that its owner must change at the first use, shown once", staff, 0}, a.setTemporaryPIN)
	register(a, route{post, "/tokens/{serial}/resync", "resync-token", "Put a token right by two tokencodes in a row, as its owner reads them out", helpers, 0}, a.resync)
	register(a, route{post, "/tokens/{serial}/lost", "lost-token", "Refuse a token that is lost, and give its owner emergency tokencodes, shown once", helpers, 0}, a.lost)
	register(a, route{post, "/tokens/{serial}/replace", "replace-token", "Give a token's owner a new one, which takes its place at its first success", staff, 0}, a.replace)
	a.tokenCommand("found", "End the emergency tokencodes: the token is with its owner again", helpers, func(s string) engine.Command { return engine.FindToken{Serial: s} })
	a.tokenCommand("zero-drift", "Forget what is believed of a token's clock", helpers, func(s string) engine.Command { return engine.ZeroDrift{Serial: s} })
}

func (a *API) setTemporaryPIN(ctx context.Context, in *tokenCommand) (*answer[TemporaryPIN], error) {
	o, err := a.origin(ctx, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	const made = "" // by the node: an administrator cannot choose it
	pin, err := a.cfg.Remedies.SetTemporaryPIN(ctx, o, in.Serial, made)
	if err != nil {
		return nil, err
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
	if in.Body.Tokencodes != nil { // 0 is a number of its own here
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
		return nil, err
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
		return nil, err
	}
	return a.given(in.Body.Replacement, code)
}
