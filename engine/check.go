package engine

import (
	"context"
	"fmt"

	"keyfob/engine/tokencode"
	"keyfob/events"
)

// Ticket is what the sealed text of a conversation holds. It travels with the
// client; the state says whether it is still good.
type Ticket struct {
	ID       events.Request `cbor:"1,keyasint"`
	Turn     uint8          `cbor:"2,keyasint"`
	User     string         `cbor:"3,keyasint"`
	Sequence uint64         `cbor:"4,keyasint"`           // the record that this rests on: a node that has not applied it waits
	PIN      string         `cbor:"5,keyasint,omitempty"` // a PIN typed once, a generated one to be shown, or a tokencode that was sent
	Step     events.Step    `cbor:"6,keyasint,omitempty"` // that it is to be brought back with
	Delivery *Delivery      `cbor:"-"`                    // what is to be sent now
}

// Evidence is what a node found out about an attempt with its keys. It holds
// no secret.
type Evidence struct {
	Tokens []TokenEvidence `cbor:"1,keyasint,omitempty"` // one for each token tried
	PIN    *PINEvidence    `cbor:"2,keyasint,omitempty"` // for the steps that set one
}

// TokenEvidence is what was found of one token.
type TokenEvidence struct {
	Serial   string `cbor:"1,keyasint"`
	Revision uint64 `cbor:"2,keyasint"` // of the secrets that were used
	Found    bool   `cbor:"3,keyasint,omitempty"`
	Interval int64  `cbor:"4,keyasint,omitempty"` // where the tokencode was found
	PIN      bool   `cbor:"5,keyasint,omitempty"` // the PIN is right; true when there is none and none was typed
	Unfit    bool   `cbor:"6,keyasint,omitempty"` // the PIN, though right, breaks a rule that is in force now
	// Emergency is the number of the emergency tokencode that was typed, from
	// 1; there is no interval then.
	Emergency uint8 `cbor:"7,keyasint,omitempty"`
	// Unsendable says that a tokencode would have to be sent, and that the node
	// which was asked has no way of sending to such an address.
	Unsendable bool `cbor:"8,keyasint,omitempty"`
	// Imported tells a token from one of the same serial that was deleted, whose
	// revisions had the same numbers. Nodes of before say nothing of it.
	Imported events.Time `cbor:"9,keyasint,omitempty"`
}

// evidenceOf is what is known of a token before anything was found.
func evidenceOf(t *Token) TokenEvidence {
	return TokenEvidence{Serial: t.Serial, Imported: t.Imported, Revision: t.Revision}
}

// PINEvidence is what was found of a new PIN.
type PINEvidence struct {
	Revision  uint64  `cbor:"1,keyasint"` // the PIN revision that it is sealed to
	Sealed    []byte  `cbor:"2,keyasint,omitempty"`
	Generated bool    `cbor:"3,keyasint,omitempty"`
	Problem   Problem `cbor:"4,keyasint,omitempty"`
	// Typed says that a PIN is fit and still has to be typed once more.
	Typed bool `cbor:"5,keyasint,omitempty"`
}

// Checked is an attempt after Check: the command for the leader, and what
// stays on this node.
type Checked struct {
	Command Authenticate
	PIN     Secret // typed once, or generated: goes into the next ticket
	// Deliveries is what may be sent, one for each token that the PIN is right
	// for. The decision names the one.
	Deliveries []Delivery
}

// Decision is what Decide came to, for the node that asked. It holds no
// secret and can be sent.
type Decision struct {
	Answer Answer         `cbor:"1,keyasint"`
	User   string         `cbor:"2,keyasint,omitempty"`
	Drafts []events.Draft `cbor:"-"`
}

// CheckInput is what Check works on.
type CheckInput struct {
	State   *State // this node's
	Keys    Keys
	Attempt Attempt
	Ticket  *Ticket     // opened from Attempt.Conversation; nil begins anew
	Now     events.Time // by the cluster's clock as this node knows it
	Common  PINList     // that nobody may choose; nil: the built-in list
	Untimed bool        // no clock is trusted: of Now it is only known that it has passed
	// Sends reports whether this node has a way of sending to an address; nil:
	// to none.
	Sends func(address Secret) bool
}

// Check looks at an attempt with this node's keys. It decides nothing: what
// it saw of a state that has moved on is found out by Decide. An error means
// that nothing could be found out, ErrBusy and ErrUntimed among them.
func Check(ctx context.Context, in CheckInput) (Checked, error) {
	c := Checked{Command: Authenticate{
		Choice: in.Attempt.Choice, NoChallenge: in.Attempt.NoChallenge,
		Purpose: in.Attempt.Purpose, Repeatable: in.Attempt.Session != "", Untimed: in.Untimed,
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
		c.Command.User = user // otherwise nobody's name: no user, no evidence
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
	if in.Ticket != nil {
		if u.Conversation == nil || u.Conversation.ID != in.Ticket.ID {
			return c, nil // over
		}
		if in.Attempt.Purpose == ToExtend {
			c.PIN = Secret(in.Ticket.PIN) // goes into the next ticket
			return c, nil
		}
		// The ticket's step and not the conversation's: an answer that comes a
		// second time may find the conversation further on, and must be looked at
		// as it was the first time.
		k.step = in.Ticket.Step
	}
	switch k.step {
	case events.StepLogin, events.StepNone:
		if in.Ticket != nil {
			c.PIN = Secret(in.Ticket.PIN) // a generated PIN is shown until it has been used
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

// checker is one attempt being looked at.
type checker struct {
	CheckInput
	user       *User
	step       events.Step
	typed      string
	deliveries []Delivery
}

// login tries what was typed against each of the user's tokens.
func (k *checker) login(ctx context.Context) ([]TokenEvidence, error) {
	var all []TokenEvidence
	for t := range k.tokens {
		e, err := k.first(ctx, t)
		if err == nil && !e.Found && t.Lost != nil {
			err = k.emergency(ctx, t, &e)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// tokens yields the user's tokens that may be usable. Whether one is born yet,
// or has expired, is for the leader's clock to say, which may be a little ahead
// of this node's, or behind: evidence that lacks a token cannot be decided on.
func (k *checker) tokens(yield func(*Token) bool) {
	for _, serial := range k.user.Tokens {
		if t := k.State.Token(serial); t != nil && !t.Disabled && !yield(t) {
			return
		}
	}
}

// first tries what was typed as a token's passcode.
func (k *checker) first(ctx context.Context, t *Token) (TokenEvidence, error) {
	if t.onDemand() {
		return k.asksForCode(ctx, t)
	}
	expected, reach := t.expected(k.Now), t.window(&k.State.Policy).Large
	return k.token(ctx, t, func(yield func(int64) bool) { nearestFirst(t, expected, reach, yield) })
}

// nextTokencode looks for the tokencode after the first one. The first one is
// looked for before it: a user who typed too early is told so, and a tokencode
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

// nearestFirst yields the interval used last, and then those of a window, the
// likeliest first: those not used yet before those that are. That somebody
// presses twice is likelier than that one of a hundred other intervals happens
// to have the same tokencode, which would then be taken for it.
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

// token tries what was typed against one token in the given intervals.
func (k *checker) token(ctx context.Context, t *Token, intervals func(yield func(int64) bool)) (TokenEvidence, error) {
	e := evidenceOf(t)
	g, err := k.generator(t)
	if err != nil {
		return e, err
	}
	return k.found(ctx, t, g, intervals, e)
}

// found looks for what was typed in the given intervals, in the way of the
// token's PIN style.
func (k *checker) found(ctx context.Context, t *Token, g *tokencode.Generator, intervals func(yield func(int64) bool), e TokenEvidence) (TokenEvidence, error) {
	var err error
	if t.hasPIN() && t.pinStyle() == tokencode.PINpad {
		err = k.mixed(t, g, intervals, &e)
	} else {
		err = k.joined(ctx, t, g, intervals, &e)
	}
	return e, err
}

// joined looks at a passcode whose last digits are the tokencode, and what
// stands before them the PIN. The PIN is looked at only when the tokencode was
// found: guesses of both cost no slow work, and the time of the answer does
// not tell (Policy.RefusalDelay).
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

// unfit reports whether a PIN breaks a rule: a stricter policy has come since
// it was set.
func (k *checker) unfit(t *Token, pin string) bool {
	return unfit(pin, t.pinRules(&k.State.Policy), t, k.user.Name, k.Common) != ProblemNone
}

// mixed looks at a passcode into which a PINpad has mixed the PIN. A wrong PIN
// cannot be told from a wrong tokencode, but a tokencode without it can.
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

// withoutPIN reports whether the tokencode alone will do: as the next
// tokencode, after the PIN was proved with the first.
func (k *checker) withoutPIN() bool {
	return k.step == events.StepNextTokencode
}

// pinMatches verifies a PIN, however the token keeps it.
func (k *checker) pinMatches(ctx context.Context, t *Token, pin string) (bool, error) {
	return k.matches(ctx, t, OldPIN{t.PINRevision, t.PIN}, pin)
}

// matches verifies a PIN against a tag of now or of before.
func (k *checker) matches(ctx context.Context, t *Token, tag OldPIN, pin string) (bool, error) {
	if t.pinStyle() != tokencode.PINpad {
		return k.Keys.PINMatches(ctx, t.Serial, tag.Revision, tag.Sealed, Secret(pin))
	}
	kept, err := k.Keys.OpenPINpad(t.Serial, tag.Revision, tag.Sealed)
	return err == nil && same(kept.Reveal(), pin), err
}
