package api

import (
	"context"
	"net/netip"
	"time"

	"keyfob/engine"
)

type loginInput struct {
	Key  string `header:"Idempotency-Key" maxLength:"128" doc:"The same value for each retry of an attempt. A retry gets the recorded answer and uses no tokencode twice."`
	Body LoginRequest
}

// LoginRequest is what a user typed into an application.
type LoginRequest struct {
	User         string `json:"user" minLength:"1" maxLength:"512"`
	Passcode     Secret `json:"passcode,omitempty" maxLength:"256" doc:"What the step asks for: a passcode, a tokencode or a PIN."`
	Again        Secret `json:"again,omitempty" maxLength:"256" doc:"The new PIN again, if both are sent at once; with purpose resynchronize: the next tokencode."`
	Purpose      string `json:"purpose,omitempty" enum:"resynchronize" doc:"Resynchronize the token by a passcode and the next tokencode, instead of a login."`
	Choice       string `json:"choice,omitempty" enum:"own,generated" doc:"At the step choose_pin or generate_pin."`
	Conversation string `json:"conversation,omitempty" maxLength:"8192" doc:"From the previous answer to the same API token and client; absent: a new conversation."`
	Client       string `json:"client,omitempty" maxLength:"64" doc:"The application, for the audit trail; default: the name of the API token."`
	SourceIP     string `json:"source_ip,omitempty" format:"ip" doc:"IP address of the user."`
	NoChallenge  bool   `json:"no_challenge,omitempty" doc:"The application cannot show a prompt."`
}

// LoginAnswer is the outcome of an attempt. A refusal does not say why; the
// reference leads to the reason in the audit trail.
type LoginAnswer struct {
	Result       string  `json:"result" enum:"accept,reject,challenge,resynchronized" doc:"Admit the user only on accept."`
	User         string  `json:"user,omitempty" doc:"Canonical user name, on accept."`
	Reference    string  `json:"reference,omitempty" doc:"The user can read it out to the help desk."`
	Prompt       *Prompt `json:"prompt,omitempty" doc:"What to ask for next; with reject: what to ask for again."`
	Problem      string  `json:"problem,omitempty" doc:"If the conversation ended because of a new PIN: what was wrong with it, as in prompt.problem."`
	Conversation string  `json:"conversation,omitempty" doc:"Send it back with the answer to the prompt."`
}

// Prompt is one step of a conversation.
type Prompt struct {
	Step          string     `json:"step" enum:"next_tokencode,choose_pin,generate_pin,new_pin,confirm_pin,login"`
	Problem       string     `json:"problem,omitempty" doc:"What was wrong with the previous answer: pins_differ, pin_length, pin_characters, pin_trivial (a repetition or a sequence), pin_common, pin_personal (part of the user's name or the serial), pin_used_before, pin_leading_zero, tokencode_reused, wrong, choice."`
	GeneratedPIN  string     `json:"generated_pin,omitempty" doc:"Show it to the user, only this once."`
	PINMin        int        `json:"pin_min,omitempty"`
	PINMax        int        `json:"pin_max,omitempty"`
	PINLetters    bool       `json:"pin_letters,omitempty" doc:"Letters are allowed."`
	PINHistory    int        `json:"pin_history,omitempty" doc:"Number of previous PINs that must not be reused."`
	PINAdded      bool       `json:"pin_added,omitempty" doc:"The token adds the PIN to the tokencode: the PIN must not start with 0, and pin_max is at most the digits of a tokencode."`
	PeriodSeconds int        `json:"period_seconds,omitempty" doc:"Lifetime of a tokencode; absent for event tokens."`
	Sent          bool       `json:"sent,omitempty" doc:"The tokencode was sent to the user."`
	Next          *time.Time `json:"next,omitempty" doc:"When the token shows its next tokencode."`
	Expires       *time.Time `json:"expires,omitempty"`
}

func (a *API) login() {
	register(a, route{post, "/authenticate", "authenticate", "Decide a login, or the next step of a conversation", applications, 0}, a.authenticate)
}

func (a *API) authenticate(ctx context.Context, in *loginInput) (*answer[LoginAnswer], error) {
	who := callerOf(ctx)
	// A login has no actor: an actor would make it an administrator's command.
	o, err := a.origin(ctx, "asked by "+who.name)
	if err != nil {
		return nil, err
	}
	o.Actor, o.Client, o.SourceIP = "", in.Body.Client, in.Body.SourceIP
	if o.Client == "" {
		o.Client = who.token
	}

	key := ""
	if in.Key != "" {
		key = who.token + " " + in.Key // keys of different applications are unrelated
	}
	out, err := a.cfg.Node.Authenticate(ctx, engine.Attempt{
		Origin:       o,
		Key:          key,
		User:         in.Body.User,
		Typed:        engine.Secret(in.Body.Passcode),
		Again:        engine.Secret(in.Body.Again),
		Choice:       engine.Choice(in.Body.Choice),
		Conversation: in.Body.Conversation,
		Holder:       who.name,
		NoChallenge:  in.Body.NoChallenge,
		Purpose:      engine.Purpose(in.Body.Purpose),
		Arrived:      a.cfg.Now(),
		Source:       userAt(in.Body.SourceIP, who.source),
		Client:       who.token,
	})
	switch {
	case err != nil:
		return nil, err
	case out.Wait > 0:
		return nil, later(throttled("too many attempts from this application or from this address have failed; this one was not checked"), out.Wait)
	}
	return answered(viewOutcome(out)), nil
}

// userAt returns the address of the user as the application reports it. The
// application's own address stands for all its users and is ignored.
func userAt(said, application string) netip.Addr {
	if said == application {
		return netip.Addr{}
	}
	a, _ := netip.ParseAddr(said)
	return a
}

func viewOutcome(out engine.Outcome) LoginAnswer {
	v := LoginAnswer{Result: out.Verdict.String(), Reference: out.Reference, Conversation: out.Conversation}
	if out.Verdict == engine.Accept {
		v.User = out.User
	}
	if out.Prompt.Step == "" {
		v.Problem = string(out.Prompt.Problem)
		return v
	}
	p := out.Prompt
	v.Prompt = &Prompt{
		Step:          string(p.Step),
		Problem:       string(p.Problem),
		GeneratedPIN:  p.PIN.Reveal(),
		PINMin:        p.Rules.Min,
		PINMax:        p.Rules.Max,
		PINLetters:    p.Rules.Alphanumeric,
		PINHistory:    p.Rules.History,
		PINAdded:      p.Rules.PINpad,
		PeriodSeconds: int(p.Period / time.Second),
		Sent:          p.Sent,
	}
	if !p.Next.IsZero() {
		v.Prompt.Next = &p.Next
	}
	if !p.Expires.IsZero() {
		v.Prompt.Expires = &p.Expires
	}
	return v
}
