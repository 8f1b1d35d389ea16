package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"keyfob/engine/tokencode"
	"keyfob/events"
)

// KindOnDemand is a token without a display. The PIN alone requests a
// tokencode, which is sent to the user and typed as the next tokencode. Its
// seed is the address.
const KindOnDemand = "ondemand"

// Digits of a tokencode that is sent.
const (
	MinSentDigits     = 6
	MaxSentDigits     = 10
	DefaultSentDigits = 8
)

// Delivery is a tokencode to be sent.
type Delivery struct {
	Serial    string
	Asked     time.Time // when the user requested it
	Address   Secret    // mailto:ada@example.com or tel:+441632960961
	Tokencode Secret
	Expires   time.Time // the tokencode is not valid from then on
	// Wanted reports whether the tokencode is still needed: the user has neither
	// requested another one since nor been accepted. Nil: always.
	Wanted func() bool
	// NotSent is called if sending is given up, with the words of
	// cluster/delivery. It may be nil.
	NotSent func(way, result string)
}

const maxSent = 100 // times of sending kept for a token

// onDemand reports whether the token's tokencodes are sent.
func (t *Token) onDemand() bool { return t.Kind == KindOnDemand }

// asksForCode examines a PIN that stands alone. Input longer than a PIN is a
// passcode of another token and costs no slow hash.
func (k *checker) asksForCode(ctx context.Context, t *Token) (TokenEvidence, error) {
	e := evidenceOf(t)
	if !t.hasPIN() || k.typed == "" || len(k.typed) > longestPIN {
		return e, nil
	}
	var err error
	if e.PIN, err = k.pinMatches(ctx, t, k.typed); !e.PIN || err != nil {
		return e, err
	}
	e.Found, e.Unfit = true, k.unfit(t, k.typed)
	address, err := k.Keys.OpenSeed(t.Serial, t.Seed)
	if err != nil {
		return e, fmt.Errorf("opening the address of token %s: %w", t.Serial, err)
	}
	if k.Sends == nil || !k.Sends(address) {
		e.Unsendable = true
		return e, nil
	}
	code, err := randomDigits(k.chance(t, uint64(k.sentBefore(t))), int(t.Digits))
	if err != nil {
		return e, err
	}
	k.deliveries = append(k.deliveries, Delivery{Serial: t.Serial, Address: address, Tokencode: Secret(code)})
	return e, nil
}

// sentBefore returns when a tokencode was last sent, except for this same
// request.
func (k *checker) sentBefore(t *Token) events.Time {
	again, _ := k.user.answered(k.Attempt.Origin.Request, k.Now, answerFor)
	for _, at := range slices.Backward(t.Sent) {
		if at != again.At {
			return at
		}
	}
	return 0
}

// sentCode examines the tokencode that was sent, which the ticket holds.
func (k *checker) sentCode(t *Token) TokenEvidence {
	e := evidenceOf(t)
	if k.Ticket.PIN != "" && same(k.typed, k.Ticket.PIN) {
		e.Found, e.PIN, e.Interval = true, true, int64(k.Now)
	}
	return e
}

// sendCode decides whether a tokencode is sent, within the limits of the
// policy.
func (d *decider) sendCode(c candidate) Decision {
	t := c.token
	if d.command.NoChallenge {
		return d.reject(t, events.ReasonBadTokencode, nil, ProblemNone)
	}
	if _, from := d.state.Sending(d.user, d.now); !from.IsZero() {
		return d.reject(t, events.ReasonThrottled, nil, ProblemNone)
	}
	return d.ask(t, events.StepNextTokencode, "", nil, ProblemNone)
}

// badOnDemand returns the refusal of an on-demand token that cannot be
// imported, or nil.
func badOnDemand(e events.TokenImported) error {
	switch {
	case e.Digits < MinSentDigits || e.Digits > MaxSentDigits:
		return refuse(Invalid, "token %s: %d digits, want %d to %d", e.Serial, e.Digits, MinSentDigits, MaxSentDigits)
	case e.Period != 0 || e.Algorithm != "":
		return refuse(Invalid, "token %s: a token whose tokencodes are sent has no period and no algorithm", e.Serial)
	case e.PINStyle != "" && e.PINStyle != string(tokencode.Fob):
		return refuse(Invalid, "token %s: a token whose tokencodes are sent needs a PIN", e.Serial)
	}
	return nil
}
