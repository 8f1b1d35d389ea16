package engine

import (
	"slices"
	"time"

	"keyfob/events"
)

// Bounds of a conversation. The policy bounds its duration.
const (
	maxTurns     = 24          // answers within one conversation
	maxPINRounds = 10          // each takes two turns
	answerFor    = time.Minute // the longest time that an answer is kept for retries
	maxAnswers   = 4           // per user
	hour         = time.Hour
	day          = 24 * time.Hour
	// The first quietBurst refusals of a user that change nothing are recorded,
	// then one every quietFor.
	quietBurst = 5
	quietFor   = 10 * time.Second
)

// Authenticate asks for a decision on an attempt, given its evidence.
type Authenticate struct {
	User        string   `cbor:"1,keyasint"` // canonical
	Evidence    Evidence `cbor:"2,keyasint"`
	Choice      Choice   `cbor:"3,keyasint,omitempty"`
	NoChallenge bool     `cbor:"4,keyasint,omitempty"`
	// The turn of a conversation that this answers. A zero ID starts a new one.
	Conversation events.Request `cbor:"5,keyasint,omitzero"`
	Turn         uint8          `cbor:"6,keyasint,omitempty"`
	Purpose      Purpose        `cbor:"7,keyasint,omitempty"`
	Untimed      bool           `cbor:"9,keyasint,omitempty"` // no clock is trusted, on this node or on the leader
	// Keys is the version of the root key that this was made with, 0 if unknown. Also
	// are the IDs that a login which may be repeated has under the other versions.
	Keys uint8            `cbor:"20,keyasint,omitempty"`
	Also []events.Request `cbor:"21,keyasint,omitempty"`
	// Word is the keyed digest of the word that the user gets to prove themselves
	// to the help desk.
	Word string `cbor:"14,keyasint,omitempty"`
}

// DecideLogin decides an attempt to log in or to resynchronize a token. It
// returns the answer and the events that record it, and changes nothing. The
// error is ErrStale or ErrUntimed.
func DecideLogin(s *State, o events.Origin, a Authenticate, now events.Time) (Decision, error) {
	d := decider{state: s, origin: o, now: now, command: a}
	return d.authenticate()
}

// decider is one attempt being decided.
type decider struct {
	state   *State
	origin  events.Origin
	now     events.Time
	command Authenticate

	user         *User
	budget       FailureBudget        // that a failure uses up
	conversation *events.Conversation // the one answered; nil at the first step
	unfit        bool                 // the PIN is right but breaks a current rule
	drafts       []events.Draft
}

// authenticate decides an attempt: rules.md, "A login".
func (d *decider) authenticate() (Decision, error) {
	d.user = d.state.User(d.command.User)
	if d.command.Untimed && d.state.NeedsTime(d.user, d.now) {
		return Decision{}, ErrUntimed
	}
	if d.user == nil {
		return d.refused(events.ReasonUserUnknown), nil
	}
	if a, ok := d.user.answered(d.origin.Request, d.now, d.state.Policy.RetryRequestFor); ok {
		return Decision{User: d.user.Name, Answer: a}, nil
	}
	if a, ok := d.repeatable(); ok {
		d.draft(events.AnswerRepeated{User: d.user.Name, First: a.Request, Reference: a.Reference})
		return Decision{User: d.user.Name, Answer: a, Drafts: d.drafts}, nil
	}
	if d.otherKeys() {
		return Decision{}, ErrStale
	}
	if d.command.Purpose == ToProveCaller {
		return d.proveCaller()
	}
	if !d.command.Conversation.IsZero() {
		d.conversation = d.user.Conversation
		if !d.mayGoOn() {
			return d.quietly(events.ReasonConversationExpired), nil
		}
	}
	// Locks are checked at every step, not only at the first (Keycloak
	// CVE-2026-16103).
	d.budget = d.state.budgetOf(d.origin)
	if reason := d.user.barred(d.budget, d.now); reason != "" {
		return d.quietly(reason), nil
	}
	if d.command.Purpose == ToExtend {
		return d.extend(), nil
	}
	if d.now < d.user.lock(d.budget).Wait {
		return d.fail(nil, events.ReasonThrottled, nil, ProblemWrong), nil
	}
	if d.command.Purpose == ToResynchronize {
		return d.resynchronize()
	}
	if d.conversation == nil || d.conversation.Step == events.StepLogin {
		return d.login()
	}
	t := d.state.Token(d.conversation.Serial)
	if t == nil || t.User != d.user.Name {
		return d.quietly(events.ReasonNoToken), nil
	}
	if reason := t.unusable(d.now); reason != "" {
		return d.quietly(reason), nil
	}
	if len(d.command.Evidence.Tokens) != 1 || !d.command.Evidence.Tokens[0].speaksOf(t) {
		return Decision{}, ErrStale
	}
	switch d.conversation.Step {
	case events.StepNextTokencode:
		return d.nextTokencode(t, d.command.Evidence.Tokens[0])
	case events.StepChoosePIN, events.StepGeneratePIN, events.StepNewPIN, events.StepConfirmPIN:
		return d.newPIN(t, d.command.Evidence.PIN)
	case events.StepNone, events.StepLogin:
	}
	return d.quietly(events.ReasonConversationExpired), nil
}

// otherKeys reports whether the attempt must be made again because the root key has
// been rotated: it was made with an older version, or is a retry of one that was.
func (d *decider) otherKeys() bool {
	if d.command.Keys != 0 && d.command.Keys < d.state.Cluster.Keys.Primary() {
		return true
	}
	return slices.ContainsFunc(d.command.Also, func(id events.Request) bool {
		return d.user.remembers(id, &d.state.Policy, d.now)
	})
}

// mayGoOn reports whether the attempt answers the open conversation: same turn,
// in time, through the same front end and client.
func (d *decider) mayGoOn() bool {
	c := d.conversation
	return c != nil && c.ID == d.command.Conversation && c.Turn == d.command.Turn &&
		d.now < c.Expires && c.Door == d.origin.Door && c.Client == d.origin.Client
}

// speaksOf reports whether evidence is based on the token's present secrets.
func (e TokenEvidence) speaksOf(t *Token) bool {
	return e.Serial == t.Serial && e.Revision == t.Revision && (e.Imported.IsZero() || e.Imported == t.Imported)
}

// barred returns why a user is refused regardless of the input, or an empty reason.
func (u *User) barred(b FailureBudget, now events.Time) events.Reason {
	switch {
	case u.Disabled:
		return events.ReasonUserDisabled
	case u.lock(b).Locked(now):
		return events.ReasonUserLocked
	}
	return ""
}

// Answered reports whether a user's login of that ID, or one of the same content,
// has been answered, so that a retry gets the same answer.
func (s *State) Answered(user string, id events.Request, now events.Time) bool {
	u := s.User(user)
	return u != nil && u.remembers(id, &s.Policy, now)
}

// draft adds an event to the decision.
func (d *decider) draft(e events.Event) {
	d.drafts = append(d.drafts, events.Draft{Origin: d.origin, Event: e})
}

// done returns the decision. The answer is derived from the same event by which
// a retry finds it.
func (d *decider) done() Decision {
	out := Decision{User: d.user.Name, Drafts: d.drafts}
	for _, draft := range d.drafts {
		if a, ok := answerOf(d.now, draft); ok {
			out.Answer = a
			break
		}
	}
	return out
}

// refused returns a refusal that is not recorded.
func (d *decider) refused(reason events.Reason) Decision {
	out := Decision{Answer: Answer{Request: d.origin.Request, At: d.now, Reason: reason, Reference: d.origin.Reference}}
	if d.user != nil {
		out.User = d.user.Name
	}
	return out
}

// quietly refuses an attempt that changes nothing, regardless of the input. The first
// few are recorded and then one from time to time, so that an attacker cannot
// fill the log.
func (d *decider) quietly(reason events.Reason) Decision {
	if d.user.QuietUntil.Sub(d.now) > (quietBurst-1)*quietFor {
		return d.refused(reason)
	}
	d.draft(events.PasscodeRejected{User: d.user.Name, Reason: reason, Quiet: true})
	return d.done()
}

// reject refuses without counting a failure. If problem is set, the
// conversation stays open for another attempt.
func (d *decider) reject(t *Token, reason events.Reason, offset *int64, problem Problem) Decision {
	e := events.PasscodeRejected{User: d.user.Name, Serial: t.Serial, Kind: t.Kind, Reason: reason, Offset: offset}
	d.keepOrEnd(&e, problem)
	d.draft(e)
	return d.done()
}

// keepOrEnd records in a refusal whether the conversation stays open.
func (d *decider) keepOrEnd(e *events.PasscodeRejected, problem Problem) {
	if d.conversation == nil {
		return
	}
	if problem == ProblemNone || answersIn(d.conversation) >= maxTurns {
		e.Ended = true
		return
	}
	next := *d.conversation
	next.Turn++
	next.Problem = string(problem)
	e.Conversation = &next
}

// fail refuses and counts a failure: rules.md, "Failures and locks". tried is
// the token that was tried, or nil if that cannot be told.
func (d *decider) fail(tried *Token, reason events.Reason, offset *int64, problem Problem) Decision {
	p, failures, lock := &d.state.Policy, d.user.Failures+1, d.user.lock(d.budget)
	ofBudget := int(lock.Failures) + 1
	stop := ofBudget >= p.StopAfter
	locks := stop || lock.counting(p, d.now)+1 >= p.LockAfter
	if locks {
		problem = ProblemNone
	}

	e := events.PasscodeRejected{User: d.user.Name, Reason: reason, Offset: offset}
	if tried != nil {
		e.Serial, e.Kind = tried.Serial, tried.Kind
	}
	d.keepOrEnd(&e, problem)
	d.draft(e)
	trusted, unsigned := d.budget != OfStrangers, d.budget == OfUnsigned
	counted := events.FailureCounted{User: d.user.Name, Failures: failures, Trusted: trusted, Unsigned: unsigned}
	if wait := p.wait(ofBudget); wait > 0 {
		counted.Wait = d.now.Add(wait)
	}
	d.draft(counted)

	if int(failures) >= p.NextTokencodeAfter {
		for _, serial := range d.user.Tokens {
			t := d.state.Token(serial)
			if t != nil && !t.NextTokencode && (tried == nil || tried == t) {
				d.draft(events.NextTokencodeRequired{Serial: serial, User: d.user.Name, Reason: events.ReasonTooManyFailures})
			}
		}
	}
	if locks {
		locked := events.UserLockedOut{User: d.user.Name, Failures: failures, Trusted: trusted, Unsigned: unsigned}
		if lasts := p.lockLasts(lock.Count); !stop && lasts > 0 {
			locked.Until = d.now.Add(lasts)
		}
		d.draft(locked)
	}
	return d.done()
}

// ask continues the conversation at a step, or starts one. use is the tokencode
// that was used to get here.
func (d *decider) ask(t *Token, step events.Step, reason events.Reason, use *events.Use, problem Problem) Decision {
	next := events.Conversation{ID: d.origin.Request, Client: d.origin.Client, Door: d.origin.Door, Unsigned: d.origin.Unsigned}
	if d.conversation != nil {
		if answersIn(d.conversation) >= maxTurns {
			return d.reject(t, events.ReasonConversationExpired, nil, ProblemNone)
		}
		next = *d.conversation
	}
	next.Turn++
	next.Serial, next.Step, next.Problem = t.Serial, step, string(problem)
	next.Expires = d.now.Add(d.state.Policy.ConversationFor)
	if step == events.StepNextTokencode && t.onDemand() {
		next.Expires = d.now.Add(d.state.Policy.OnDemandFor)
	}
	next.First, next.Drift, next.Unfit = 0, 0, step == events.StepNextTokencode && d.unfit
	if step == events.StepNextTokencode && use != nil {
		next.First, next.Drift = use.Interval, use.Drift
	}
	if problem != ProblemNone {
		next.Rounds++
	}
	d.draft(events.PasscodeChallenged{User: d.user.Name, Reason: reason, Conversation: next, Use: use})
	return d.done()
}
