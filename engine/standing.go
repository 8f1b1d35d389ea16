package engine

import (
	"slices"
	"time"

	"keyfob/engine/tokencode"
	"keyfob/events"
)

// What stands between a token and its owner's next login, for those who help
// him. Decide goes by the same.

// Mode is what the next login with a token asks for first.
type Mode string

// The modes. A token without a user is in ModeNormal, unless it is in Next
// Tokencode mode.
const (
	ModeNormal        Mode = "normal"
	ModeNewPIN        Mode = "new_pin" // PINDue says why
	ModeNextTokencode Mode = "next_tokencode"
)

// Mode returns the mode of a token. A token whose PIN has expired, or is not
// set, is in New PIN mode. After the next tokencode a new PIN may still be due:
// see PINDue.
func (s *State) Mode(t *Token, now events.Time) Mode {
	switch {
	case t.NextTokencode:
		return ModeNextTokencode
	case s.PINDue(t, now) != "":
		return ModeNewPIN
	}
	return ModeNormal
}

// Unusable says why a token is refused whatever is typed, empty when it is not.
func (t *Token) Unusable(now events.Time) events.Reason { return t.unusable(now) }

// PINDue says why the next login with a token asks for a new PIN, empty when it
// does not, as far as the state knows.
func (s *State) PINDue(t *Token, now events.Time) events.Reason {
	if t.User == "" {
		return ""
	}
	return t.needsPIN(&s.Policy, now)
}

// PINEnds is when a token's PIN is too old; zero: never, or it has none.
func (s *State) PINEnds(t *Token) events.Time {
	if s.Policy.PINLifetime == 0 || !t.hasPIN() {
		return 0
	}
	return t.PINSetAt.Add(s.Policy.PINLifetime)
}

// ReplacedBy is the serial of the token that is to take the place of another,
// empty where none is.
func (s *State) ReplacedBy(old *Token) string {
	if u := s.User(old.User); u != nil {
		for _, serial := range u.Tokens {
			if t := s.Token(serial); t != nil && t.Replaces == old.Serial {
				return serial
			}
		}
	}
	return ""
}

// PINDoubted reports whether a token's PIN may be unfit: no login has shown it
// to keep the rules of now, and those that it is known to keep are looser.
func (s *State) PINDoubted(t *Token) bool {
	if !t.hasPIN() {
		return false
	}
	is := t.pinRules(&s.Policy)
	return t.PINMin != 0 && is.Min > int(t.PINMin) || t.PINMax != 0 && is.Max < int(t.PINMax) ||
		t.PINLetters && !is.Alphanumeric
}

// keeps notes that a token's PIN keeps the rules in force: it has just been set
// under them, or its owner let in with it.
func (t *Token) keeps(p *Policy) {
	rules := t.pinRules(p)
	t.PINMin = max(t.PINMin, uint8(rules.Min))
	if t.PINMax == 0 || rules.Max < int(t.PINMax) {
		t.PINMax = uint8(rules.Max)
	}
	t.PINLetters = t.PINLetters && rules.Alphanumeric
}

// MarkAhead is when a token that shows the time as it is believed to will show a
// tokencode newer than the last one used, and the time that this one stood for.
// ok is false where the mark does not lie ahead, as it does when a clock was put
// back, or is believed anew.
func (t *Token) MarkAhead(now events.Time) (last, from time.Time, ok bool) {
	if !t.timed() || t.Last <= t.expected(now) {
		return time.Time{}, time.Time{}, false
	}
	return t.Shown(t.Last), t.Shown(t.Last + 1 - t.Drift), true
}

// Shown is when a token whose clock is right begins to show an interval's
// tokencode; the zero time for those that follow no clock.
func (t *Token) Shown(interval int64) time.Time { return tokencode.Start(t.params(), interval) }

// Sending is how many tokencodes were sent to a user in the last hour, to all
// addresses, and from when on another one may be: zero where at once.
func (s *State) Sending(u *User, now events.Time) (sent int, from events.Time) {
	var recent []events.Time
	for _, serial := range u.Tokens {
		t := s.Token(serial)
		if t == nil {
			continue
		}
		for _, at := range t.Sent {
			if now.Sub(at) < hour {
				recent = append(recent, at)
			}
		}
	}
	if most := s.Policy.OnDemandPerHour; len(recent) >= most && most > 0 {
		slices.Sort(recent)
		from = recent[len(recent)-most].Add(hour)
	}
	return len(recent), from
}
