package api

import (
	"fmt"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// matter is something that stands between a user and the next login, whoever
// looks, and what to do about it.
type matter struct {
	what, next string
	bars       bool // no login gets past it
}

// matters are all that stand between a user and the next login now.
func matters(s *engine.State, u *engine.User, now events.Time) []matter {
	var all []matter
	add := func(bars bool, next, what string, args ...any) {
		all = append(all, matter{fmt.Sprintf(what, args...), next, bars})
	}
	if u.Disabled {
		add(true, "keyfob user enable "+u.Name+", if whoever disabled it agrees", "is disabled")
	}
	for _, b := range viewBudgetsOf(s.Policy, u, now) {
		switch {
		case b.Locked && b.LockedUntil == nil:
			add(true, unlock(u), "is locked %s until an administrator unlocks", b.For())
		case b.Locked:
			add(true, unlock(u)+"; or wait", "is locked %s until %s", b.For(), spoken(events.At(*b.LockedUntil)))
		case b.WaitUntil != nil:
			add(false, "the user waits, and tries once", "has to wait %s until %s, after %d failures", b.For(), spoken(events.At(*b.WaitUntil)), b.Failures)
		}
	}
	if len(u.Tokens) == 0 {
		add(true, "keyfob token issue "+u.Name+", or keyfob token assign SERIAL "+u.Name, "has no token")
	}
	for _, serial := range u.Tokens {
		if t := s.Token(serial); t != nil {
			all = append(all, mattersOf(s, u, t, now)...)
		}
	}
	if sent, from := s.Sending(u, now); !from.IsZero() {
		add(false, "the user waits, or types the last one that was sent", "was sent %d tokencodes in an hour; the next can be sent at %s", sent, spoken(from))
	}
	return all
}

func unlock(u *engine.User) string {
	return "find out whose failures they are, then keyfob user unlock " + u.Name
}

// spoken is an instant within words: whoever shows them to people puts it into
// their own time.
func spoken(t events.Time) string { return t.Std().Format(time.RFC3339) }

// mattersOf are those of one of a user's tokens.
func mattersOf(s *engine.State, u *engine.User, t *engine.Token, now events.Time) []matter {
	one := len(u.Tokens) == 1
	switch t.Unusable(now) {
	case events.ReasonTokenDisabled:
		return []matter{{"token " + t.Serial + " is disabled", fill(meanings[events.ReasonTokenDisabled].next, u.Name, t.Serial), one}}
	case events.ReasonTokenExpired:
		what, next := outOfTime(t, now)
		return []matter{{"token " + t.Serial + " " + what, fill(next, u.Name, t.Serial), one}}
	default:
	}
	var all []matter
	if t.Lost != nil && (!t.Lost.OwnCount(now) || now < t.Lost.Until) {
		all = append(all, lostMatter(u, t, now))
	}
	whose := " of token " + t.Serial
	if one {
		whose = ""
	}
	if t.NextTokencode {
		all = append(all, matter{"needs the next tokencode" + whose, "the user logs in, waits until the token shows the next tokencode, and types that too", false})
	}
	if !t.NotSent.IsZero() {
		all = append(all, matter{"no tokencode" + whose + " was sent at " + spoken(t.NotSent), "the user asks for another one; again and again: keyfob audit show with its reference says at which node, whose log says why", false})
	}
	if m := pinMatter(s, t, whose, now); m.what != "" {
		all = append(all, m)
	}
	if last, from, ok := t.MarkAhead(now); ok && from.After(now.Std().Add(beyond(s, t))) {
		all = append(all, matter{
			"no tokencode" + whose + " counts before " + spoken(events.At(from)) + ", because one of " + spoken(events.At(last)) + " was used", untilThen(t, from), false,
		})
	}
	return all
}

// lostMatter is what holds while a token is not with its owner.
func lostMatter(u *engine.User, t *engine.Token, now events.Time) matter {
	next := meanings[events.ReasonTokenLost].next
	if left, ok := t.Lost.Left(now); ok && left == 0 {
		next = "with its owner again: keyfob token found SERIAL; else keyfob token lost SERIAL gives out emergency tokencodes"
	}
	return matter{"token " + t.Serial + " is lost: " + viewStopgap(t, now).Words, fill(next, u.Name, t.Serial), false}
}

// outOfTime says since when a token is not good, or from when on it is.
func outOfTime(t *engine.Token, now events.Time) (what, next string) {
	if now < t.Born {
		return "is not good before " + spoken(t.Born), "the user waits, or gets another token: keyfob token issue USER"
	}
	return "expired at " + spoken(t.Expires), meanings[events.ReasonTokenExpired].next
}

// beyond is how long a token shows tokencodes that lie in its large window.
func beyond(s *engine.State, t *engine.Token) time.Duration {
	return time.Duration(t.WindowIn(s.Policy).Large) * time.Duration(t.Period) * time.Second
}

// pinMatter is what is the matter with a token's PIN.
func pinMatter(s *engine.State, t *engine.Token, whose string, now events.Time) matter {
	due, sent := s.PINDue(t, now), t.Kind == engine.KindOnDemand
	temporary := "keyfob token set-temporary-pin " + t.Serial
	switch {
	case s.Unclaimed(t) && sent:
		return matter{"needs a temporary PIN" + whose + ", without which nothing is sent", temporary, false}
	case s.Unclaimed(t):
		return matter{"needs an activation code" + whose, temporary + ", and the user types what it shows in front of the tokencode", false}
	case due == events.ReasonPINNotSet:
		return matter{"must set a PIN" + whose, "the user logs in with the tokencode alone, and sets a PIN; at a VPN that cannot ask for it, on the page", false}
	case due == events.ReasonPINExpired:
		return matter{"must set a new PIN" + whose + ", since the old one expired at " + spoken(s.PINEnds(t)), newPINNext, false}
	case due != "":
		return matter{"must set a new PIN" + whose, newPINNext, false}
	case s.PINDoubted(t):
		return matter{"perhaps must set a new PIN" + whose + ", since the old one was set under looser rules", newPINNext, false}
	}
	return matter{}
}

const newPINNext = "the user logs in with the present PIN, and sets a new one; at a VPN that cannot ask for it, on the page"

// untilThen is what helps until a token shows what was not used yet.
func untilThen(t *engine.Token, from time.Time) string {
	return fmt.Sprintf("until %s: keyfob token lost %s gives out emergency tokencodes, keyfob token found %s ends them; or another token", spoken(events.At(from)), t.Serial, t.Serial)
}

// needs are the matters in words.
func needs(all []matter) []string {
	words := make([]string, 0, len(all))
	for _, m := range all {
		words = append(words, m.what)
	}
	return words
}
