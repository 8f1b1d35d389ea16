package engine

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"keyfob/events"
)

// A user on the telephone proves to the help desk who they are: the page shows
// them a word after a right tokencode, they read it out, and an administrator
// checks it. The PIN is not needed, since a forgotten PIN is why users call.
// Neither a lock nor Next Tokencode mode is in the way, for the same reason, so
// refused attempts have a budget of their own: rules.md, "Callers".

const (
	maxWrongWords = 3 // void the right one

	// callerReach is how far a clock may be off, in intervals. The tokencode stands
	// alone, so a wide window would be guessed too easily.
	callerReach = 2
)

// CallerProof is a word that a user has.
type CallerProof struct {
	Digest string      `cbor:"1,keyasint"` // keyed
	Until  events.Time `cbor:"2,keyasint"`
	Wrong  uint8       `cbor:"3,keyasint,omitempty"` // words that were checked and wrong
}

// Caller is a user whom an administrator has checked on the telephone.
type Caller struct {
	By    string      `cbor:"1,keyasint"` // the administrator
	Until events.Time `cbor:"2,keyasint"`
}

// CheckCaller checks the word that a caller reads out. The administrator is the
// origin's actor.
type CheckCaller struct {
	User   string `cbor:"1,keyasint"`
	Digest string `cbor:"2,keyasint"` // CallerDigest of the word
}

// CallerDigest is what is stored of a user's word.
func CallerDigest(k Keys, user, word string) string {
	return k.Pseudonym("caller " + user + " " + events.CanonicalReference(word))
}

// proveCaller examines a tokencode, and makes the word. A repeated request gets
// the same one.
func (k *checker) proveCaller(ctx context.Context, c *Checked) error {
	for t := range k.tokens {
		e := evidenceOf(t)
		if !t.onDemand() { // anybody may read its messages
			var err error
			if e, err = k.first(ctx, t); err != nil {
				return err
			}
		}
		c.Command.Evidence.Tokens = append(c.Command.Evidence.Tokens, e)
	}
	var b [5]byte
	request := k.Attempt.Origin.Request
	if err := k.Keys.ChanceOf("caller " + k.user.Name + " " + hex.EncodeToString(request[:]))(b[:]); err != nil {
		return fmt.Errorf("making a word for the help desk: %w", err)
	}
	spelled := strings.ReplaceAll(events.SpellReference(b), "-", "")
	c.Word = Secret(spelled[:3] + " " + spelled[3:6])
	c.Command.Word = CallerDigest(k.Keys, k.user.Name, c.Word.Reveal())
	return nil
}

// proveCaller decides whether the page shows a word.
func (d *decider) proveCaller() (Decision, error) {
	if d.user.Disabled {
		return d.quietly(events.ReasonUserDisabled), nil
	}
	if len(recent(d.user.ProofFailures, d.now)) >= d.state.Policy.CallerTries {
		return d.quietly(events.ReasonThrottled), nil
	}
	candidates, reason, err := d.candidates()
	switch {
	case err != nil:
		return Decision{}, err
	case len(candidates) == 0:
		return d.quietly(reason), nil
	}
	refusal := events.CallerProofRefused{User: d.user.Name, Reason: events.ReasonBadTokencode}
	for _, c := range candidates {
		reason := d.whyNoWord(c)
		switch reason {
		case "":
			use := d.use(c.token, c.evidence.Interval)
			d.draft(events.CallerProofShown{
				User: d.user.Name, Use: use, Digest: d.command.Word, Expires: d.now.Add(d.state.Policy.CallerFor),
			})
			return d.done(), nil
		case events.ReasonTokencodeReused, events.ReasonTokenLost: // not a guess
			return d.quietly(reason), nil
		}
		if c.evidence.Found || len(candidates) == 1 {
			refusal.Serial, refusal.Kind, refusal.Reason = c.token.Serial, c.token.Kind, reason
		}
	}
	d.draft(refusal)
	return d.done(), nil
}

// whyNoWord returns why a token does not prove its user to the help desk, or an
// empty reason.
func (d *decider) whyNoWord(c candidate) events.Reason {
	t, e := c.token, c.evidence
	switch {
	case !e.Found:
		return events.ReasonBadTokencode
	case !e.PIN:
		return events.ReasonBadPIN
	case t.Lost != nil:
		return events.ReasonTokenLost
	}
	switch t.tier(&d.state.Policy, e.Interval, d.now) {
	case small:
		if !t.timed() || abs(e.Interval-t.expected(d.now)) <= callerReach {
			return ""
		}
	case reused, spent:
		return events.ReasonTokencodeReused
	case medium, large, beyond:
	}
	return events.ReasonOutsideWindow
}

func (c CheckCaller) decide(s *State, now events.Time) ([]events.Event, error) {
	u, err := s.mustUser(c.User)
	if err != nil {
		return nil, err
	}
	e := events.CallerChecked{User: u.Name}
	if p := u.Proof; p != nil && now < p.Until && subtle.ConstantTimeCompare([]byte(p.Digest), []byte(c.Digest)) == 1 {
		e.Until = now.Add(s.Policy.CallerHelp)
	}
	return one(e)
}

// checked records the check of a caller's word. A word is used up by the first
// right check, and void after three wrong ones. A wrong one also ends the help
// that an earlier check allowed: somebody else may be on the telephone.
func (u *User) checked(by string, e events.CallerChecked) {
	u.Caller = nil
	if !e.Until.IsZero() {
		u.Proof, u.Caller = nil, &Caller{By: by, Until: e.Until}
		return
	}
	if u.Proof == nil {
		return
	}
	p := *u.Proof
	if p.Wrong++; p.Wrong >= maxWrongWords {
		u.Proof = nil
		return
	}
	u.Proof = &p
}

// CallerChecked reports whether an administrator has checked a user on the
// telephone and may still help them.
func (s *State) CallerChecked(user, by string, now events.Time) bool {
	u := s.User(user)
	return u != nil && u.Caller != nil && by != "" && u.Caller.By == by && now < u.Caller.Until
}

// GroupCaller is the group of approvals of what the help desk does for a user
// whom it has not checked. It is required by caller.required.
const GroupCaller = "caller"

const roleHelpdesk = "helpdesk"

// unchecked reports whether the help desk gives something to a user whom it has
// not checked on the telephone, although the policy requires that.
func (s *State) unchecked(o events.Origin, facts []events.Event, now events.Time) bool {
	if !s.Policy.CallerRequired || s.RoleOf(o.Actor) != roleHelpdesk {
		return false
	}
	for _, e := range facts {
		if user := events.Describe(e).User; user != "" && !onlyTakesAway(e) && !s.CallerChecked(user, o.Actor, now) {
			return true
		}
	}
	return false
}

// onlyTakesAway reports whether an event gives nobody anything to log in with.
func onlyTakesAway(e events.Event) bool {
	switch e := e.(type) {
	case events.TokenLost:
		return len(e.Sealed) == 0
	case events.CallerChecked, events.UserDisabled, events.TokenDisabled, events.SessionOpened, events.SessionEnded,
		events.NextTokencodeRequired:
		return true
	default:
		return false
	}
}

// recent returns the times within the last hour.
func recent(times []events.Time, now events.Time) []events.Time {
	var kept []events.Time
	for _, t := range times {
		if now.Sub(t) < hour {
			kept = append(kept, t)
		}
	}
	return kept
}

func callerSettings() []Setting {
	return []Setting{
		span("caller.for", time.Minute, time.Hour, "how long the word is valid that a user reads out to the help desk",
			func(p *Policy) *time.Duration { return &p.CallerFor }),
		span("caller.help_for", time.Minute, time.Hour, "how long the help desk may help a caller whose word was right",
			func(p *Policy) *time.Duration { return &p.CallerHelp }),
		whole("caller.tries", "attempts", 1, 20, "refused attempts of a user to get a word, in an hour, after which the page shows none",
			func(p *Policy) *int { return &p.CallerTries }),
		yesNo("caller.required", "whether the role helpdesk may use remedies only for a caller whose word was right",
			func(p *Policy) *bool { return &p.CallerRequired }),
	}
}
