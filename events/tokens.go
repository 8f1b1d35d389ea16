package events

// TokenImported says that a token became known. The seed is sealed to the
// serial; nobody without the cluster's keys can read it.
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
	Counter   int64  `cbor:"11,keyasint,omitempty"` // event tokens: the next counter to be expected
	Flags     uint32 `cbor:"12,keyasint,omitempty"` // of the kind
	PINSource string `cbor:"13,keyasint,omitempty"` // own, generated, either; empty: as the policy says
	// The windows that the token's own record asks for, in intervals; zero: as
	// the policy says for its form.
	Small  int64 `cbor:"14,keyasint,omitempty"`
	Medium int64 `cbor:"15,keyasint,omitempty"`
	Large  int64 `cbor:"16,keyasint,omitempty"`
}

// TokenAssigned says that a token now belongs to a user. Without a PIN it is
// in New PIN mode from here on.
type TokenAssigned struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint"`
}

// TokenUnassigned says that a token belongs to nobody any more; its PIN is
// gone with the owner.
type TokenUnassigned struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint"`
}

// TokenEnabled says that a token may be used again.
type TokenEnabled struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint,omitempty"`
}

// TokenDisabled says that a token may not be used until it is enabled.
type TokenDisabled struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint,omitempty"`
}

// TokenDeleted says that a token is forgotten, its seed with it.
type TokenDeleted struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint,omitempty"`
}

// PINSet says that a token has a new PIN. The tag is sealed to the serial and
// the revision.
type PINSet struct {
	Serial    string `cbor:"1,keyasint"`
	User      string `cbor:"2,keyasint,omitempty"`
	Revision  uint64 `cbor:"3,keyasint"`
	Sealed    []byte `cbor:"4,keyasint"`
	Generated bool   `cbor:"5,keyasint,omitempty"`
	Temporary bool   `cbor:"6,keyasint,omitempty"` // to be changed at first use
}

// PINCleared says that a token has no PIN any more and is in New PIN mode.
type PINCleared struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint,omitempty"`
}

// NewPINRequired says that a token entered New PIN mode with its old PIN kept
// as the proof of its owner.
type NewPINRequired struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint,omitempty"`
	Reason Reason `cbor:"3,keyasint,omitempty"`
}

// NextTokencodeRequired says that a token entered Next Tokencode mode.
type NextTokencodeRequired struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint,omitempty"`
	Reason Reason `cbor:"3,keyasint,omitempty"`
}

// TokenResynchronized says that two tokencodes in a row showed where a token's
// clock or counter stands. The user's failures are 0 again; a lock stays.
type TokenResynchronized struct {
	User string `cbor:"1,keyasint,omitempty"`
	Use  Use    `cbor:"2,keyasint"` // the second of the two
}

// TokenLost says that a token is not with its owner, and which emergency
// tokencodes do its service meanwhile.
type TokenLost struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint,omitempty"`
	Until  Time   `cbor:"3,keyasint"`           // when the emergency tokencodes end
	Sealed []byte `cbor:"4,keyasint,omitempty"` // the emergency tokencodes; none: no service
	Fixed  bool   `cbor:"5,keyasint,omitempty"` // one code, good until then; otherwise each is good once
	Found  string `cbor:"6,keyasint"`           // what its own tokencodes do meanwhile: refuse, allow, after
	Given  uint8  `cbor:"7,keyasint,omitempty"` // how many emergency tokencodes; 0: none, or of before this was kept
}

// TokenFound says that a token is with its owner again and that the emergency
// tokencodes are over.
type TokenFound struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint,omitempty"`
}

// TokenReplaced says that a token took the place of another at its first
// success. The other belongs to nobody any more and is disabled.
type TokenReplaced struct {
	Serial string `cbor:"1,keyasint"` // that is in use now
	Old    string `cbor:"2,keyasint"`
	User   string `cbor:"3,keyasint"`
}

// ReplacementAssigned says that a token is to take the place of another at its
// first success.
type ReplacementAssigned struct {
	Serial string `cbor:"1,keyasint"`
	Old    string `cbor:"2,keyasint"`
	User   string `cbor:"3,keyasint"`
}

// TokencodeNotSent says that a tokencode was given up that its user had asked
// for and waits for.
type TokencodeNotSent struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint"`
	Way    string `cbor:"3,keyasint,omitempty"` // mail, sms
	Result string `cbor:"4,keyasint"`           // failed, expired, overflow
}

// DriftAdjusted says that a token's clock is now believed to be off by Drift
// intervals.
type DriftAdjusted struct {
	Serial string `cbor:"1,keyasint"`
	User   string `cbor:"2,keyasint,omitempty"`
	From   int64  `cbor:"3,keyasint"`
	Drift  int64  `cbor:"4,keyasint"`
	Forgot bool   `cbor:"5,keyasint,omitempty"` // nothing was seen: an administrator has what was believed forgotten
}
