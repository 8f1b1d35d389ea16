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

	// These came later: written always, see unsaid.
	TokensPerUser       int           `cbor:"40,keyasint"`
	NextTokencodeWithin int64         `cbor:"41,keyasint"` // intervals after the first
	PINRounds           int           `cbor:"42,keyasint"` // unfit or different new PINs
	LockWithin          time.Duration `cbor:"43,keyasint"` // older failures count towards no lock; 0: all since the last success do
	LockGrowth          int           `cbor:"44,keyasint"` // how many times as long each further lock lasts
	RetryRequestFor     time.Duration `cbor:"45,keyasint"` // the same request gets the same answer
	RetryLoginFor       time.Duration `cbor:"46,keyasint"` // the same for a login told by its session attribute
	EmergencyFor        time.Duration `cbor:"47,keyasint"` // if nobody says
	EmergencyMost       time.Duration `cbor:"48,keyasint"`
	EmergencyCodes      int           `cbor:"49,keyasint"` // if nobody says
	ReplaceKeepsPIN     bool          `cbor:"50,keyasint"` // if nobody says

	// Failures of one address at one door, and of one client that is not trusted,
	// after which nothing of it is looked at, and the time that gives one back.
	SourceFailures int           `cbor:"60,keyasint"`
	SourceEvery    time.Duration `cbor:"61,keyasint"`
	ClientFailures int           `cbor:"62,keyasint"`
	ClientEvery    time.Duration `cbor:"63,keyasint"`
}

// longestLock bounds what growing locks come to.
const longestLock = 10 * 365 * 24 * time.Hour

// lockLasts is how long the lock lasts that follows so many others without a
// success in between; 0 is until an administrator unlocks.
func (p *Policy) lockLasts(before uint32) time.Duration {
	lasts := p.LockFor
	for range before {
		if lasts *= time.Duration(p.LockGrowth); lasts > longestLock {
			return longestLock
		}
	}
	return lasts
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

// FirstPIN is what proves the owner of a token that has no PIN.
type FirstPIN string

// What proves the owner. With an activation code whoever finds a fresh token
// in the post cannot claim it: the code is a temporary PIN, handed out apart,
// and made when a token is given to a user or its PIN is cleared.
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

		TokensPerUser:       3,
		NextTokencodeWithin: 2,
		PINRounds:           3,
		LockGrowth:          2,
		RetryRequestFor:     30 * time.Second,
		RetryLoginFor:       10 * time.Second,
		EmergencyFor:        7 * 24 * time.Hour,
		EmergencyMost:       60 * 24 * time.Hour,
		EmergencyCodes:      10,

		SourceFailures: 100,
		SourceEvery:    10 * time.Second,
		ClientFailures: 500,
		ClientEvery:    200 * time.Millisecond,
	}
}

// unsaid is what a policy comes to of which a snapshot says nothing, because
// it was written before there were these settings.
func unsaid() Policy {
	d := DefaultPolicy()
	return Policy{
		TokensPerUser: d.TokensPerUser, NextTokencodeWithin: d.NextTokencodeWithin, PINRounds: d.PINRounds, LockGrowth: d.LockGrowth,
		RetryRequestFor: d.RetryRequestFor, RetryLoginFor: d.RetryLoginFor,
		EmergencyFor: d.EmergencyFor, EmergencyMost: d.EmergencyMost, EmergencyCodes: d.EmergencyCodes,
		SourceFailures: d.SourceFailures, SourceEvery: d.SourceEvery, ClientFailures: d.ClientFailures, ClientEvery: d.ClientEvery,
	}
}
