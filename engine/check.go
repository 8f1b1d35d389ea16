package engine

import (
	"context"
	"fmt"

	"keyfob/engine/tokencode"
	"keyfob/events"
)

// Ticket is the content of a sealed conversation. It travels with the client;
// the state decides whether it is still valid.
type Ticket struct {
	ID       events.Request `cbor:"1,keyasint"`
	Turn     uint8          `cbor:"2,keyasint"`
	User     string         `cbor:"3,keyasint"`
	Sequence uint64         `cbor:"4,keyasint"`           // of the record that this is based on; a node that has not applied it waits
	PIN      string         `cbor:"5,keyasint,omitempty"` // a PIN typed once, a generated one to be shown, or a tokencode that was sent
	Step     events.Step    `cbor:"6,keyasint,omitempty"` // that the answer belongs to
	Delivery *Delivery      `cbor:"-"`                    // to be sent now
}

// Evidence is what a node found about an attempt with its keys. It holds no
// secret.
type Evidence struct {
	Tokens []TokenEvidence `cbor:"1,keyasint,omitempty"` // one per token tried
	PIN    *PINEvidence    `cbor:"2,keyasint,omitempty"` // for the steps that set a PIN
}

// TokenEvidence is what was found about one token.
type TokenEvidence struct {
	Serial   string `cbor:"1,keyasint"`
	Revision uint64 `cbor:"2,keyasint"` // of the secrets used
	Found    bool   `cbor:"3,keyasint,omitempty"`
	Interval int64  `cbor:"4,keyasint,omitempty"` // where the tokencode was found
	PIN      bool   `cbor:"5,keyasint,omitempty"` // the PIN is right; true when there is none and none was typed
	Unfit    bool   `cbor:"6,keyasint,omitempty"` // the PIN is right but breaks a current rule
	// Emergency is the number of the emergency tokencode that was typed, from 1.
	// There is no interval then.
	Emergency uint8 `cbor:"7,keyasint,omitempty"`
	// Unsendable is set if a tokencode would have to be sent and the node cannot
	// send to the address.
	Unsendable bool `cbor:"8,keyasint,omitempty"`
	// Imported distinguishes a token from a deleted one with the same serial,
	// whose revisions had the same numbers. Older nodes leave it empty.
	Imported events.Time `cbor:"9,keyasint,omitempty"`
}

// evidenceOf returns the evidence before anything was found.
func evidenceOf(t *Token) TokenEvidence {
	return TokenEvidence{Serial: t.Serial, Imported: t.Imported, Revision: t.Revision}
}

// PINEvidence is what was found about a new PIN.
type PINEvidence struct {
	Revision  uint64  `cbor:"1,keyasint"` // the PIN revision that it is sealed to
	Sealed    []byte  `cbor:"2,keyasint,omitempty"`
	Generated bool    `cbor:"3,keyasint,omitempty"`
	Problem   Problem `cbor:"4,keyasint,omitempty"`
	// Typed is set if the PIN is fit and must be typed again.
	Typed bool `cbor:"5,keyasint,omitempty"`
}

// Checked is the result of Check: the request to the leader, and what stays on
// this node.
type Checked struct {
	Command Authenticate
	PIN     Secret // typed once or generated; goes into the next ticket
	Word    Secret // for the help desk, if the attempt was made to get one
	// Deliveries are the tokencodes that may be sent, one per token for which the
	// PIN is right. The decision selects one.
	Deliveries []Delivery
}

// Decision is the result of Decide or DecideLogin, for the node that asked. It
// holds no secret and can be sent.
type Decision struct {
	Answer Answer         `cbor:"1,keyasint"`
	User   string         `cbor:"2,keyasint,omitempty"`
	Drafts []events.Draft `cbor:"-"`
	Waits  string         `cbor:"3,keyasint,omitempty"` // ID of the approval that a command waits for
}

// CheckInput is the input of Check.
type CheckInput struct {
	State   *State // of this node
	Keys    Keys
	Attempt Attempt
	Ticket  *Ticket     // opened from Attempt.Conversation; nil starts a new conversation
	Now     events.Time // the cluster time, as this node knows it
	Common  PINList     // PINs that are not allowed; nil: the built-in list
	Untimed bool        // no clock is trusted; the time is at least Now
	// Sends reports whether this node can send to an address. Nil: it cannot.
	Sends func(address Secret) bool
}

// Check examines an attempt with the keys of this node. It decides nothing;
// Decide detects that the state has changed since. An error, such as ErrBusy or
// ErrUntimed, means that nothing was found out.
func Check(ctx context.Context, in CheckInput) (Checked, error) {
	c := Checked{Command: Authenticate{
		Choice: in.Attempt.Choice, NoChallenge: in.Attempt.NoChallenge,
		Purpose: in.Attempt.Purpose, Untimed: in.Untimed,
	}}
	name := in.Attempt.User
	if in.Ticket != nil {
		c.Command.Conversation, c.Command.Turn = in.Ticket.ID, in.Ticket.Turn
		if name == "" {
			name = in.Ticket.User
		}
	}
	user, err := Canonical(name)
	if err == nil && (in.Ticket == nil || user == in.Ticket.User) {
		c.Command.User = user // otherwise the user is unknown and there is no evidence
	}
	u := in.State.User(c.Command.User)
	switch {
	case in.Untimed && in.State.NeedsTime(u, in.Now):
		return c, ErrUntimed
	case u == nil:
		return c, nil
	}

	k := checker{CheckInput: in, user: u, step: events.StepLogin, typed: canonicalTyped(in.Attempt.Typed)}
	if in.Attempt.Purpose == ToResynchronize {
		c.Command.Evidence.Tokens, err = k.resynchronize(ctx)
		return c, err
	}
	if in.Attempt.Purpose == ToProveCaller {
		return c, k.proveCaller(ctx, &c)
	}
	if in.Ticket != nil {
		if u.Conversation == nil || u.Conversation.ID != in.Ticket.ID {
			return c, nil // the conversation is over
		}
		if in.Attempt.Purpose == ToExtend {
			c.PIN = Secret(in.Ticket.PIN) // goes into the next ticket
			return c, nil
		}
		// Use the step of the ticket, not of the conversation. A repeated answer may
		// find the conversation at a later step, and must be examined as it was the
		// first time.
		k.step, k.over = in.Ticket.Step, u.Conversation.Turn != in.Ticket.Turn
	}
	switch k.step {
	case events.StepLogin, events.StepNone:
		if in.Ticket != nil {
			c.PIN = Secret(in.Ticket.PIN) // a generated PIN is shown until it is used
		}
		c.Command.Evidence.Tokens, err = k.login(ctx)
		c.Deliveries = k.deliveries
	case events.StepNextTokencode:
		c.Command.Evidence.Tokens, err = k.nextTokencode(ctx)
	case events.StepChoosePIN, events.StepGeneratePIN, events.StepNewPIN, events.StepConfirmPIN:
		err = k.newPIN(ctx, &c)
	}
	return c, err
}

// checker examines one attempt.
type checker struct {
	CheckInput
	user       *User
	step       events.Step
	over       bool // the turn is over: the attempt gets a recorded answer or is refused
	typed      string
	deliveries []Delivery
}

// login tries the input against each of the user's tokens. Emergency tokencodes
// come first: the last digits of one may be a tokencode of the lost token.
func (k *checker) login(ctx context.Context) ([]TokenEvidence, error) {
	var all []TokenEvidence
	for t := range k.tokens {
		e, err := k.emergency(ctx, t)
		if err == nil && !e.Found {
			e, err = k.first(ctx, t)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// tokens yields the user's tokens that may be usable. Whether a token is valid
// yet, or has expired, is decided by the leader's clock, which may differ from
// this node's; evidence that lacks a token cannot be decided.
func (k *checker) tokens(yield func(*Token) bool) {
	for _, serial := range k.user.Tokens {
		if t := k.State.Token(serial); t != nil && !t.Disabled && !yield(t) {
			return
		}
	}
}

// first tries the input as a passcode of a token.
func (k *checker) first(ctx context.Context, t *Token) (TokenEvidence, error) {
	if t.onDemand() {
		return k.asksForCode(ctx, t)
	}
	expected, reach := t.expected(k.Now), t.window(&k.State.Policy).Large
	return k.token(ctx, t, func(yield func(int64) bool) { nearestFirst(t, expected, reach, yield) })
}

// nextTokencode looks for the tokencode after the first one. It looks for the
// first one before that: a user who typed too early is told so, and a tokencode
// that repeats is refused as it is at a login (rules.md, "Reuse").
func (k *checker) nextTokencode(ctx context.Context) ([]TokenEvidence, error) {
	t := k.State.Token(k.user.Conversation.Serial)
	if t == nil {
		return nil, nil
	}
	if t.onDemand() {
		return []TokenEvidence{k.sentCode(t)}, nil
	}
	first := k.user.Conversation.First
	e, err := k.token(ctx, t, func(yield func(int64) bool) {
		for i := first; i <= first+k.State.Policy.NextTokencodeWithin; i++ {
			if !yield(i) {
				return
			}
		}
	})
	return []TokenEvidence{e}, err
}

// nearestFirst yields the last used interval, then those of a window, the most
// likely first: unused intervals before used ones. A user who presses Enter
// twice is more likely than another interval that happens to have the same
// tokencode.
func nearestFirst(t *Token, expected, reach int64, yield func(int64) bool) {
	if !yield(t.Last) {
		return
	}
	if !t.timed() {
		for d := range reach + 1 {
			if !yield(expected + d) {
				return
			}
		}
		return
	}
	for _, fresh := range []bool{true, false} {
		for d := int64(0); d <= reach; d++ {
			for _, i := range [2]int64{expected + d, expected - d} {
				if (i > t.Last) == fresh && (d != 0 || i == expected) && !yield(i) {
					return
				}
				if d == 0 {
					break
				}
			}
		}
	}
}

// token tries the input against one token in the given intervals.
func (k *checker) token(ctx context.Context, t *Token, intervals func(yield func(int64) bool)) (TokenEvidence, error) {
	e := evidenceOf(t)
	g, err := k.generator(t)
	if err != nil {
		return e, err
	}
	return k.found(ctx, t, g, intervals, e)
}

// found looks for the input in the given intervals, according to the PIN style
// of the token.
func (k *checker) found(ctx context.Context, t *Token, g *tokencode.Generator, intervals func(yield func(int64) bool), e TokenEvidence) (TokenEvidence, error) {
	var err error
	if t.hasPIN() && t.pinStyle() == tokencode.PINpad {
		err = k.mixed(t, g, intervals, &e)
	} else {
		err = k.joined(ctx, t, g, intervals, &e)
	}
	return e, err
}

// joined examines a passcode that consists of the PIN and the tokencode. The
// PIN is verified only if the tokencode was found, so that guesses cost no slow
// hash. The time of the answer does not reveal this (Policy.RefusalDelay).
func (k *checker) joined(ctx context.Context, t *Token, g *tokencode.Generator, intervals func(yield func(int64) bool), e *TokenEvidence) error {
	pin, code, ok := tokencode.SplitPIN(k.typed, int(t.Digits))
	if !ok {
		return nil
	}
	intervals(func(i int64) bool {
		if i >= 0 && g.Matches(i, code) {
			e.Found, e.Interval = true, i
		}
		return !e.Found
	})
	switch {
	case !e.Found:
		return nil
	case !t.hasPIN():
		e.PIN = pin == ""
	case pin == "":
		e.PIN = k.withoutPIN()
	default:
		var err error
		e.PIN, err = k.pinMatches(ctx, t, pin)
		e.Unfit = e.PIN && k.unfit(t, pin)
		return err
	}
	return nil
}

// unfit reports whether a PIN breaks a rule. The policy may have become
// stricter since it was set.
func (k *checker) unfit(t *Token, pin string) bool {
	return unfit(pin, t.pinRules(&k.State.Policy), t, k.user.Name, k.Common) != ProblemNone
}

// mixed examines a passcode into which a PINpad has mixed the PIN. A wrong PIN
// cannot be distinguished from a wrong tokencode, but a tokencode without the
// PIN can.
func (k *checker) mixed(t *Token, g *tokencode.Generator, intervals func(yield func(int64) bool), e *TokenEvidence) error {
	pin, err := k.Keys.OpenPINpad(t.Serial, t.PINRevision, t.PIN)
	if err != nil {
		return fmt.Errorf("opening the PIN of token %s: %w", t.Serial, err)
	}
	intervals(func(i int64) bool {
		if i < 0 {
			return true
		}
		code := g.At(i)
		passcode, err := tokencode.MixPIN(pin.Reveal(), code)
		switch {
		case err == nil && same(passcode, k.typed):
			e.Found, e.PIN, e.Interval = true, true, i
			e.Unfit = k.unfit(t, pin.Reveal())
		case same(code, k.typed):
			e.Found, e.PIN, e.Interval = true, k.withoutPIN(), i
		}
		return !e.Found
	})
	return nil
}

// withoutPIN reports whether the tokencode alone is enough: as the next
// tokencode, after the PIN was proved with the first, and for the help desk,
// which is called when a PIN is forgotten.
func (k *checker) withoutPIN() bool {
	return k.step == events.StepNextTokencode || k.Attempt.Purpose == ToProveCaller
}

// pinMatches verifies a PIN in the way the token stores it.
func (k *checker) pinMatches(ctx context.Context, t *Token, pin string) (bool, error) {
	return k.matches(ctx, t, OldPIN{t.PINRevision, t.PIN}, pin)
}

// matches verifies a PIN against a present or old tag.
func (k *checker) matches(ctx context.Context, t *Token, tag OldPIN, pin string) (bool, error) {
	if t.pinStyle() != tokencode.PINpad {
		return k.Keys.PINMatches(ctx, t.Serial, tag.Revision, tag.Sealed, Secret(pin))
	}
	kept, err := k.Keys.OpenPINpad(t.Serial, tag.Revision, tag.Sealed)
	return err == nil && same(kept.Reveal(), pin), err
}
