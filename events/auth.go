package events

// Use says that a tokencode was spent: the token's mark moves to Interval, so
// that this interval and all before it are never accepted again.
type Use struct {
	Serial   string `cbor:"1,keyasint"`
	Kind     string `cbor:"2,keyasint"`
	Interval int64  `cbor:"3,keyasint"`           // of the time, or the counter of an event token
	Drift    int64  `cbor:"4,keyasint,omitempty"` // intervals that the token's clock was off
	// Emergency is the number of the emergency tokencode, from 1, that was used
	// in the token's place; the mark does not move then.
	Emergency uint8 `cbor:"5,keyasint,omitempty"`
}

// PasscodeAccepted says that a user was let in. The user's failures are 0
// again and the token has left Next Tokencode mode.
type PasscodeAccepted struct {
	User string `cbor:"1,keyasint"`
	Use  Use    `cbor:"2,keyasint"`
}

// PasscodeRejected says that an attempt was refused, and why. The count of
// failures has its own event.
type PasscodeRejected struct {
	User   string `cbor:"1,keyasint,omitempty"` // a known user
	Digest string `cbor:"2,keyasint,omitempty"` // of an unknown user name, keyed
	Serial string `cbor:"3,keyasint,omitempty"` // where it could be told
	Kind   string `cbor:"4,keyasint,omitempty"`
	Reason Reason `cbor:"5,keyasint"`
	Count  uint32 `cbor:"6,keyasint,omitempty"` // refusals that this one stands for, when sampled
	// Offset is how many intervals the tokencode lay from where the token's
	// clock was believed to be, when it was found at all.
	Offset *int64 `cbor:"7,keyasint,omitempty"`
	// Conversation, when there is one, goes on: the user may try once more.
	Conversation *Conversation `cbor:"8,keyasint,omitempty"`
	// Ended says that the conversation in which this was answered is over.
	Ended bool `cbor:"9,keyasint,omitempty"`
	// Quiet says that further refusals of the kind go without a record for a
	// while.
	Quiet bool `cbor:"10,keyasint,omitempty"`
	// Others are the references of refusals that this one stands for, besides
	// its own; not more than fit into a line.
	Others []string `cbor:"11,keyasint,omitempty"`
	// Problem is the rule that the last of too many unfit new PINs broke.
	Problem string `cbor:"12,keyasint,omitempty"`
}

// PasscodeChallenged says that the attempt was right so far and that the
// conversation now asks for Step. What was used for it is spent.
type PasscodeChallenged struct {
	User         string       `cbor:"1,keyasint"`
	Reason       Reason       `cbor:"2,keyasint,omitempty"`
	Conversation Conversation `cbor:"3,keyasint"`
	Use          *Use         `cbor:"4,keyasint,omitempty"`
}

// Conversation is where a user stands in the steps that put a token right.
type Conversation struct {
	ID      Request `cbor:"1,keyasint"`
	Serial  string  `cbor:"2,keyasint"`
	Step    Step    `cbor:"3,keyasint"`
	Turn    uint8   `cbor:"4,keyasint"`           // an answer is good for one turn only
	First   int64   `cbor:"5,keyasint,omitempty"` // Next Tokencode mode: the interval of the first code
	Rounds  uint8   `cbor:"6,keyasint,omitempty"` // unfit or different PINs so far
	Client  string  `cbor:"7,keyasint,omitempty"` // only this client may go on
	Door    Door    `cbor:"8,keyasint"`
	Expires Time    `cbor:"9,keyasint"`
	Problem string  `cbor:"10,keyasint,omitempty"` // what was wrong with the answer before
	Drift   int64   `cbor:"11,keyasint,omitempty"` // Next Tokencode mode: that the first code showed, in intervals
	Unfit   bool    `cbor:"12,keyasint,omitempty"` // Next Tokencode mode: the PIN was right and breaks a rule of now
	// Extensions is how often the user asked for more time.
	Extensions uint8 `cbor:"13,keyasint,omitempty"`
}

// UserLockedOut says that too many failures locked the user.
type UserLockedOut struct {
	User     string `cbor:"1,keyasint"`
	Until    Time   `cbor:"2,keyasint,omitzero"` // zero: until an administrator unlocks
	Failures uint32 `cbor:"3,keyasint"`
	Trusted  bool   `cbor:"4,keyasint,omitempty"` // the lock is for trusted clients; otherwise for all others
}

// FailureCounted says that a failure was added to a user's count.
type FailureCounted struct {
	User     string `cbor:"1,keyasint"`
	Failures uint32 `cbor:"2,keyasint"`           // since the last success, this one included
	Trusted  bool   `cbor:"3,keyasint,omitempty"` // through a trusted client
	Wait     Time   `cbor:"4,keyasint,omitzero"`  // until then what is typed is refused unseen
}

// FailuresReset says that a success set a user's count back to 0.
type FailuresReset struct {
	User     string `cbor:"1,keyasint"`
	Failures uint32 `cbor:"2,keyasint"` // what the count had been
}
