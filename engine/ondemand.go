package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"keyfob/engine/tokencode"
	"keyfob/events"
)

// KindOnDemand is a token that displays nothing: the PIN alone asks for a
// tokencode, which is sent to the user and typed as the next tokencode. What
// is sealed as its seed is the address.
const KindOnDemand = "ondemand"

// Digits of a tokencode that is sent.
const (
	MinSentDigits     = 6
	MaxSentDigits     = 10
	DefaultSentDigits = 8
)

// Delivery is a tokencode on its way to its user.
type Delivery struct {
	Serial    string
	Asked     time.Time // when its user asked for it
	Address   Secret    // mailto:ada@example.com or tel:+441632960961
	Tokencode Secret
	Expires   time.Time // from then on the tokencode is not good any more
	// Wanted reports whether the tokencode is still waited for: its user has not
	// asked for another one since, nor got in. Nil: always.
	Wanted func() bool
	// NotSent is told, in the words of cluster/delivery, that it was given up. Nil: nobody
	// is.
	NotSent func(way, result string)
}

const maxSent = 100 // times of sending remembered of a token

// onDemand reports whether the token's codes are sent.
func (t *Token) onDemand() bool { return t.Kind == KindOnDemand }

// asksForCode looks at a PIN that stands alone. Longer than a PIN can be is
// a passcode of another token: that costs no slow work.
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

// sentBefore is when a tokencode was last sent, but for the one that this same
// request has led to already.
func (k *checker) sentBefore(t *Token) events.Time {
	again, _ := k.user.answered(k.Attempt.Origin.Request, k.Now, answerFor)
	for _, at := range slices.Backward(t.Sent) {
		if at != again.At {
			return at
		}
	}
	return 0
}

// sentCode looks at the tokencode that was sent, which the ticket holds.
func (k *checker) sentCode(t *Token) TokenEvidence {
	e := evidenceOf(t)
	if k.Ticket.PIN != "" && same(k.typed, k.Ticket.PIN) {
		e.Found, e.PIN, e.Interval = true, true, int64(k.Now)
	}
	return e
}

// sendCode decides that a tokencode is sent, within the policy's limits.
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

// badOnDemand says what is wrong with a token whose codes are sent.
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
