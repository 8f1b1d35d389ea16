package engine

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"keyfob/events"
)

// Setting is one setting of the policy.
type Setting struct {
	Key    string
	Unit   string
	Bounds string
	Doc    string
	read   func(*Policy) string
	write  func(*Policy, string) error
	usable func(Policy) error // nil: all that write accepts
}

// Read returns the value of the setting in a policy.
func (s Setting) Read(p Policy) string { return s.read(&p) }

// Settings returns all settings of the policy, by name.
func Settings() []Setting {
	all := append(keySettings(), []Setting{
		whole("next_tokencode.after", "failures", 1, 100, "failures since the last success that put a token into Next Tokencode mode",
			func(p *Policy) *int { return &p.NextTokencodeAfter }),
		numbered("next_tokencode.within", "intervals", 1, 10, "how many intervals, or presses, after the first tokencode the next one may be",
			func(p *Policy) *int64 { return &p.NextTokencodeWithin }),
		whole("lock.after", "failures", 1, 100, "failures that lock a user; as many more lock the user again",
			func(p *Policy) *int { return &p.LockAfter }),
		span("lock.for", 0, 24*time.Hour, "how long the first lock lasts; 0 until an administrator unlocks",
			func(p *Policy) *time.Duration { return &p.LockFor }),
		whole("lock.growth", "times", 1, 10, "factor by which each further lock without a success in between is longer",
			func(p *Policy) *int { return &p.LockGrowth }),
		span("lock.within", 0, 720*time.Hour, "failures older than this do not count towards a lock; 0: all since the last success or lock count",
			func(p *Policy) *time.Duration { return &p.LockWithin }),
		whole("lock.stop_after", "failures", 1, 1000, "failures since the last success, however old, after which only an administrator unlocks",
			func(p *Policy) *int { return &p.StopAfter }),
		span("wait.step", 0, time.Minute, "added to the wait after each failure beyond next_tokencode.after; an attempt during the wait is refused unchecked and counts as a failure",
			func(p *Policy) *time.Duration { return &p.WaitStep }),
		span("wait.most", 0, time.Minute, "longest wait between failures", func(p *Policy) *time.Duration { return &p.WaitMost }),
		whole("pin.min", "characters", 4, longestPIN, "shortest new PIN", func(p *Policy) *int { return &p.PINMin }),
		whole("pin.max", "characters", 4, longestPIN, "longest new PIN", func(p *Policy) *int { return &p.PINMax }),
		yesNo("pin.alphanumeric", "whether a PIN may hold letters", func(p *Policy) *bool { return &p.PINAlphanumeric }),
		word("pin.source", []string{string(PINByUser), string(PINBySystem), string(PINByEither)},
			"who makes a new PIN: the user, the system, or either as the user chooses",
			func(p *Policy) string { return string(p.PINSource) }, func(p *Policy, v string) { p.PINSource = PINSource(v) }),
		span("pin.lifetime", 0, 3650*24*time.Hour, "age at which a PIN must be changed; 0 for never",
			func(p *Policy) *time.Duration { return &p.PINLifetime }).
			least(day, "a shorter-lived PIN would have to be changed at almost every login", func(p Policy) time.Duration { return p.PINLifetime }),
		whole("pin.history", "PINs", 0, maxOldPINs, "number of last PINs, including the present one, that cannot be chosen again",
			func(p *Policy) *int { return &p.PINHistory }),
		whole("pin.rounds", "times", 1, maxPINRounds, "how often a new PIN may be unfit or typed differently before the conversation ends",
			func(p *Policy) *int { return &p.PINRounds }),
		word("pin.first", []string{string(FirstPINByTokencode), string(FirstPINByActivationCode)},
			"what proves the user of a token without a PIN: its tokencode alone, or an activation code in front of it",
			func(p *Policy) string { return string(p.FirstPIN) }, func(p *Policy, v string) { p.FirstPIN = FirstPIN(v) }),
		span("ondemand.for", time.Minute, 70*time.Minute, "how long a tokencode that was sent is valid",
			func(p *Policy) *time.Duration { return &p.OnDemandFor }),
		whole("ondemand.per_hour", "messages", 1, maxSent, "tokencodes sent to a user in an hour, at most",
			func(p *Policy) *int { return &p.OnDemandPerHour }),
		yesNo("resync.by_user", "whether users may resynchronize their tokens on the page", func(p *Policy) *bool { return &p.ResyncByUser }),
		span("resync.within", time.Minute, 72*time.Hour, "how far off a clock may be for resynchronization",
			func(p *Policy) *time.Duration { return &p.ResyncWithin }),
		numbered("resync.ahead", "presses", 1, 100_000, "how far ahead an event token may be for resynchronization",
			func(p *Policy) *int64 { return &p.ResyncAhead }),
		span("conversation.for", 30*time.Second, time.Hour, "how long a step of a conversation can be answered",
			func(p *Policy) *time.Duration { return &p.ConversationFor }).
			least(2*time.Minute, "a token takes up to a minute to show the next tokencode, and the user needs time to type it", func(p Policy) time.Duration { return p.ConversationFor }),
		whole("tokens.per_user", "tokens", 1, 10, "tokens assigned to a user, at most",
			func(p *Policy) *int { return &p.TokensPerUser }),
		span("emergency.for", time.Minute, longestEmergency, "how long emergency tokencodes are valid by default",
			func(p *Policy) *time.Duration { return &p.EmergencyFor }),
		span("emergency.most", time.Minute, longestEmergency, "how long emergency tokencodes can be valid, at most",
			func(p *Policy) *time.Duration { return &p.EmergencyMost }),
		whole("emergency.codes", "tokencodes", 0, maxEmergency, "number of emergency tokencodes by default; 0 for no emergency access",
			func(p *Policy) *int { return &p.EmergencyCodes }),
		yesNo("replace.keep_pin", "whether by default the PIN moves to the token that replaces another, if both have the same PIN style",
			func(p *Policy) *bool { return &p.ReplaceKeepsPIN }),
		span("retry.request_for", 10*time.Second, answerFor, "how long a repeated request gets the same answer",
			func(p *Policy) *time.Duration { return &p.RetryRequestFor }),
		span("retry.login_for", 0, answerFor, "how long the same login from the same gateway gets the recorded answer at another node; 0s for never",
			func(p *Policy) *time.Duration { return &p.RetryLoginFor }),
		whole("seed.min", "bits", leastSeed, 256, "shortest seed of a token that is imported, added or issued; existing tokens stay as they are",
			func(p *Policy) *int { return &p.SeedMin }),
		span("refusal.delay", 0, 2*time.Second, "time from the arrival of an attempt to its refusal",
			func(p *Policy) *time.Duration { return &p.RefusalDelay }),
	}...)
	all = slices.Concat(all, sourceSettings(), sessionSettings(), callerSettings(), approvalSettings())
	for _, form := range []string{FormApp, FormEvent, FormFob, FormPINpad} {
		all = append(all,
			window(form, "small", 0, 20, "accepted", func(w *Window) *int64 { return &w.Small }),
			window(form, "medium", 0, 100, "accepted with the next tokencode", func(w *Window) *int64 { return &w.Medium }),
			window(form, "large", 0, 1000, "in Next Tokencode mode, with the next tokencode", func(w *Window) *int64 { return &w.Large }))
	}
	slices.SortFunc(all, func(a, b Setting) int { return strings.Compare(a.Key, b.Key) })
	return all
}

// sourceSettings limit failures by where they come from.
func sourceSettings() []Setting {
	return []Setting{
		whole("source.failures", "failures", 0, 10_000, "failures of one address (IPv6: a /64; a /56 has 4 times as many, a /48 16 times) at one front end, after which its attempts there are not checked; 0 for no limit",
			func(p *Policy) *int { return &p.SourceFailures }),
		span("source.remember", 0, 365*day, "how long after a login from an address its user has 5 more tries there, one a minute, although the address has too many failures; 0 for never",
			func(p *Policy) *time.Duration { return &p.SourceRemember }),
		span("source.every", 10*time.Millisecond, time.Hour, "time after which an address gets one failure back",
			func(p *Policy) *time.Duration { return &p.SourceEvery }),
		whole("client.failures", "failures", 0, 1_000_000, "failures of one client that is not trusted, over all addresses, after which its attempts are not checked; 0 for no limit",
			func(p *Policy) *int { return &p.ClientFailures }),
		span("client.every", time.Millisecond, time.Minute, "time after which a client that is not trusted gets one failure back",
			func(p *Policy) *time.Duration { return &p.ClientEvery }),
	}
}

// ValidPINSource reports whether a word is a PINSource.
func ValidPINSource(v string) bool {
	switch PINSource(v) {
	case PINByUser, PINBySystem, PINByEither:
		return true
	}
	return false
}

func whole(key, unit string, low, high int, doc string, at func(*Policy) *int) Setting {
	return Setting{
		Key: key, Unit: unit, Bounds: fmt.Sprintf("%d to %d", low, high), Doc: doc,
		read: func(p *Policy) string { return strconv.Itoa(*at(p)) },
		write: func(p *Policy, v string) error {
			n, err := strconv.Atoi(v)
			if err != nil || n < low || n > high {
				return fmt.Errorf("want a number from %d to %d", low, high)
			}
			*at(p) = n
			return nil
		},
	}
}

func span(key string, low, high time.Duration, doc string, at func(*Policy) *time.Duration) Setting {
	return Setting{
		Key: key, Unit: "duration", Bounds: SpellDuration(low) + " to " + SpellDuration(high), Doc: doc,
		read: func(p *Policy) string { return SpellDuration(*at(p)) },
		write: func(p *Policy, v string) error {
			d, err := ParseDuration(v)
			if err != nil || d < low || d > high {
				return fmt.Errorf("want a duration such as 30m or 7d, from %s to %s", SpellDuration(low), SpellDuration(high))
			}
			*at(p) = d
			return nil
		},
	}
}

// least raises the lower bound of a duration and states the reason. Older,
// lower values are still read and applied, because journals and states contain
// them. If 0 has a meaning of its own, it stays allowed.
func (s Setting) least(low time.Duration, why string, at func(Policy) time.Duration) Setting {
	var zero Policy
	zeroToo := s.write(&zero, "0s") == nil
	words := SpellDuration(low) + " at least"
	_, most, _ := strings.Cut(s.Bounds, " to ")
	s.Bounds = SpellDuration(low) + " to " + most
	if zeroToo {
		words, s.Bounds = "0, or "+words, "0s, or "+s.Bounds
	}
	s.usable = func(p Policy) error {
		if d := at(p); d < low && (d != 0 || !zeroToo) {
			return fmt.Errorf("want %s: %s", words, why)
		}
		return nil
	}
	return s
}

// refused returns why the value of the setting is not usable in a policy, or
// nil.
func (s Setting) refused(p Policy) error {
	if s.usable == nil {
		return nil
	}
	return s.usable(p)
}

func yesNo(key, doc string, at func(*Policy) *bool) Setting {
	return Setting{
		Key: key, Unit: "yes or no", Bounds: "yes, no", Doc: doc,
		read: func(p *Policy) string { return map[bool]string{true: "yes", false: "no"}[*at(p)] },
		write: func(p *Policy, v string) error {
			switch v {
			case "yes", "true": // older journals contain the second
				*at(p) = true
			case "no", "false":
				*at(p) = false
			default:
				return fmt.Errorf("want yes or no")
			}
			return nil
		},
	}
}

func word(key string, words []string, doc string, read func(*Policy) string, write func(*Policy, string)) Setting {
	list := strings.Join(words, ", ")
	return Setting{
		Key: key, Unit: "word", Bounds: list, Doc: doc, read: read,
		write: func(p *Policy, v string) error {
			if !slices.Contains(words, v) {
				return fmt.Errorf("want one of %s", list)
			}
			write(p, v)
			return nil
		},
	}
}

func numbered(key, unit string, low, high int64, doc string, at func(*Policy) *int64) Setting {
	return Setting{
		Key: key, Unit: unit, Bounds: fmt.Sprintf("%d to %d", low, high), Doc: doc,
		read: func(p *Policy) string { return strconv.FormatInt(*at(p), 10) },
		write: func(p *Policy, v string) error {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil || n < low || n > high {
				return fmt.Errorf("want a number from %d to %d", low, high)
			}
			*at(p) = n
			return nil
		},
	}
}

func window(form, name string, low, high int64, doc string, at func(*Window) *int64) Setting {
	unit := "intervals"
	if form == FormEvent {
		unit = "presses"
	}
	return Setting{
		Key: "window." + form + "." + name, Unit: unit, Bounds: fmt.Sprintf("%d to %d", low, high), Doc: doc,
		read: func(p *Policy) string {
			w := p.Windows[form]
			return strconv.FormatInt(*at(&w), 10)
		},
		write: func(p *Policy, v string) error {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil || n < low || n > high {
				return fmt.Errorf("want a number from %d to %d", low, high)
			}
			w := p.Windows[form]
			*at(&w) = n
			p.Windows = maps.Clone(p.Windows)
			p.Windows[form] = w
			return nil
		},
	}
}

// with returns the policy with one setting changed. An invalid value changes
// nothing; Decide does not admit one.
func (p Policy) with(key, value string) Policy {
	for _, s := range Settings() {
		if s.Key == key {
			if err := s.write(&p, value); err == nil {
				return p
			}
		}
	}
	return p
}

// contradictions returns an error for settings that contradict each other.
func (p Policy) contradictions() error {
	if p.PINMin > p.PINMax {
		return refuse(Invalid, "pin.min %d is more than pin.max %d; set both", p.PINMin, p.PINMax)
	}
	if p.StopAfter < p.LockAfter {
		return refuse(Invalid, "lock.stop_after %d is less than lock.after %d", p.StopAfter, p.LockAfter)
	}
	if p.EmergencyFor > p.EmergencyMost {
		return refuse(Invalid, "emergency.for %s is more than emergency.most %s", SpellDuration(p.EmergencyFor), SpellDuration(p.EmergencyMost))
	}
	for _, form := range slices.Sorted(maps.Keys(p.Windows)) {
		if w := p.Windows[form]; w.Small > w.Medium || w.Medium > w.Large {
			return refuse(Invalid, "window.%s: want small <= medium <= large, not %d, %d, %d", form, w.Small, w.Medium, w.Large)
		}
	}
	return nil
}

// expand replaces a profile by its settings. Settings given beside it take
// precedence.
func expand(settings map[string]string) (map[string]string, error) {
	name, ok := settings["profile"]
	if !ok {
		return settings, nil
	}
	all, err := Profile(name)
	if err != nil {
		return nil, err
	}
	maps.Copy(all, settings)
	delete(all, "profile")
	return all, nil
}

// setPolicy returns the events that change settings, all or none.
func (s *State) setPolicy(settings map[string]string) ([]events.Event, error) {
	settings, err := expand(settings)
	if err != nil {
		return nil, err
	}
	next := s.Policy
	var facts []events.Event
	known := map[string]Setting{}
	for _, setting := range Settings() {
		known[setting.Key] = setting
	}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		setting, ok := known[key]
		if !ok {
			return nil, refuseHelp(NotFound, HelpShowPolicy, "policy setting %.64q not found", key)
		}
		before := setting.read(&next)
		if err := setting.write(&next, settings[key]); err != nil {
			return nil, refuse(Invalid, "%s=%.40q: %v", key, settings[key], err)
		}
		if after := setting.read(&next); after != before {
			if err := setting.refused(next); err != nil {
				return nil, refuse(Invalid, "%s=%.40q: %v", key, settings[key], err)
			}
			facts = append(facts, events.PolicyChanged{Key: key, Before: before, After: after})
		}
	}
	if err := next.contradictions(); err != nil {
		return nil, err
	}
	return facts, nil
}
