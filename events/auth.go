package events

// Use is the use of a tokencode: Interval becomes the last used interval of the
// token, and neither it nor any before it is accepted again.
type Use struct {
	Serial   string `cbor:"1,keyasint"`
	Kind     string `cbor:"2,keyasint"`
	Interval int64  `cbor:"3,keyasint"`           // for event tokens the counter
	Drift    int64  `cbor:"4,keyasint,omitempty"` // offset of the token's clock, in intervals
	// Emergency is the number, from 1, of the emergency tokencode that was used
	// instead of the token. The last used interval does not change then.
	Emergency uint8 `cbor:"5,keyasint,omitempty"`
}

// PasscodeAccepted is recorded when a user is accepted. The user's failures are
// reset and the token leaves Next Tokencode mode.
type PasscodeAccepted struct {
	User string `cbor:"1,keyasint"`
	Use  Use    `cbor:"2,keyasint"`
}

// PasscodeRejected is recorded when an attempt is refused. A counted failure
// has its own event.
type PasscodeRejected struct {
	User   string `cbor:"1,keyasint,omitempty"` // if known
	Digest string `cbor:"2,keyasint,omitempty"` // keyed digest of an unknown user name
	Serial string `cbor:"3,keyasint,omitempty"` // if it could be told
	Kind   string `cbor:"4,keyasint,omitempty"`
	Reason Reason `cbor:"5,keyasint"`
	Count  uint32 `cbor:"6,keyasint,omitempty"` // refusals that this one stands for, when sampled
	// Offset is how many intervals the tokencode was from the expected one, if it
	// was found at all.
	Offset *int64 `cbor:"7,keyasint,omitempty"`
	// Conversation is set if the conversation stays open for another answer.
	Conversation *Conversation `cbor:"8,keyasint,omitempty"`
	// Ended is set if the conversation in which this was answered is over.
	Ended bool `cbor:"9,keyasint,omitempty"`
	// Quiet is set if further refusals of this kind are not recorded for a while.
	Quiet bool `cbor:"10,keyasint,omitempty"`
	// Others are the references of other refusals that this one stands for, as
	// many as fit into a line.
	Others []string `cbor:"11,keyasint,omitempty"`
	// Problem is the rule that the last of too many unfit new PINs broke.
	Problem string `cbor:"12,keyasint,omitempty"`
}

// PasscodeChallenged is recorded when an attempt is right so far and the
// conversation asks for Step next. The tokencode is used up.
type PasscodeChallenged struct {
	User         string       `cbor:"1,keyasint"`
	Reason       Reason       `cbor:"2,keyasint,omitempty"`
	Conversation Conversation `cbor:"3,keyasint"`
	Use          *Use         `cbor:"4,keyasint,omitempty"`
}

// Conversation is where a user is in the steps that set a PIN or prove a token.
type Conversation struct {
	ID      Request `cbor:"1,keyasint"`
	Serial  string  `cbor:"2,keyasint"`
	Step    Step    `cbor:"3,keyasint"`
	Turn    uint8   `cbor:"4,keyasint"`           // each answer is valid for one turn
	First   int64   `cbor:"5,keyasint,omitempty"` // Next Tokencode mode: the interval of the first tokencode
	Rounds  uint8   `cbor:"6,keyasint,omitempty"` // unfit or different PINs so far
	Client  string  `cbor:"7,keyasint,omitempty"` // only this client may continue
	Door    Door    `cbor:"8,keyasint"`
	Expires Time    `cbor:"9,keyasint"`
	Problem string  `cbor:"10,keyasint,omitempty"` // what was wrong with the previous answer
	Drift   int64   `cbor:"11,keyasint,omitempty"` // Next Tokencode mode: shown by the first tokencode, in intervals
	Unfit   bool    `cbor:"12,keyasint,omitempty"` // Next Tokencode mode: the PIN was right but breaks a current rule
	// Extensions is how often the user asked for more time.
	Extensions uint8 `cbor:"13,keyasint,omitempty"`
	Unsigned   bool  `cbor:"14,keyasint,omitempty"` // begun in an unsigned RADIUS request
}

// UserLockedOut is recorded when too many failures lock a user.
type UserLockedOut struct {
	User     string `cbor:"1,keyasint"`
	Until    Time   `cbor:"2,keyasint,omitzero"` // zero: until an administrator unlocks
	Failures uint32 `cbor:"3,keyasint"`
	Trusted  bool   `cbor:"4,keyasint,omitempty"` // the lock is for trusted clients; otherwise for all others
	Unsigned bool   `cbor:"5,keyasint,omitempty"` // and for their unsigned requests; otherwise for signed ones
}

// AnswerRepeated is recorded when the answer to a login is given again, because
// its gateway asked another node.
type AnswerRepeated struct {
	User  string  `cbor:"1,keyasint"`
	First Request `cbor:"2,keyasint"` // the request that was decided
	// Reference is that of the decision, which the user sees again.
	Reference string `cbor:"3,keyasint,omitempty"`
}

// FailureCounted is recorded when a failure is added to the count of a user.
type FailureCounted struct {
	User     string `cbor:"1,keyasint"`
	Failures uint32 `cbor:"2,keyasint"`           // since the last success, this one included
	Trusted  bool   `cbor:"3,keyasint,omitempty"` // through a trusted client
	Wait     Time   `cbor:"4,keyasint,omitzero"`  // until then attempts are not checked
	Unsigned bool   `cbor:"5,keyasint,omitempty"` // and in an unsigned request
}

// FailuresReset is recorded when a success resets the count of a user.
type FailuresReset struct {
	User     string `cbor:"1,keyasint"`
	Failures uint32 `cbor:"2,keyasint"` // the count before
}
