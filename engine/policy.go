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

	ConversationFor time.Duration `cbor:"11,keyasint"`
	RefusalDelay    time.Duration `cbor:"12,keyasint"`
}

// Window is how far a tokencode may lie from where the token's clock is
// believed to be, in intervals either side; for event tokens, presses ahead.
type Window struct {
	Small  int64 `cbor:"1,keyasint"` // accepted
	Medium int64 `cbor:"2,keyasint"` // accepted with the next tokencode
	Large  int64 `cbor:"3,keyasint"` // in Next Tokencode mode, with the next tokencode
}

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
		PINMin:             6,
		PINMax:             8,
		PINSource:          PINByUser,
		ConversationFor:    5 * time.Minute,
		RefusalDelay:       250 * time.Millisecond,
	}
}
