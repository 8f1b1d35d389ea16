// Package engine contains the rules of keyfob: what a typed passcode means,
// when a token needs attention from its user, and who is accepted.
// docs/rules.md describes them.
//
// A login is decided in two halves. Check runs on the node that was asked: it
// unseals the seed, computes the tokencodes of the windows, verifies the PIN,
// and produces evidence, which holds no secret. DecideLogin runs on the leader,
// one attempt after the other: from the evidence and the state it derives an
// outcome and the events that record it. Decide does the same for commands.
// Apply folds events into the state. The state is the fold of the events and
// nothing else.
//
// All of these are functions of their arguments. The package has no clock,
// randomness, network or files: time, random bytes and the keys of the node are
// passed in. The same rules apply to every front end; a front end only words
// them.
package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"keyfob/events"
)

// Attempt is what a user typed at a front end.
type Attempt struct {
	Origin       events.Origin // Request must be set and is the same for each retry
	User         string        // as typed
	Typed        Secret        // a passcode, tokencode or PIN, depending on the step
	Again        Secret        // the new PIN again, if the front end asks for both at once
	Choice       Choice        // if the step offers one
	Purpose      Purpose       // by default to log in
	Session      string        // what a gateway sends again when it asks another node about the same login; empty: it must not
	Key          string        // the same for each retry of the request, as its sender says; empty: only Origin.Request tells
	Conversation string        // the sealed text of the previous outcome; empty starts a new one
	Holder       string        // the only one who may continue the conversation, if the client's name proves nothing
	NoChallenge  bool          // the client cannot show a challenge
	Arrived      time.Time     // when the front end received it

	// Who is charged for failures before the user is known. Origin is for the
	// record and may contain unproved claims.
	Source netip.Addr // of the user, if known; never that of a gateway, which serves many users
	Client string     // that is authenticated by a secret; empty at the page
}

// Purpose is what an attempt is for.
type Purpose string

// The purposes.
const (
	ToLogIn         Purpose = ""
	ToResynchronize Purpose = "resynchronize" // Typed is the passcode, Again the next tokencode
	ToExtend        Purpose = "extend"        // to get more time for the open step; nothing is typed
	ToProveCaller   Purpose = "prove_caller"  // to get a word for the help desk; Typed is the tokencode, with or without the PIN
)

// Choice is how a user wants to get a new PIN.
type Choice string

// The choices.
const (
	ChoiceNone      Choice = ""
	ChoiceOwn       Choice = "own"
	ChoiceGenerated Choice = "generated"
)

// Verdict is the result of an attempt. The zero value refuses.
type Verdict uint8

// The verdicts.
const (
	Reject Verdict = iota
	Accept
	Challenge
	// Resynchronized accepts nobody: two consecutive tokencodes have
	// resynchronized the token.
	Resynchronized
	// Proved accepts nobody: the user gets a word to read out to the help desk.
	Proved
)

func (v Verdict) String() string {
	switch v {
	case Accept:
		return "accept"
	case Challenge:
		return "challenge"
	case Resynchronized:
		return "resynchronized"
	case Proved:
		return "proved"
	default:
		return "reject"
	}
}

// Outcome is the answer to an attempt. The zero value refuses.
type Outcome struct {
	Verdict   Verdict
	Reason    events.Reason // not shown to the user before the first step has succeeded
	Reference string        // shown to the user, for the help desk to look up
	User      string        // the canonical name, if known
	// Prompt is the next question, after a challenge or after a refusal that
	// leaves the conversation open (Prompt.Step is then not StepNone). After a
	// refusal that ends the conversation because of a new PIN, it states the rule
	// that the PIN broke. After an accept, it describes how the passcode of the
	// token is composed.
	Prompt Prompt
	// Word, after Proved, is what the user reads out to the help desk until Expires.
	Word    Secret
	Expires time.Time
	// Conversation is the sealed text to return with the answer.
	Conversation string
	// Wait, if set, is the time until another attempt is checked: the source or
	// the client has too many failures, and this attempt was not checked. A
	// conversation that it was to answer has not changed.
	Wait time.Duration
}

// Prompt is one step of a conversation, for a front end to word.
type Prompt struct {
	Step      events.Step
	User      string
	Problem   Problem       // what was wrong with the previous answer
	PIN       Secret        // a generated PIN, to be shown to the user now
	Rules     PINRules      // for this token
	Sent      bool          // the tokencode was sent to the user
	Event     bool          // the token shows a tokencode when pressed
	NoPIN     bool          // the tokencode alone is the passcode
	Emergency bool          // an emergency tokencode was used
	Period    time.Duration // of a tokencode; 0 for event tokens
	// Next is when the token shows the next tokencode, by its own clock as far as
	// it is known. Zero for event tokens.
	Next    time.Time
	Within  int64     // at StepNextTokencode: how many tokencodes after the first are accepted
	Expires time.Time // when the step ends
	// Extendable is set if an attempt with ToExtend gives the step more time.
	Extendable bool
}

// Problem is what was wrong with an answer within a conversation. It may be
// shown, because the user has proved the first step.
type Problem string

// The problems.
const (
	ProblemNone        Problem = ""
	ProblemDifferent   Problem = "pins_differ"
	ProblemLength      Problem = "pin_length"
	ProblemCharacters  Problem = "pin_characters"
	ProblemTrivial     Problem = "pin_trivial"  // it repeats itself or is a run
	ProblemCommon      Problem = "pin_common"   // on the list of common PINs
	ProblemPersonal    Problem = "pin_personal" // part of the serial or the user name
	ProblemSameAsOld   Problem = "pin_used_before"
	ProblemLeadingZero Problem = "pin_leading_zero"
	ProblemReused      Problem = "tokencode_reused" // wait for the tokencode to change
	ProblemWrong       Problem = "wrong"            // the passcode or tokencode is wrong
	ProblemChoice      Problem = "choice"           // the answer is neither yes nor no
)

// PINRules are the rules for a new PIN, to be shown to the user.
type PINRules struct {
	Min, Max     int
	Alphanumeric bool // letters are allowed
	History      int  // the number of previous PINs that are not allowed
	// PINpad is set if the PIN is added to the tokencode. It must not begin with 0
	// or be longer than the tokencode; Max takes that into account.
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

// Keys is what Check needs of the keys of the node and of randomness. Package
// cluster implements it.
type Keys interface {
	// OpenSeed unseals a token's seed.
	OpenSeed(serial string, sealed []byte) (Secret, error)
	// PINMatches verifies a PIN against a sealed tag. It may take long, and stops
	// with ctx.
	PINMatches(ctx context.Context, serial string, revision uint64, sealed []byte, pin Secret) (bool, error)
	// SealPIN returns the tag of a new PIN.
	SealPIN(ctx context.Context, serial string, revision uint64, pin Secret) ([]byte, error)
	// SealPINpad and OpenPINpad store a PIN that is mixed into the tokencode.
	// Verifying it by a slow hash would need one for each interval of a window.
	// The PIN is therefore sealed and not hashed, as RSA does.
	SealPINpad(serial string, revision uint64, pin Secret) ([]byte, error)
	OpenPINpad(serial string, revision uint64, sealed []byte) (Secret, error)
	// Random fills b with unpredictable bytes.
	Random(b []byte) error
	// ChanceOf returns bytes that depend on a text and the keys of the cluster
	// only, and cannot be predicted without the keys. A node that is asked again
	// about a decision made elsewhere gets the same bytes.
	ChanceOf(text string) func(b []byte) error
	// Pseudonym returns a keyed digest of a text that must not be stored.
	Pseudonym(text string) string
}

// Errors of decisions.
var (
	// ErrStale is returned if the evidence is based on secrets that have changed.
	// Check again on a newer state.
	ErrStale = errors.New("the evidence is older than the secrets of the token")
	// ErrUntimed is returned if a decision needs the time and no clock is trusted.
	// It is an ErrUndecided: another node may know the time.
	ErrUntimed = fmt.Errorf("no clock is trusted, and the decision depends on the time: %w", ErrUndecided)
)

// Refusal is returned for a command that cannot be carried out. Its text is for
// people.
type Refusal struct {
	Code string // machine-readable: not_found, exists, invalid, conflict, risky, forbidden
	Text string // what is wrong
	Help Help
}

// Help is the operation that helps after a refusal. Front ends word it; the
// command line names the command.
type Help string

// The operations that help.
const (
	HelpListUsers       Help = "list_users"
	HelpListTokens      Help = "list_tokens"
	HelpListClients     Help = "list_clients"
	HelpListNodes       Help = "list_nodes"
	HelpListApprovals   Help = "list_approvals"
	HelpGrantRole       Help = "grant_role"
	HelpShowPolicy      Help = "show_policy"
	HelpSetTemporaryPIN Help = "set_temporary_pin"
	HelpSetClient       Help = "set_client"
	HelpInvite          Help = "invite_node"
	// HelpListAdministrators and the following ones are about administrators.
	HelpListAdministrators  Help = "list_administrators"
	HelpRemoveAdministrator Help = "remove_administrator"
	HelpListSessions        Help = "list_sessions"
	HelpBackUp              Help = "back_up" // as root on a node; this creates the recovery key
)

func (r *Refusal) Error() string { return r.Text }

// ErrUndecided is returned if the cluster could not decide: there is no leader,
// the outcome of a commit is unknown, or a clock is not trusted. A front end
// then denies or stays silent, so that another node is asked. It never accepts.
var ErrUndecided = errors.New("undecided")

// ErrBusy is returned if the queue of this node is full. Nothing was decided
// and nothing was used up.
var ErrBusy = errors.New("busy")

// ErrConversation is returned for a sealed conversation that is over, has
// expired, or is not from this cluster.
var ErrConversation = errors.New("conversation is over")
