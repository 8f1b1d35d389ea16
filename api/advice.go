package api

import (
	"cmp"
	"fmt"
	"strings"

	"keyfob/engine"
	"keyfob/engine/tokencode"
	"keyfob/events"
)

// advice is what to do about a refusal, as things are now.
func (r refusal) advice(s *engine.State, now events.Time) string {
	if _, ok := meanings[r.reason]; !ok {
		return "" // not of a refusal
	}
	u, t := s.User(r.user), r.about(s, now)
	if u != nil && r.over(s, u, now) {
		return "that is over: the user tries again"
	}
	next := meanings[r.reason].next
	switch {
	case r.reason == events.ReasonThrottled:
		next = r.untilWhen(s, u, now)
	case t != nil:
		next = r.adviceOn(s, t, now)
	case r.reason == events.ReasonBadTokencode && u != nil && len(u.Tokens) > 1:
		next += ", and looks whether it is one of " + strings.Join(u.Tokens, ", ") + ": keyfob user show USER says what each wants"
	}
	serial := r.serial
	if t != nil {
		serial = t.Serial
	}
	return fill(next, r.user, serial)
}

// fill puts the names that are known in the places of USER and SERIAL.
func fill(next, user, serial string) string {
	user, serial = cmp.Or(user, "USER"), cmp.Or(serial, "SERIAL")
	return strings.NewReplacer("SERIAL", serial, "USER", user).Replace(next)
}

// about is the token that a refusal speaks of: the one that it names, the only
// one that the user has, or the first that is in the way; nil where it cannot be
// told which.
func (r refusal) about(s *engine.State, now events.Time) *engine.Token {
	u := s.User(r.user)
	if r.serial != "" || u == nil {
		return s.Token(r.serial)
	}
	for _, serial := range u.Tokens {
		t := s.Token(serial)
		if t != nil && (len(u.Tokens) == 1 || t.Unusable(now) == r.reason) {
			return t
		}
	}
	return nil
}

// over reports whether what a user was refused for holds no longer, though
// nothing that he typed was wrong.
func (r refusal) over(s *engine.State, u *engine.User, now events.Time) bool {
	t := r.about(s, now)
	switch r.reason {
	case events.ReasonUserDisabled:
		return !u.Disabled
	case events.ReasonUserLocked:
		return !u.Strangers.Locked(now) && !u.Trusted.Locked(now)
	case events.ReasonNoToken:
		return r.serial == "" && len(u.Tokens) > 0
	case events.ReasonTokenDisabled, events.ReasonTokenExpired:
		return t == nil || t.Unusable(now) != r.reason
	case events.ReasonTokenLost:
		return t != nil && t.Lost == nil
	case events.ReasonPINNotSet, events.ReasonPINExpired, events.ReasonPINChangeRequired:
		return t != nil && s.PINDue(t, now) == "" && !s.PINDoubted(t)
	default:
		return false
	}
}

// adviceOn is the advice on a token.
func (r refusal) adviceOn(s *engine.State, t *engine.Token, now events.Time) string {
	next, sent := meanings[r.reason].next, t.Kind == engine.KindOnDemand
	switch {
	case r.reason == events.ReasonBadTokencode:
		return "the user types " + toType(s, t) + ifInVain(t)
	case r.reason == events.ReasonOutsideWindow && r.offset != nil && far(t.WindowIn(s.Policy), *r.offset):
		return "the user resynchronises on the page, or reads two tokencodes in a row out: keyfob token resync SERIAL TOKENCODE NEXT"
	case r.reason == events.ReasonTokencodeReused:
		if last, from, ok := t.MarkAhead(now); ok {
			return fmt.Sprintf("it was not newer than the last tokencode used, which was that of %s: tokencodes count again from %s, if the token's clock is right; %s",
				spoken(events.At(last)), spoken(events.At(from)), untilThen(t, from))
		}
	case r.reason == events.ReasonTokenExpired:
		_, next = outOfTime(t, now)
	case r.reason == events.ReasonNextTokencodeWrong && sent:
		return "the user looks for the latest message, or logs in again and has another one sent"
	case r.reason == events.ReasonNoToken && sent:
		return "set ondemand.smtp.host, or ondemand.sms.url for telephones, in the configuration of every node"
	case r.reason == events.ReasonPINNotSet && t.Lost != nil:
		return "keyfob token set-temporary-pin SERIAL, and the user types what it shows in front of the tokencode"
	case pinReason(r.reason):
		return pinMatter(s, t, "", now).next
	}
	return next
}

func pinReason(r events.Reason) bool {
	return r == events.ReasonPINNotSet || r == events.ReasonPINExpired || r == events.ReasonPINChangeRequired
}

// toType is what the owner of a token is to type.
func toType(s *engine.State, t *engine.Token) string {
	pinpad := t.PINStyle == string(tokencode.PINpad)
	switch {
	case t.Kind == engine.KindOnDemand:
		return "the PIN alone, and then the tokencode that is sent"
	case t.Lost != nil && t.Lost.Found == engine.FoundRefuse:
		return "the PIN, then an emergency tokencode"
	case t.PINStyle == string(tokencode.NoPIN):
		return "what the token shows now"
	case s.Unclaimed(t):
		return "the activation code, then what the token shows now"
	case len(t.PIN) == 0:
		return "what the token shows now, alone: it has no PIN yet"
	case pinpad:
		return "what the token shows now, with the PIN added to it"
	default:
		return "the PIN, then what the token shows now"
	}
}

// ifInVain is what to do when the right thing is typed and does not do.
func ifInVain(t *engine.Token) string {
	switch {
	case t.Kind == engine.KindOnDemand:
		return ""
	case t.Lost != nil:
		return "; with its owner again: keyfob token found SERIAL"
	default:
		return ", and looks whether it is token SERIAL; again and again: keyfob token resync SERIAL TOKENCODE NEXT"
	}
}

// untilWhen is until when somebody is refused for coming too often.
func (r refusal) untilWhen(s *engine.State, u *engine.User, now events.Time) string {
	p := s.Policy
	switch {
	case u == nil:
		return fmt.Sprintf("whoever it is waits: of an address one attempt is looked at every %v (source.every), of a client one every %v (client.every)", p.SourceEvery, p.ClientEvery)
	case r.serial != "":
		if sent, from := s.Sending(u, now); !from.IsZero() {
			return fmt.Sprintf("the next can be sent at %s: %d were sent in the hour before, and ondemand.per_hour is %d; the last one is good for %v", spoken(from), sent, p.OnDemandPerHour, p.OnDemandFor)
		}
		return "that is over: the user asks for another one"
	case r.quiet:
		return "an administrator does it: keyfob token resync SERIAL TOKENCODE NEXT; or resync.by_user lets them"
	}
	if wait := max(u.Strangers.Wait, u.Trusted.Wait); wait > now {
		return fmt.Sprintf("the user waits until %s, and tries once", spoken(wait))
	}
	return fmt.Sprintf("the wait, of at most %v, is over: the user tries once", p.WaitMost)
}
