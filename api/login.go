package api

import (
	"context"
	"net/netip"
	"time"

	"keyfob/engine"
)

type loginInput struct {
	Key  string `header:"Idempotency-Key" maxLength:"128" doc:"The same for each retry of one attempt: a retry that says the same gets the answer that was decided, and spends nothing twice."`
	Body LoginRequest
}

// LoginRequest is what a user typed into an application.
type LoginRequest struct {
	User         string `json:"user" minLength:"1" maxLength:"512"`
	Passcode     Secret `json:"passcode,omitempty" maxLength:"256" doc:"What the step asks for: a passcode, a tokencode or a PIN."`
	Again        Secret `json:"again,omitempty" maxLength:"256" doc:"A new PIN once more, where it is asked for twice at once; to resynchronize: the next tokencode."`
	Purpose      string `json:"purpose,omitempty" enum:"resynchronize" doc:"Not to log in, but to put a token right by a passcode and the next tokencode."`
	Choice       string `json:"choice,omitempty" enum:"own,generated" doc:"Where the step asks for one."`
	Conversation string `json:"conversation,omitempty" maxLength:"8192" doc:"From the answer before, which the same API token asked for, as the same client; absent begins anew."`
	Client       string `json:"client,omitempty" maxLength:"64" doc:"The application, for the audit trail; default the API token's name."`
	SourceIP     string `json:"source_ip,omitempty" format:"ip" doc:"Where the user is."`
	NoChallenge  bool   `json:"no_challenge,omitempty" doc:"The application cannot ask anything back."`
}

// LoginAnswer is the outcome of an attempt. A refusal does not say why; the
// reference leads to the reason in the audit trail.
type LoginAnswer struct {
	Result       string  `json:"result" enum:"accept,reject,challenge,resynchronized" doc:"Only accept lets anybody in."`
	User         string  `json:"user,omitempty" doc:"How the cluster spells the name; on accept."`
	Reference    string  `json:"reference,omitempty" doc:"To be read out to the help desk."`
	Prompt       *Prompt `json:"prompt,omitempty" doc:"What to ask for next. With reject: what to ask for again."`
	Problem      string  `json:"problem,omitempty" doc:"Of a conversation that ended over a new PIN: what was wrong with the last one, in the words of prompt.problem."`
	Conversation string  `json:"conversation,omitempty" doc:"To be sent back with the answer to the prompt."`
}

// Prompt is one step of a conversation.
type Prompt struct {
	Step          string     `json:"step" enum:"next_tokencode,choose_pin,generate_pin,new_pin,confirm_pin,login"`
	Problem       string     `json:"problem,omitempty" doc:"What was wrong with the answer before: pins_differ, pin_length, pin_characters, pin_trivial (a repeat or a run), pin_common, pin_personal (part of the user's name or the serial), pin_used_before, pin_leading_zero, tokencode_reused, wrong, choice."`
	GeneratedPIN  string     `json:"generated_pin,omitempty" doc:"To be shown to its owner, now and never again."`
	PINMin        int        `json:"pin_min,omitempty"`
	PINMax        int        `json:"pin_max,omitempty"`
	PINLetters    bool       `json:"pin_letters,omitempty" doc:"Letters are allowed too."`
	PINHistory    int        `json:"pin_history,omitempty" doc:"None of the last so many PINs may be taken again."`
	PINAdded      bool       `json:"pin_added,omitempty" doc:"The token adds the PIN to the tokencode: it must not begin with 0, and pin_max is no more than a tokencode's digits."`
	PeriodSeconds int        `json:"period_seconds,omitempty" doc:"A tokencode's life; absent for tokens with a button."`
	Sent          bool       `json:"sent,omitempty" doc:"The tokencode was sent to the user; no token shows it."`
	Next          *time.Time `json:"next,omitempty" doc:"When the token will show its next tokencode."`
	Expires       *time.Time `json:"expires,omitempty"`
}

func (a *API) login() {
	register(a, route{post, "/authenticate", "authenticate", "Decide a login, or the next step of one", applications, 0}, a.authenticate)
}

func (a *API) authenticate(ctx context.Context, in *loginInput) (*answer[LoginAnswer], error) {
	who := callerOf(ctx)
	// A login is nobody's command: an actor would make it an administrator's.
	o, err := a.origin(ctx, "asked by "+who.name)
	if err != nil {
		return nil, err
	}
	o.Actor, o.Client, o.SourceIP = "", in.Body.Client, in.Body.SourceIP
	if o.Client == "" {
		o.Client = who.token
	}

	session := ""
	if in.Key != "" {
		session = who.token + " " + in.Key // one application's key is nobody else's
	}
	out, err := a.cfg.Node.Authenticate(ctx, engine.Attempt{
		Origin:       o,
		Session:      session,
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
		return nil, later(throttled("too many attempts of this application, or of users at this address, have failed; this one was not looked at"), out.Wait)
	}
	return answered(viewOutcome(out)), nil
}

// userAt is where the user is, by what the application says, if that can be:
// behind the application's own address are all its users.
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
