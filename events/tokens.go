package events

// TokenImported is recorded when a token is added. The seed is sealed to the
// serial and cannot be read without the cluster's keys.
type TokenImported struct {
	Serial    string `cbor:"1,keyasint"`
	Kind      string `cbor:"2,keyasint"` // totp, hotp, securid
	Algorithm string `cbor:"3,keyasint,omitempty"`
	Digits    uint8  `cbor:"4,keyasint"`
	Period    uint16 `cbor:"5,keyasint,omitempty"` // seconds; 0 for event tokens
	PINStyle  string `cbor:"6,keyasint,omitempty"` // fob, pinpad, none
	Form      string `cbor:"7,keyasint,omitempty"` // fob, pinpad, app: which windows apply
	Sealed    []byte `cbor:"8,keyasint"`
	Born      Time   `cbor:"9,keyasint,omitzero"`
	Expires   Time   `cbor:"10,keyasint,omitzero"`
	Counter   int64  `cbor:"11,keyasint,omitempty"` // event tokens: the next expected counter
	Flags     uint32 `cbor:"12,keyasint,omitempty"` // of the kind
	PINSource string `cbor:"13,keyasint,omitempty"` // own, generated, either; empty: as the policy says
	// Windows from the record of the token, in intervals. Zero: as the policy says
	// for its form.
	Small  int64 `cbor:"14,keyasint,omitempty"`
	Medium int64 `cbor:"15,keyasint,omitempty"`
	Large  int64 `cbor:"16,keyasint,omitempty"`
}

// TokenAssigned is recorded when a token is given to a user. Without a PIN it
// is in New PIN mode.
type TokenAssigned struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint"`
}

// TokenUnassigned is recorded when a token is taken from its user. Its PIN is
// removed.
type TokenUnassigned struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint"`
}

// TokenEnabled is recorded when a token may be used again.
type TokenEnabled struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint,omitempty"`
}

// TokenDisabled is recorded when a token is disabled until it is enabled again.
type TokenDisabled struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint,omitempty"`
}

// TokenDeleted is recorded when a token and its seed are deleted.
type TokenDeleted struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint,omitempty"`
}

// PINSet is recorded when a token gets a new PIN. The tag is sealed to the
// serial and the revision.
type PINSet struct {
	Serial    string `cbor:"1,keyasint"`
	User      string `cbor:"2,keyasint,omitempty"`
	Revision  uint64 `cbor:"3,keyasint"`
	Sealed    []byte `cbor:"4,keyasint"`
	Generated bool   `cbor:"5,keyasint,omitempty"`
	Temporary bool   `cbor:"6,keyasint,omitempty"` // to be changed at first use
}

// PINCleared is recorded when a PIN is removed. The token is then in New PIN
// mode.
type PINCleared struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint,omitempty"`
}

// NewPINRequired is recorded when a token enters New PIN mode. The old PIN
// still proves its user.
type NewPINRequired struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint,omitempty"`
	Reason Reason `cbor:"3,keyasint,omitempty"`
}

// NextTokencodeRequired is recorded when a token enters Next Tokencode mode.
type NextTokencodeRequired struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint,omitempty"`
	Reason Reason `cbor:"3,keyasint,omitempty"`
}

// TokenResynchronized is recorded when two consecutive tokencodes show where
// the clock or counter of a token is. The user's failures are reset; a lock
// stays.
type TokenResynchronized struct {
	User string `cbor:"1,keyasint,omitempty"`
	Use  Use    `cbor:"2,keyasint"` // the second of the two
}

// TokenLost is recorded when a user does not have a token, with the emergency
// tokencodes that replace it.
type TokenLost struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint,omitempty"`
	Until  Time   `cbor:"3,keyasint"`           // when the emergency tokencodes end
	Sealed []byte `cbor:"4,keyasint,omitempty"` // the emergency tokencodes; empty: none
	Fixed  bool   `cbor:"5,keyasint,omitempty"` // one tokencode that is valid until then; otherwise each is valid once
	Found  string `cbor:"6,keyasint"`           // what its own tokencodes do meanwhile: refuse, allow, after
	Given  uint8  `cbor:"7,keyasint,omitempty"` // number of emergency tokencodes; 0: none, or not known
}

// TokenFound is recorded when the user has the token again. The emergency
// tokencodes end.
type TokenFound struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint,omitempty"`
}

// TokenReplaced is recorded when a token replaces another at its first success.
// The other one is unassigned and disabled.
type TokenReplaced struct {
	Serial string `cbor:"1,keyasint"` // now in use
	Old    string `cbor:"2,keyasint"`
	User   string `cbor:"3,keyasint"`
}

// ReplacementAssigned is recorded when a token is to replace another at its
// first success.
type ReplacementAssigned struct {
	Serial string `cbor:"1,keyasint"`
	Old    string `cbor:"2,keyasint"`
	User   string `cbor:"3,keyasint"`
}

// TokencodeNotSent is recorded when sending a requested tokencode is given up.
type TokencodeNotSent struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint"`
	Way    string `cbor:"3,keyasint,omitempty"` // mail, sms
	Result string `cbor:"4,keyasint"`           // failed, expired, overflow
}

// DriftAdjusted is recorded when the believed offset of a token's clock
// changes.
type DriftAdjusted struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint,omitempty"`
	From   int64  `cbor:"3,keyasint"`
	Drift  int64  `cbor:"4,keyasint"`
	Forgot bool   `cbor:"5,keyasint,omitempty"` // an administrator reset the drift
}
