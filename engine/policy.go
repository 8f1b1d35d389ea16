package engine

import "time"

// Policy is the numbers of the rules, replicated and changed by an
// administrator within bounds. Settings names each.
type Policy struct {
	Windows map[string]Window `cbor:"1,keyasint"` // by form: fob, pinpad, app, event

	NextTokencodeAfter int           `cbor:"2,keyasint"` // failures
	LockAfter          int           `cbor:"3,keyasint"` // failures
	LockFor            time.Duration `cbor:"4,keyasint"` // doubles with each lock
	StopAfter          int           `cbor:"5,keyasint"` // failures: only an administrator unlocks

	PINMin          int           `cbor:"6,keyasint"`
	PINMax          int           `cbor:"7,keyasint"`
	PINAlphanumeric bool          `cbor:"8,keyasint,omitempty"`
	PINSource       PINSource     `cbor:"9,keyasint"`
	PINLifetime     time.Duration `cbor:"10,keyasint,omitempty"` // 0: for ever
	PINHistory      int           `cbor:"15,keyasint,omitempty"` // the last so many are not to be taken again
	FirstPIN        FirstPIN      `cbor:"16,keyasint,omitempty"`

	OnDemandFor     time.Duration `cbor:"20,keyasint,omitempty"`
	OnDemandPerHour int           `cbor:"21,keyasint,omitempty"`

	ResyncByUser bool          `cbor:"17,keyasint,omitempty"`
	ResyncWithin time.Duration `cbor:"18,keyasint,omitempty"` // either side
	ResyncAhead  int64         `cbor:"19,keyasint,omitempty"` // presses

	WaitStep time.Duration `cbor:"13,keyasint,omitempty"` // added to the wait with each failure after those
	WaitMost time.Duration `cbor:"14,keyasint,omitempty"`

	ConversationFor time.Duration `cbor:"11,keyasint"`
	RefusalDelay    time.Duration `cbor:"12,keyasint"`
}

// wait is how long after a number of failures nothing is looked at: growing
// from the failure after those that put a token into Next Tokencode mode, so
// that its owner can put it right at once.
func (p *Policy) wait(failures int) time.Duration {
	return min(time.Duration(max(0, failures-p.NextTokencodeAfter))*p.WaitStep, p.WaitMost)
}

// Window is how far a tokencode may lie from where the token's clock is
// believed to be, in intervals either side; for event tokens, presses ahead.
type Window struct {
	Small  int64 `cbor:"1,keyasint"` // accepted
	Medium int64 `cbor:"2,keyasint"` // accepted with the next tokencode
	Large  int64 `cbor:"3,keyasint"` // in Next Tokencode mode, with the next tokencode
}

// FirstPIN is what proves the owner of a token that never had a PIN.
type FirstPIN string

// What proves the owner. With an activation code whoever finds a fresh token
// in the post cannot claim it: the code is a temporary PIN, handed out apart.
const (
	FirstPINByTokencode      FirstPIN = "tokencode"
	FirstPINByActivationCode FirstPIN = "activation_code"
)

const (
	maxOldPINs = 10 // bounds PINHistory
	longestPIN = 16 // bounds PINMin and PINMax
)

// Forms of tokens, by which the windows differ.
const (
	FormFob    = "fob"
	FormPINpad = "pinpad"
	FormApp    = "app"
	FormEvent  = "event"
)

// DefaultPolicy is what a new cluster starts with (RSA a19272; PCI DSS 4.0,
// 8.3.4; NIST SP 800-63B-4, 3.2.2).
func DefaultPolicy() Policy {
	return Policy{
		Windows: map[string]Window{
			FormFob:    {Small: 1, Medium: 3, Large: 10},
			FormPINpad: {Small: 2, Medium: 4, Large: 10},
			FormApp:    {Small: 10, Medium: 12, Large: 70},
			FormEvent:  {Small: 3, Medium: 7, Large: 100},
		},
		NextTokencodeAfter: 3,
		LockAfter:          10,
		LockFor:            30 * time.Minute,
		StopAfter:          100,
		WaitStep:           500 * time.Millisecond,
		WaitMost:           3 * time.Second,
		PINMin:             6,
		PINMax:             8,
		PINSource:          PINByUser,
		PINHistory:         5,
		FirstPIN:           FirstPINByTokencode,
		OnDemandFor:        10 * time.Minute,
		OnDemandPerHour:    6,
		ResyncByUser:       true,
		ResyncWithin:       12 * time.Hour,
		ResyncAhead:        1000,
		ConversationFor:    5 * time.Minute,
		RefusalDelay:       250 * time.Millisecond,
	}
}
