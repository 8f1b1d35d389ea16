package diagnosis

import (
	"keyfob/engine"
	"keyfob/events"
)

// Advice returns what helps against a refusal now.
func (r Refusal) Advice(s *engine.State, now events.Time) Advice {
	if r.Resolved(s, now) {
		return user(TryAgain{Resolved: true})
	}
	t := r.token(s, now)
	serial := r.Serial
	if t != nil {
		serial = t.Serial
	}
	switch r.Reason {
	case events.ReasonBadPIN:
		return user(TryAgain{}).and(admin(ClearPIN{serial}, SetTemporaryPIN{serial}))
	case events.ReasonBadTokencode:
		return r.passcode(s, t)
	case events.ReasonTokencodeReused:
		if t != nil && passcodeKind(s, t) == PINThenEmergencyTokencode {
			return r.passcode(s, t)
		}
		return reused(s, t, now)
	case events.ReasonOutsideWindow:
		return r.resync(s, t, serial)
	case events.ReasonUserUnknown:
		return user(CheckUserName{}).and(admin(AddUser{}))
	case events.ReasonClockSkew:
		return admin(CheckClocks{})
	case events.ReasonThrottled:
		return r.throttled(s, serial, now)
	case events.ReasonNextTokencodeWrong:
		if t != nil && t.Kind == engine.KindOnDemand {
			return user(UseLastTokencode{}, RequestTokencode{})
		}
		return user(EnterNextTokencode{})
	case events.ReasonDrift, events.ReasonTooManyFailures:
		return user(EnterNextTokencode{})
	case events.ReasonNewPINRefused:
		return user(FollowPINRules{})
	case events.ReasonConversationExpired:
		return user(TryAgain{})
	case events.ReasonUserDisabled:
		return Remedy(UserDisabled{r.User})
	case events.ReasonUserLocked:
		return r.locked(s, now)
	case events.ReasonNoToken:
		if r.Serial != "" {
			return admin(ConfigureDelivery{})
		}
		return Remedy(NoToken{r.User})
	case events.ReasonTokenDisabled, events.ReasonTokenExpired, events.ReasonTokenLost:
		return unusable(r.Reason, t, serial, now)
	case events.ReasonPINNotSet, events.ReasonPINExpired, events.ReasonPINChangeRequired:
		return r.pin(s, t, serial, now)
	}
	return Advice{}
}

// passcode advises what to type, with which token.
func (r Refusal) passcode(s *engine.State, t *engine.Token) Advice {
	if t == nil {
		a := user(EnterPasscode{Kind: PINThenTokencode})
		if u := s.User(r.User); u != nil && len(u.Tokens) > 1 {
			a.User = append(a.User, CheckToken{u.Tokens})
		}
		return a
	}
	a := user(EnterPasscode{t.Serial, passcodeKind(s, t)})
	switch {
	case t.Kind == engine.KindOnDemand:
		return a
	case t.Lost != nil:
		return a.and(admin(FindToken{t.Serial}))
	default:
		return a.and(user(CheckToken{[]string{t.Serial}})).and(admin(ResyncToken{t.Serial}))
	}
}

// reused advises when the token shows an unused tokencode.
func reused(s *engine.State, t *engine.Token, now events.Time) Advice {
	if t == nil {
		return user(WaitForTokencode{})
	}
	_, from, ok := t.LastUsedAhead(now)
	switch {
	case !ok:
		return user(WaitForTokencode{})
	case from.After(now.Std().Add(largeWindow(s, t))):
		return user(WaitUntil{events.At(from)}).and(admin(LoseToken{t.Serial}))
	default:
		return user(WaitUntil{events.At(from)})
	}
}

// resync advises how to correct the clock: by the next tokencode within the large
// window, otherwise by two tokencodes.
func (r Refusal) resync(s *engine.State, t *engine.Token, serial string) Advice {
	var a Advice
	if s.Policy.ResyncByUser {
		a = user(ResyncOnPage{serial})
	}
	if t != nil && r.Offset != nil && max(*r.Offset, -*r.Offset) > t.WindowIn(s.Policy).Large {
		return a.and(admin(ResyncToken{serial}))
	}
	return a.and(admin(RequireNextTokencode{serial}))
}

// throttled advises how long to wait.
func (r Refusal) throttled(s *engine.State, serial string, now events.Time) Advice {
	u := s.User(r.User)
	switch {
	case u == nil:
		return user(WaitForSource{s.Policy.SourceEvery, s.Policy.ClientEvery})
	case r.Serial != "":
		if _, next := s.Sending(u, now); !next.IsZero() {
			return user(WaitUntil{next}, UseLastTokencode{})
		}
		return user(RequestTokencode{})
	case r.Quiet:
		return admin(ResyncToken{serial}, AllowResync{})
	}
	if wait := max(u.Strangers.Wait, u.Trusted.Wait, u.Unsigned.Wait); wait > now {
		return user(WaitUntil{wait})
	}
	return user(TryAgain{Resolved: true})
}

// locked advises when the last lock ends, and how to end it earlier.
func (r Refusal) locked(s *engine.State, now events.Time) Advice {
	o := UserLocked{User: r.User}
	if u := s.User(r.User); u != nil {
		_, o.Until = u.Locked(now)
	}
	return o.remedy()
}

func unusable(reason events.Reason, t *engine.Token, serial string, now events.Time) Advice {
	switch {
	case reason == events.ReasonTokenDisabled:
		return Remedy(TokenDisabled{serial})
	case reason == events.ReasonTokenExpired && t != nil && now < t.Born:
		return Remedy(TokenNotYetValid{t.Serial, t.User, t.Born})
	case reason == events.ReasonTokenExpired:
		return Remedy(TokenExpired{Serial: serial})
	case t != nil && t.Lost != nil:
		return Remedy(TokenLost{serial, *EmergencyOf(t, now)})
	}
	return Remedy(TokenLost{Serial: serial})
}

// pin advises how to set the PIN.
func (r Refusal) pin(s *engine.State, t *engine.Token, serial string, now events.Time) Advice {
	switch {
	case t == nil:
		return user(SetPIN{Serial: serial, First: r.Reason == events.ReasonPINNotSet})
	case r.Reason == events.ReasonPINNotSet && t.Lost != nil:
		return admin(SetTemporaryPIN{serial})
	}
	if o := pinObstacle(s, t, now); o != nil {
		return Remedy(o)
	}
	return Remedy(PINMayBeUnfit{serial}) // otherwise the refusal is resolved
}
