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

// What a lost token's own tokencodes do.
const (
	FoundRefuse = "refuse" // nothing, until an administrator says that it is found
	FoundAllow  = "allow"  // let in, and end the emergency tokencodes
	FoundAfter  = "after"  // nothing, until the emergency tokencodes are over
)

// Emergency tokencodes are longer than any token's, so that one is never taken
// for the other.
const (
	longestEmergency = 365 * 24 * time.Hour // that a policy may allow

	emergencyDigits = 10
	maxEmergency    = 50
)

// EmergencyPlace is the name to which a token's emergency tokencodes are
// sealed, as a seed is to its serial.
func EmergencyPlace(serial string) string { return serial + "#emergency" }

// EmergencyTokencodes makes n of them from random bytes: as a list to be given
// out, and as the text to be sealed.
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

// emergency tries what was typed as the PIN and an emergency tokencode.
func (k *checker) emergency(ctx context.Context, t *Token, e *TokenEvidence) error {
	pin, code, ok := tokencode.SplitPIN(k.typed, emergencyDigits)
	if !ok || len(t.Lost.Sealed) == 0 {
		return nil
	}
	codes, err := k.Keys.OpenSeed(EmergencyPlace(t.Serial), t.Lost.Sealed)
	if err != nil {
		return fmt.Errorf("opening the emergency tokencodes of token %s: %w", t.Serial, err)
	}
	for i, c := range strings.Fields(codes.Reveal()) {
		if same(c, code) {
			e.Found, e.Emergency = true, uint8(i+1)
		}
	}
	switch {
	case !e.Found:
		return nil
	case !t.hasPIN():
		e.PIN = pin == ""
		return nil
	}
	e.PIN, err = k.pinMatches(ctx, t, pin)
	e.Unfit = e.PIN && k.unfit(t, pin)
	return err
}

// rankLost says what the evidence of a lost token is worth. ok is false when
// the token's own tokencode counts as ever.
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

// OwnCount reports whether the tokencodes of the lost token count as ever.
func (l *Lost) OwnCount(now events.Time) bool {
	return l.Found == FoundAllow || l.Found == FoundAfter && now >= l.Until
}

// Left is how many emergency tokencodes are still good; ok is false where it is
// not known how many were given out.
func (l *Lost) Left(now events.Time) (left int, ok bool) {
	switch {
	case len(l.Sealed) == 0 || now >= l.Until:
		return 0, true
	case l.Fixed:
		return 1, true
	}
	return max(0, int(l.Given)-len(l.Used)), l.Given != 0
}

// loseToken decides that a token is not with its owner.
func (s *State) loseToken(e events.TokenLost, now events.Time) ([]events.Event, error) {
	t, err := s.mustToken(e.Serial)
	switch {
	case err != nil:
		return nil, err
	case t.User == "":
		return nil, refuse(Conflict, "token %s belongs to nobody; disable it", t.Serial)
	case e.Found != FoundRefuse && e.Found != FoundAllow && e.Found != FoundAfter:
		return nil, refuse(Invalid, "what the token does when it is found: %.20q, want refuse, allow or after", e.Found)
	case len(e.Sealed) != 0 && t.wantsPIN():
		return nil, refuse(Conflict, "token %s has no PIN, and emergency tokencodes are worth nothing without one: first keyfob token set-temporary-pin %s, or give out none", t.Serial, t.Serial)
	case e.Until <= now || e.Until.Sub(now) > s.Policy.EmergencyMost:
		return nil, refuse(Invalid, "emergency access until %s: want a time from now on, within %v (emergency.most)", e.Until.Std().Format("2006-01-02 15:04"), s.Policy.EmergencyMost)
	}
	e.User = t.User
	return one(e)
}

// findToken decides that it is.
func (s *State) findToken(serial string) ([]events.Event, error) {
	t, err := s.mustToken(serial)
	switch {
	case err != nil:
		return nil, err
	case t.Lost == nil:
		return nil, refuse(Conflict, "token %s is not lost", t.Serial)
	}
	return one(events.TokenFound{Serial: t.Serial, User: t.User})
}

// KeepsPIN reports whether the PIN of a token goes to the one that replaces it,
// if nobody says: by policy, where both take a PIN in the same way.
func (s *State) KeepsPIN(old, serial string) bool {
	from, to := s.Token(old), s.Token(serial)
	return s.Policy.ReplaceKeepsPIN && from != nil && to != nil && from.pinStyle() == to.pinStyle()
}

// replaceToken decides that a token is to take the place of another.
func (s *State) replaceToken(c ReplaceToken, now events.Time) ([]events.Event, error) {
	old, err := s.mustToken(c.Old)
	if err != nil {
		return nil, err
	}
	t, err := s.mustToken(c.Serial)
	switch {
	case err != nil:
		return nil, err
	case old.User == "":
		return nil, refuse(Conflict, "token %s belongs to nobody; assign %s instead", old.Serial, t.Serial)
	case t.User != "":
		return nil, refuse(Conflict, "token %s belongs to %s; unassign it first", t.Serial, t.User)
	case len(c.PIN) != 0 && c.Revision != t.PINRevision+1:
		return nil, refuse(Conflict, "token %s was changed meanwhile; try again", t.Serial)
	case len(c.PIN) != 0 && t.pinStyle() != old.pinStyle():
		return nil, refuse(Conflict, "the PIN cannot move from %s to %s: one mixes it in and the other does not", old.Serial, t.Serial)
	}
	facts, err := s.assignNew(t, old.User, s.Policy.TokensPerUser+1) // until it has taken the other's place
	if err != nil {
		return nil, err
	}
	facts = append(facts, events.ReplacementAssigned{Serial: t.Serial, Old: old.Serial, User: old.User})
	if len(c.PIN) != 0 {
		return append(facts, events.PINSet{
			Serial: t.Serial, User: old.User, Revision: c.Revision, Sealed: c.PIN,
			Temporary: old.needsPIN(&s.Policy, now) != "", // one that was to be changed still is
		}), nil
	}
	return t.activate(facts, old.User, c.Activation)
}
