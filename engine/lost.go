package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"keyfob/engine/tokencode"
	"keyfob/events"
)

// What happens to the lost token's own tokencodes.
const (
	FoundRefuse = "refuse" // refused until an administrator records that the token is found
	FoundAllow  = "allow"  // accepted, and end the emergency tokencodes
	FoundAfter  = "after"  // refused until the emergency tokencodes expire
)

// Emergency tokencodes are longer than those of any token, so that the two
// cannot be confused.
const (
	longestEmergency = 365 * 24 * time.Hour // the longest that a policy may allow

	emergencyDigits = 10
	maxEmergency    = 50
)

type (
	// LoseToken records that a user does not have a token and gives out emergency
	// tokencodes.
	LoseToken struct {
		Lost events.TokenLost `cbor:"1,keyasint"`
	}
	// FindToken records that the user has it again, and ends the emergency
	// tokencodes.
	FindToken struct {
		Serial string `cbor:"1,keyasint"`
	}
)

// EmergencyPlace returns the name to which emergency tokencodes are sealed, as
// a seed is sealed to its serial.
func EmergencyPlace(serial string) string { return serial + "#emergency" }

// EmergencyTokencodes makes n tokencodes from random bytes: as a list to give
// out, and as the text to seal.
func EmergencyTokencodes(n int, random func([]byte) error) (codes []string, text Secret, err error) {
	if n < 1 || n > maxEmergency {
		return nil, "", refuse(Invalid, "%d emergency tokencodes: want 1 to %d", n, maxEmergency)
	}
	for tries := 0; len(codes) < n; tries++ {
		if tries > 3*maxEmergency {
			return nil, "", errNotRandom
		}
		code, err := randomDigits(random, emergencyDigits)
		if err != nil {
			return nil, "", fmt.Errorf("making emergency tokencodes: %w", err)
		}
		if !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	return codes, Secret(strings.Join(codes, " ")), nil
}

// emergency tries the input as PIN and emergency tokencode of a lost token.
func (k *checker) emergency(ctx context.Context, t *Token) (TokenEvidence, error) {
	e := evidenceOf(t)
	if t.Lost == nil || len(t.Lost.Sealed) == 0 {
		return e, nil
	}
	pin, code, ok := tokencode.SplitPIN(k.typed, emergencyDigits)
	if !ok {
		return e, nil
	}
	codes, err := k.Keys.OpenSeed(EmergencyPlace(t.Serial), t.Lost.Sealed)
	if err != nil {
		return e, fmt.Errorf("opening the emergency tokencodes of token %s: %w", t.Serial, err)
	}
	for i, c := range strings.Fields(codes.Reveal()) {
		if same(c, code) {
			e.Found, e.Emergency = true, uint8(i+1)
		}
	}
	switch {
	case !e.Found:
		return e, nil
	case !t.hasPIN():
		e.PIN = pin == ""
		return e, nil
	}
	e.PIN, err = k.pinMatches(ctx, t, pin)
	e.Unfit = e.PIN && k.unfit(t, pin)
	return e, err
}

// rankLost returns the rank of evidence about a lost token. ok is false if the
// token's own tokencodes count as usual.
func (d *decider) rankLost(t *Token, e TokenEvidence) (r rank, ok bool) {
	switch {
	case e.Emergency != 0 && d.now >= t.Lost.Until:
		return notFound, true
	case e.Emergency != 0 && !t.Lost.Fixed && slices.Contains(t.Lost.Used, e.Emergency):
		return tooLate, true
	case e.Emergency != 0:
		return right, true
	case t.Lost.OwnCount(d.now):
		return notFound, false
	}
	return isLost, true
}

// OwnCount reports whether the lost token's own tokencodes count as usual.
func (l *Lost) OwnCount(now events.Time) bool {
	return l.Found == FoundAllow || l.Found == FoundAfter && now >= l.Until
}

// Left returns how many emergency tokencodes are still valid. ok is false if it
// is not known how many were given out.
func (l *Lost) Left(now events.Time) (left int, ok bool) {
	switch {
	case len(l.Sealed) == 0 || now >= l.Until:
		return 0, true
	case l.Fixed:
		return 1, true
	}
	return max(0, int(l.Given)-len(l.Used)), l.Given != 0
}

func (c LoseToken) decide(s *State, now events.Time) ([]events.Event, error) {
	e := c.Lost
	t, err := s.mustToken(e.Serial)
	switch {
	case err != nil:
		return nil, err
	case t.User == "":
		return nil, refuse(Conflict, "token %s is not assigned to a user; disable it instead", t.Serial)
	case e.Found != FoundRefuse && e.Found != FoundAllow && e.Found != FoundAfter:
		return nil, refuse(Invalid, "%.20q is not valid for a lost token's own tokencodes: want refuse, allow or after", e.Found)
	case len(e.Sealed) != 0 && t.wantsPIN():
		return nil, refuseHelp(Conflict, HelpSetTemporaryPIN, "token %s has no PIN, which emergency tokencodes need; set a temporary PIN first, or issue no emergency tokencodes", t.Serial)
	case e.Until <= now || e.Until.Sub(now) > s.Policy.EmergencyMost:
		return nil, refuse(Invalid, "emergency access until %s is not possible: want a time in the future, within %v (emergency.most)", e.Until.Std().Format("2006-01-02 15:04"), s.Policy.EmergencyMost)
	}
	e.User = t.User
	return one(e)
}

func (c FindToken) decide(s *State, _ events.Time) ([]events.Event, error) {
	t, err := s.mustToken(c.Serial)
	switch {
	case err != nil:
		return nil, err
	case t.Lost == nil:
		return nil, refuse(Conflict, "token %s is not lost", t.Serial)
	}
	return one(events.TokenFound{Serial: t.Serial, User: t.User})
}
