package engine

import (
	"slices"

	"keyfob/events"
)

const maxDrifts = 8 // drifts kept for a token

func (s *State) applyToken(at events.Time, e events.TokenEvent) {
	switch e := e.(type) {
	case events.TokenImported:
		t := s.recallLastUsed(newToken(at, e))
		t.doubtCounter(s.Cluster)
		s.tokens.Set(e.Serial, t)
	case events.TokenAssigned:
		s.changeToken(e.Serial, func(t *Token) { t.User, t.Revision = e.User, t.Revision+1 })
		s.changeUser(e.User, func(u *User) { u.Tokens = append(slices.Clone(u.Tokens), e.Serial) })
	case events.TokenUnassigned:
		s.changeToken(e.Serial, (*Token).unassign)
		s.dropToken(e.User, e.Serial)
	case events.TokenDeleted:
		s.forgetToken(e.Serial)
		s.dropToken(e.User, e.Serial)
	case events.TokenEnabled:
		s.changeToken(e.Serial, func(t *Token) { t.Disabled = false })
	case events.TokenDisabled:
		s.changeToken(e.Serial, func(t *Token) { t.Disabled = true })
		s.endConversation(e.User, e.Serial)
	case events.PINSet:
		s.changeToken(e.Serial, func(t *Token) { t.setPIN(at, e, &s.Policy) })
		if e.Temporary { // set by an administrator
			s.endConversation(e.User, e.Serial)
		}
	case events.PINCleared:
		s.changeToken(e.Serial, (*Token).clearPIN)
		s.endConversation(e.User, e.Serial)
	case events.NewPINRequired:
		s.changeToken(e.Serial, func(t *Token) { t.NewPIN = true })
		s.endConversation(e.User, e.Serial)
	case events.NextTokencodeRequired:
		s.changeToken(e.Serial, func(t *Token) { t.NextTokencode, t.Guessed = true, e.Reason == events.ReasonTooManyFailures })
	case events.DriftAdjusted:
		s.changeToken(e.Serial, func(t *Token) { t.recordDrift(at, e) })
	case events.TokenLost:
		s.changeToken(e.Serial, func(t *Token) { t.lose(at, e) })
		s.endConversation(e.User, e.Serial)
	case events.TokenFound:
		s.changeToken(e.Serial, func(t *Token) { t.Lost, t.Revision = nil, t.Revision+1 })
	case events.TokencodeNotSent:
		s.changeToken(e.Serial, func(t *Token) { t.NotSent = at })
	case events.ReplacementAssigned:
		s.changeToken(e.Serial, func(t *Token) { t.Replaces = e.Old })
	case events.TokenReplaced:
		s.changeToken(e.Old, func(t *Token) { t.unassign(); t.Disabled = true })
		s.dropToken(e.User, e.Old)
	}
}

func (t *Token) lose(at events.Time, e events.TokenLost) {
	t.Lost = &Lost{Since: at, Until: e.Until, Sealed: e.Sealed, Fixed: e.Fixed, Found: e.Found, Given: e.Given}
	t.Revision++
}

func (t *Token) setPIN(at events.Time, e events.PINSet, p *Policy) {
	t.retirePIN()
	t.PIN, t.PINRevision, t.PINSetAt, t.NewPIN, t.Temporary = e.Sealed, e.Revision, at, e.Temporary, e.Temporary
	t.PINMin, t.PINMax, t.PINLetters = 0, 0, true
	t.keeps(p)
	t.Revision++
}

func (t *Token) clearPIN() {
	t.retirePIN()
	t.PIN, t.NewPIN, t.Temporary = nil, false, false
	t.Revision++
}

// recordDrift records the drift at which the clock of a token was seen.
func (t *Token) recordDrift(at events.Time, e events.DriftAdjusted) {
	if e.Forgot {
		t.Drift, t.Drifts, t.Anchor = 0, nil, Seen{}
		return
	}
	switch {
	case len(t.Drifts) == 0:
		t.Anchor = Seen{at, e.Drift}
	case at.Sub(t.Anchor.At) >= day:
		t.Anchor = Seen{at, e.From}
	}
	t.Drift = e.Drift
	t.Drifts = append(slices.Clone(t.Drifts[max(0, len(t.Drifts)-maxDrifts+1):]), Seen{at, e.Drift})
}

// unassign removes the user and everything that was theirs.
func (t *Token) unassign() {
	t.User, t.PIN, t.OldPINs, t.NewPIN, t.Temporary, t.NextTokencode, t.Lost, t.Replaces, t.NotSent = "", nil, nil, false, false, false, nil, "", 0
	t.Revision++
}

// retirePIN moves the present PIN, if any, to the old ones.
func (t *Token) retirePIN() {
	if len(t.PIN) == 0 {
		return
	}
	old := append([]OldPIN{{t.PINRevision, t.PIN}}, t.OldPINs...)
	t.OldPINs = old[:min(len(old), maxOldPINs)]
}

// newToken returns a token as it was imported. For an event token, the press
// before the first expected one counts as the last one used.
func newToken(at events.Time, e events.TokenImported) *Token {
	t := &Token{
		Serial: e.Serial, Kind: e.Kind, Algorithm: e.Algorithm, Digits: e.Digits, Period: e.Period,
		PINStyle: e.PINStyle, Form: e.Form, Flags: e.Flags, Seed: e.Sealed, Born: e.Born, Expires: e.Expires,
		PINSource: PINSource(e.PINSource), Imported: at,
		Window: Window{Small: e.Small, Medium: e.Medium, Large: e.Large},
	}
	if !t.timed() {
		t.Last = e.Counter - 1
	}
	return t
}

// forgetToken deletes a token and keeps its last used interval, so that
// importing it again does not make used tokencodes valid.
func (s *State) forgetToken(serial string) {
	if t := s.Token(serial); t != nil && t.used() {
		s.deleted.Set(serial, t.Last)
	}
	s.tokens.Delete(serial)
}

// recallLastUsed gives a token that is imported again its last used interval.
// When it was used is not known any more; Doubted records that it was, in case
// the token is deleted again.
func (s *State) recallLastUsed(t *Token) *Token {
	if last, ok := s.deleted.Get(t.Serial); ok {
		t.Last = max(t.Last, last)
		t.Doubted = max(1, last) // the first press of an event token is numbered 0
		s.deleted.Delete(t.Serial)
	}
	return t
}
