// Package engine is the rules of keyfob: what a typed passcode means, when a
// token needs its owner, who is let in.
//
// A login is decided in two halves. Check runs on the node that was asked: it
// unseals the seed, computes the tokencodes of the windows, verifies the PIN,
// and leaves evidence, which holds no secret. Decide runs on the leader, one
// command after the other: it looks at the evidence and at the state and
// answers an outcome and the events that say what happened. Apply folds events
// into the state. The state is the fold of the events and nothing else.
//
// All three are functions of their arguments. The package has no clock, no
// randomness, no network, no files: time, random bytes and the node's keys
// are handed in. The same rules hold for every door; a door only words them.
package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"keyfob/events"
)

// Attempt is what somebody typed at a door.
type Attempt struct {
	Origin       events.Origin // Request must be set; it is the same for each retry
	User         string        // as typed; Canonical decides which user that is
	Typed        Secret        // a passcode, a tokencode or a PIN: what the step asks for
	Again        Secret        // the new PIN once more, where a door asks for both at once
	Choice       Choice        // where the step asks for one
	Purpose      Purpose       // to log in, unless it says otherwise
	Session      string        // tells a repeated login from somebody else's (Acct-Session-Id); empty when nothing does
	Conversation string        // the sealed text of the outcome before; empty begins anew
	Holder       string        // who alone may go on with a conversation, where the client's name is no proof
	NoChallenge  bool          // the client cannot ask anything back
	Arrived      time.Time     // when the door read it

	// Who answers for failures, before it is known whose they are. Origin is for
	// the record, and may hold what somebody claims.
	Source netip.Addr // of the user, where the door knows it; not that of a gateway, behind which are many
	Client string     // that has proved by a secret who it is; at the page there is none
}

// Purpose is what an attempt is for.
type Purpose string

// The purposes.
const (
	ToLogIn         Purpose = ""
	ToResynchronize Purpose = "resynchronize" // Typed is the passcode, Again the next tokencode
	ToExtend        Purpose = "extend"        // nothing is typed: the open step gets more time
)

// Choice is how a user wants to come by a new PIN.
type Choice string

// The choices.
const (
	ChoiceNone      Choice = ""
	ChoiceOwn       Choice = "own"
	ChoiceGenerated Choice = "generated"
)

// Verdict is what an attempt comes to. The zero value refuses.
type Verdict uint8

// The verdicts.
const (
	Reject Verdict = iota
	Accept
	Challenge
	// Resynchronized lets nobody in: two tokencodes in a row have put the
	// token right.
	Resynchronized
)

func (v Verdict) String() string {
	switch v {
	case Accept:
		return "accept"
	case Challenge:
		return "challenge"
	case Resynchronized:
		return "resynchronized"
	default:
		return "reject"
	}
}

// Outcome is the answer to an attempt. The zero value refuses.
type Outcome struct {
	Verdict   Verdict
	Reason    events.Reason // never shown to the user before the first step succeeded
	Reference string        // shown to the user, looked up by the help desk
	User      string        // the user's canonical name, when known
	// Prompt is what is asked for next, after a challenge, or after a refusal
	// that leaves the conversation open (Prompt.Step is not StepNone then). After
	// one that ends it over a new PIN it says which rule that broke. After an
	// accept it says how the passcode of the token that was used is put together.
	Prompt Prompt
	// Conversation is the sealed text to bring back with the answer.
	Conversation string
	// Wait, where it is set, is how long until it is worth another try: too many
	// attempts of the source or the client have failed, and this one was not
	// looked at, whoever it was for. A conversation that it was to answer is
	// where it was.
	Wait time.Duration
}

// Prompt is one step of a conversation, for a door to put into words.
type Prompt struct {
	Step      events.Step
	User      string
	Problem   Problem       // what was wrong with the answer before
	PIN       Secret        // a generated PIN, to be shown to its owner now
	Rules     PINRules      // in force for this token
	Sent      bool          // the tokencode was sent to the user
	Event     bool          // the token shows a code when pressed, not by time
	NoPIN     bool          // the tokencode alone is the passcode
	Emergency bool          // an emergency tokencode was used
	Period    time.Duration // of the token's display; 0 for event tokens
	// Next is when the token will show the next code, by its own clock as far
	// as it is known; zero for event tokens.
	Next    time.Time
	Within  int64     // at StepNextTokencode: how many tokencodes after the first are accepted
	Expires time.Time // when the step ends
	// Extendable says that an attempt ToExtend gives the step more time.
	Extendable bool
}

// Problem is what was wrong with an answer within a conversation. It may be
// shown: its reader has proved the first step.
type Problem string

// The problems.
const (
	ProblemNone        Problem = ""
	ProblemDifferent   Problem = "pins_differ"
	ProblemLength      Problem = "pin_length"
	ProblemCharacters  Problem = "pin_characters"
	ProblemTrivial     Problem = "pin_trivial"  // a repeat or a run
	ProblemCommon      Problem = "pin_common"   // on the list of those that many people take
	ProblemPersonal    Problem = "pin_personal" // part of the serial or of the user's name
	ProblemSameAsOld   Problem = "pin_used_before"
	ProblemLeadingZero Problem = "pin_leading_zero"
	ProblemReused      Problem = "tokencode_reused" // wait for the code to change
	ProblemWrong       Problem = "wrong"            // passcode or tokencode not right
	ProblemChoice      Problem = "choice"           // neither yes nor no
)

// PINRules are the rules for a new PIN, to be told to the user.
type PINRules struct {
	Min, Max     int
	Alphanumeric bool // letters too
	History      int  // it is none of the last so many
	// PINpad says that the PIN is added to the tokencode: it does not begin
	// with 0 and is no longer than the tokencode, which Max knows already.
	PINpad bool
	Source PINSource
}

// PINSource is who makes a new PIN.
type PINSource string

// The sources.
const (
	PINByUser   PINSource = "own"
	PINBySystem PINSource = "generated"
	PINByEither PINSource = "either"
)

// Keys is what Check and the administrator's commands need of the node's keys
// and of chance. Cluster implements it.
type Keys interface {
	// OpenSeed unseals a token's seed.
	OpenSeed(serial string, sealed []byte) (Secret, error)
	// PINMatches verifies a PIN against a sealed tag. It may take long, and
	// stops with ctx.
	PINMatches(ctx context.Context, serial string, revision uint64, sealed []byte, pin Secret) (bool, error)
	// SealPIN makes the tag of a new PIN.
	SealPIN(ctx context.Context, serial string, revision uint64, pin Secret) ([]byte, error)
	// SealPINpad and OpenPINpad keep a PIN that is mixed into the tokencode.
	// Each interval of a window would ask for another slow hash of another
	// PIN, so it has to be read back: it is sealed, not hashed (as RSA does).
	SealPINpad(serial string, revision uint64, pin Secret) ([]byte, error)
	OpenPINpad(serial string, revision uint64, sealed []byte) (Secret, error)
	// Random fills b with unpredictable bytes.
	Random(b []byte) error
	// ChanceOf is bytes that depend on a text and the cluster's keys alone, and
	// that nobody without the keys foretells: a node that is asked again what
	// another has decided draws the same.
	ChanceOf(text string) func(b []byte) error
	// Pseudonym is a keyed digest of a text that must not be written down.
	Pseudonym(text string) string
}

// What Decide may answer instead of an outcome.
var (
	// ErrStale says that the evidence was made of secrets that have changed:
	// check again on a state that has caught up.
	ErrStale = errors.New("evidence is older than the token's secrets")
	// ErrUntimed says that this can only be decided with the time, and that no
	// clock is trusted. It is an ErrUndecided: another node may know the time.
	ErrUntimed = fmt.Errorf("it cannot be decided without the time, and no clock is trusted: %w", ErrUndecided)
)

// Refusal is an administrator's command that cannot be carried out. Its text
// is for people.
type Refusal struct {
	Code string // machine-readable: not_found, exists, invalid, conflict, risky
	Text string // what is wrong
	Help Help
}

// Help is the operation that helps against a refusal. Front ends word it, the
// command line as a command.
type Help string

// The operations that help.
const (
	HelpListUsers       Help = "list_users"
	HelpListTokens      Help = "list_tokens"
	HelpListClients     Help = "list_clients"
	HelpListNodes       Help = "list_nodes"
	HelpShowPolicy      Help = "show_policy"
	HelpSetTemporaryPIN Help = "set_temporary_pin"
	HelpSetClient       Help = "set_client"
	HelpInvite          Help = "invite_node"
	HelpBackUp          Help = "back_up" // as root on a node: it makes the recovery key
)

func (r *Refusal) Error() string { return r.Text }

// ErrUndecided says that the cluster could not decide: no leader, a commit
// whose fate is unknown, a clock that is not to be trusted. A door denies or
// stays silent, so that another node is asked; it never accepts.
var ErrUndecided = errors.New("undecided")

// ErrBusy says that this node has more to do than it may queue. It wraps
// ErrUndecided's meaning: nothing was decided, nothing was spent.
var ErrBusy = errors.New("busy")

// ErrConversation says that a sealed conversation is none of ours, is over,
// or has expired.
var ErrConversation = errors.New("conversation is over")
