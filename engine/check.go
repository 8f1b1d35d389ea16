package engine

import (
	"context"

	"keyfob/events"
)

// Ticket is what the sealed text of a conversation holds. It travels with the
// client; the state says whether it is still good.
type Ticket struct {
	ID       events.Request `cbor:"1,keyasint"`
	Turn     uint8          `cbor:"2,keyasint"`
	User     string         `cbor:"3,keyasint"`
	Sequence uint64         `cbor:"4,keyasint"`           // the record that this rests on: a node that has not applied it waits
	PIN      string         `cbor:"5,keyasint,omitempty"` // a PIN typed once, or a generated one to be shown
	Problem  Problem        `cbor:"6,keyasint,omitempty"` // to be shown with the step
}

// Evidence is what a node found out about an attempt with its keys. It holds
// no secret.
type Evidence struct {
	Tokens []TokenEvidence `cbor:"1,keyasint,omitempty"` // one for each token tried
	PIN    *PINEvidence    `cbor:"2,keyasint,omitempty"` // for the steps that set one
}

// TokenEvidence is what was found of one token.
type TokenEvidence struct {
	Serial   string `cbor:"1,keyasint"`
	Revision uint64 `cbor:"2,keyasint"` // of the secrets that were used
	Found    bool   `cbor:"3,keyasint,omitempty"`
	Interval int64  `cbor:"4,keyasint,omitempty"` // where the tokencode was found
	PIN      bool   `cbor:"5,keyasint,omitempty"` // the PIN is right; true when there is none and none was typed
}

// PINEvidence is what was found of a new PIN.
type PINEvidence struct {
	Revision  uint64  `cbor:"1,keyasint"` // that the sealed PIN will have
	Sealed    []byte  `cbor:"2,keyasint,omitempty"`
	Generated bool    `cbor:"3,keyasint,omitempty"`
	Problem   Problem `cbor:"4,keyasint,omitempty"`
	// Typed says that a PIN is fit and still has to be typed once more.
	Typed bool `cbor:"5,keyasint,omitempty"`
}

// Checked is an attempt after Check: the command for the leader, and what
// stays on this node.
type Checked struct {
	Command Authenticate
	PIN     Secret // typed once, or generated: goes into the next ticket
}

// Decision is what Decide came to, for the node that asked. It holds no
// secret and can be sent.
type Decision struct {
	Answer  Answer         `cbor:"1,keyasint"`
	User    string         `cbor:"2,keyasint,omitempty"`
	Problem Problem        `cbor:"3,keyasint,omitempty"`
	Drafts  []events.Draft `cbor:"-"`
}

// CheckInput is what Check works on.
type CheckInput struct {
	State   *State // this node's
	Keys    Keys
	Attempt Attempt
	Ticket  *Ticket     // opened from Attempt.Conversation; nil begins anew
	Now     events.Time // by the cluster's clock as this node knows it
}

// Check looks at an attempt with this node's keys. It decides nothing. An
// error means that nothing could be found out, ErrBusy among them.
func Check(ctx context.Context, in CheckInput) (Checked, error) {
	return Checked{}, nil
}

// Decide is the rules. It answers what a command comes to in a state, and the
// events that say so; it changes nothing. The error is ErrStale or, for an
// administrator's command, a *Refusal.
func Decide(s *State, o events.Origin, c Command, now events.Time) (Decision, error) {
	return Decision{}, nil
}

// Finish turns a decision into the outcome for the door, and into the ticket
// to be sealed for the next step, nil when there is none. sequence is the
// number of the last record that the decision rests on.
func Finish(s *State, c Checked, d Decision, sequence uint64, now events.Time) (Outcome, *Ticket) {
	return Outcome{}, nil
}

// PromptFor is the step that a ticket stands for, for a door that shows it
// again. ErrConversation when it is over.
func PromptFor(s *State, t Ticket, now events.Time) (Prompt, error) {
	return Prompt{}, nil
}

// Apply folds one event into the state.
func (s *State) Apply(at events.Time, d events.Draft) {}
