package engine

import (
	"maps"
	"slices"
	"strings"

	"keyfob/events"
)

// profiles are named sets of settings.
var profiles = map[string]map[string]string{
	// For a site that comes from RSA Authentication Manager: short PINs, five
	// failures within 24 hours, then the help desk.
	"rsa": {
		"pin.min": "4", "pin.max": "8", "lock.after": "5", "lock.within": "24h", "lock.for": "0s", "next_tokencode.after": "3",
	},
	// PCI DSS 4.0, 8.3.4 and 8.3.6, and NIST SP 800-63B-4, 3.2.2; seeds of the 112
	// bits of 3.1.4.1.
	"strict": {
		"pin.min": "8", "pin.max": "12", "pin.history": "10", "pin.lifetime": "90d", "pin.first": "activation_code",
		"lock.after": "5", "lock.for": "1h", "lock.stop_after": "50", "resync.by_user": "no",
		"seed.min": "112", "admin.session_idle": "15m", // PCI DSS 4.0, 8.2.8
		"approval.required": strings.Join(ApprovalGroups(), ","),
	},
}

// Profiles returns the names of the profiles.
func Profiles() []string { return append([]string{"default"}, slices.Sorted(maps.Keys(profiles))...) }

// Profile returns the settings of a profile: its own, and defaults for the
// rest.
func Profile(name string) (map[string]string, error) {
	own, ok := profiles[name]
	if !ok && name != "default" {
		return nil, refuse(NotFound, "policy profile %.40q not found; want one of %v", name, Profiles())
	}
	settings := map[string]string{}
	for _, s := range Settings() {
		settings[s.Key] = s.Read(DefaultPolicy())
	}
	maps.Copy(settings, own)
	return settings, nil
}

// Preview is the effect of a policy change.
type Preview struct {
	Changes []events.PolicyChanged
	// NewPIN is the number of tokens whose PIN was set under looser rules, or will
	// have expired: at most so many users must change it at their next login. The
	// PINs themselves are not known.
	NewPIN int
	// Unclaimed is the number of tokens with a user and without a PIN that can get
	// one by a login before the change, but not after it.
	Unclaimed int
	Before    []Budget
	After     []Budget
}

// Risky returns the forms of tokens for which the chance of a guess rises above
// MaxGuess. The change must then be forced.
func (p Preview) Risky() []Budget { return risky(p.Before, p.After) }

func risky(before, after []Budget) []Budget {
	var more []Budget
	for i, b := range after {
		if b.Day > MaxGuess && b.Day > before[i].Day {
			more = append(more, b)
		}
	}
	return more
}

// after returns the policy after changes.
func (p Policy) after(facts []events.Event) Policy {
	for _, e := range facts {
		if change, ok := e.(events.PolicyChanged); ok {
			p = p.with(change.Key, change.After)
		}
	}
	return p
}

// SetPolicy changes settings of the policy, all or none. Force permits a change
// that lets guesses succeed more often than MaxGuess.
type SetPolicy struct {
	Settings map[string]string `cbor:"1,keyasint"`
	Force    bool              `cbor:"2,keyasint,omitempty"`
}

func (c SetPolicy) decide(s *State, _ events.Time) ([]events.Event, error) {
	facts, err := s.setPolicy(c.Settings)
	if err == nil {
		err = s.canApprove(facts)
	}
	if err != nil || c.Force {
		return facts, err
	}
	for _, b := range risky(GuessBudgets(s.Policy), GuessBudgets(s.Policy.after(facts))) {
		return nil, refuse(Risky, "an attacker who knows the PIN could guess a tokencode of form %s with a chance of %.2g a day, more than %.2g: %s; force the change if that is intended",
			b.Form, b.Day, MaxGuess, b.Arithmetic)
	}
	return facts, nil
}

// PreviewPolicy returns the effect of a policy change without making it. The
// error is a *Refusal.
func PreviewPolicy(s *State, settings map[string]string, now events.Time) (Preview, error) {
	facts, err := s.setPolicy(settings)
	if err != nil {
		return Preview{}, err
	}
	next := s.Policy.after(facts)
	preview := Preview{Before: GuessBudgets(s.Policy), After: GuessBudgets(next)}
	for _, e := range facts {
		if change, ok := e.(events.PolicyChanged); ok {
			preview.Changes = append(preview.Changes, change)
		}
	}
	changed := State{Policy: next}
	s.Tokens(func(t *Token) bool {
		if changed.Unclaimed(t) && !s.Unclaimed(t) {
			preview.Unclaimed++
		}
		if t.hasPIN() && t.needsPIN(&s.Policy, now) == "" && t.outdated(&s.Policy, &next, now) {
			preview.NewPIN++
		}
		return true
	})
	return preview, nil
}

// outdated reports whether a policy change may make the token's PIN unfit or
// expired.
func (t *Token) outdated(before, after *Policy, now events.Time) bool {
	was, is := t.pinRules(before), t.pinRules(after)
	longest := was.Max
	if t.PINMax != 0 {
		longest = min(longest, int(t.PINMax))
	}
	return is.Min > max(int(t.PINMin), was.Min) || is.Max < longest ||
		t.PINLetters && was.Alphanumeric && !is.Alphanumeric ||
		t.needsPIN(after, now) != ""
}
