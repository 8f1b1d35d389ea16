package engine

import (
	"slices"

	"keyfob/events"
)

const maxDrifts = 8 // drifts of a token remembered

func (s *State) applyToken(at events.Time, e events.TokenEvent) {
	switch e := e.(type) {
	case events.TokenImported:
		t := s.unbury(newToken(at, e))
		t.doubtCounter(s.Cluster)
		s.tokens.Set(e.Serial, t)
	case events.TokenAssigned:
		s.changeToken(e.Serial, func(t *Token) { t.User, t.Revision = e.User, t.Revision+1 })
		s.changeUser(e.User, func(u *User) { u.Tokens = append(slices.Clone(u.Tokens), e.Serial) })
	case events.TokenUnassigned:
		s.changeToken(e.Serial, (*Token).disown)
		s.dropToken(e.User, e.Serial)
	case events.TokenDeleted:
		s.bury(e.Serial)
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
		s.changeToken(e.Serial, func(t *Token) { t.sight(at, e) })
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
		s.changeToken(e.Old, func(t *Token) { t.disown(); t.Disabled = true })
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

// sight takes down where the token's clock was seen.
func (t *Token) sight(at events.Time, e events.DriftAdjusted) {
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

// disown takes a token, and all that was its owner's, from him.
func (t *Token) disown() {
	t.User, t.PIN, t.OldPINs, t.NewPIN, t.Temporary, t.NextTokencode, t.Lost, t.Replaces, t.NotSent = "", nil, nil, false, false, false, nil, "", 0
	t.Revision++
}

// retirePIN puts the present PIN, if any, among those of before.
func (t *Token) retirePIN() {
	if len(t.PIN) == 0 {
		return
	}
	old := append([]OldPIN{{t.PINRevision, t.PIN}}, t.OldPINs...)
	t.OldPINs = old[:min(len(old), maxOldPINs)]
}

// newToken is a token as it was imported. An event token's mark stands before
// the counter that is expected next.
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

// bury forgets a token but for the last interval that it used, so that its
// record, imported anew, does not make used tokencodes good again.
func (s *State) bury(serial string) {
	if t := s.Token(serial); t != nil && t.used() {
		s.marks.Set(serial, t.Last)
	}
	s.tokens.Delete(serial)
}

// unbury gives a token that is imported anew its mark back. When it was used is
// forgotten, and that it was must not be: it may be deleted once more.
func (s *State) unbury(t *Token) *Token {
	if last, ok := s.marks.Get(t.Serial); ok {
		t.Last = max(t.Last, last)
		t.Doubted = max(1, last) // the first press of an event token is numbered 0
		s.marks.Delete(t.Serial)
	}
	return t
}
