package engine

import "time"

// Policy is the numbers of the rules, replicated, and changed by administrators
// within bounds. Settings lists them.
type Policy struct {
	Windows map[string]Window `cbor:"1,keyasint"` // by form: fob, pinpad, app, event

	NextTokencodeAfter int           `cbor:"2,keyasint"` // failures
	LockAfter          int           `cbor:"3,keyasint"` // failures
	LockFor            time.Duration `cbor:"4,keyasint"` // multiplied by LockGrowth with each lock
	StopAfter          int           `cbor:"5,keyasint"` // failures: only an administrator unlocks

	PINMin          int           `cbor:"6,keyasint"`
	PINMax          int           `cbor:"7,keyasint"`
	PINAlphanumeric bool          `cbor:"8,keyasint,omitempty"`
	PINSource       PINSource     `cbor:"9,keyasint"`
	PINLifetime     time.Duration `cbor:"10,keyasint,omitempty"` // 0: PINs do not expire
	PINHistory      int           `cbor:"15,keyasint,omitempty"` // the last PINs that are not allowed
	FirstPIN        FirstPIN      `cbor:"16,keyasint,omitempty"`

	OnDemandFor     time.Duration `cbor:"20,keyasint,omitempty"`
	OnDemandPerHour int           `cbor:"21,keyasint,omitempty"`

	ResyncByUser bool          `cbor:"17,keyasint,omitempty"`
	ResyncWithin time.Duration `cbor:"18,keyasint,omitempty"` // either side
	ResyncAhead  int64         `cbor:"19,keyasint,omitempty"` // presses

	WaitStep time.Duration `cbor:"13,keyasint,omitempty"` // added with each failure beyond NextTokencodeAfter
	WaitMost time.Duration `cbor:"14,keyasint,omitempty"`

	ConversationFor time.Duration `cbor:"11,keyasint"`
	RefusalDelay    time.Duration `cbor:"12,keyasint"`

	// Added later. They are always written; see unsaid.
	TokensPerUser       int           `cbor:"40,keyasint"`
	NextTokencodeWithin int64         `cbor:"41,keyasint"` // intervals after the first
	PINRounds           int           `cbor:"42,keyasint"` // unfit or different new PINs
	LockWithin          time.Duration `cbor:"43,keyasint"` // older failures do not count towards a lock; 0: all since the last success count
	LockGrowth          int           `cbor:"44,keyasint"` // factor by which each further lock is longer
	RetryRequestFor     time.Duration `cbor:"45,keyasint"` // how long the same request gets the same answer
	RetryLoginFor       time.Duration `cbor:"46,keyasint"` // how long another node that is asked about the same login gives the same answer; 0: never
	EmergencyFor        time.Duration `cbor:"47,keyasint"` // default
	EmergencyMost       time.Duration `cbor:"48,keyasint"`
	EmergencyCodes      int           `cbor:"49,keyasint"` // default
	ReplaceKeepsPIN     bool          `cbor:"50,keyasint"` // default

	// Sessions of administrators: how long they last, how long without use, and
	// whether only in the network that they were opened in.
	AdminSessionFor   time.Duration `cbor:"80,keyasint"`
	AdminSessionIdle  time.Duration `cbor:"81,keyasint"`
	AdminSessionBound bool          `cbor:"82,keyasint"`

	// Failures of one address at one front end, and of one client that is not
	// trusted, after which its attempts are not checked, and the time that gives
	// one back.
	SourceFailures int           `cbor:"60,keyasint"`
	SourceEvery    time.Duration `cbor:"61,keyasint"`
	ClientFailures int           `cbor:"62,keyasint"`
	ClientEvery    time.Duration `cbor:"63,keyasint"`

	KeysRotateEvery time.Duration `cbor:"70,keyasint"` // age of the root key at which nodes warn; 0: never
	SeedMin         int           `cbor:"95,keyasint"` // bits of the seed of a new token
	SourceRemember  time.Duration `cbor:"96,keyasint"` // how long a login from an address counts for its user there

	CallerFor      time.Duration `cbor:"100,keyasint"` // how long a word for the help desk is valid
	CallerHelp     time.Duration `cbor:"101,keyasint"` // how long a caller may be helped after a right word
	CallerTries    int           `cbor:"102,keyasint"` // refused attempts to get a word, in an hour
	CallerRequired bool          `cbor:"103,keyasint"` // the help desk may use remedies only for a caller who was checked

	ApprovalRequired string        `cbor:"85,keyasint,omitempty"` // groups of commands, separated by commas
	ApprovalFor      time.Duration `cbor:"86,keyasint"`           // how long a command waits
}

// longestLock bounds growing locks.
const longestLock = 10 * 365 * 24 * time.Hour

// lockLasts returns how long a lock lasts after a number of locks without a
// success in between. 0: until an administrator unlocks.
func (p *Policy) lockLasts(before uint32) time.Duration {
	lasts := p.LockFor
	for range before {
		if lasts *= time.Duration(p.LockGrowth); lasts > longestLock {
			return longestLock
		}
	}
	return lasts
}

// wait returns how long attempts are not checked after a number of failures. It
// grows from the failure after those that lead to Next Tokencode mode, so that
// the user can leave that mode at once.
func (p *Policy) wait(failures int) time.Duration {
	return min(time.Duration(max(0, failures-p.NextTokencodeAfter))*p.WaitStep, p.WaitMost)
}

// Window is how far a tokencode may be from the believed interval, in intervals
// on either side; for event tokens in presses ahead.
type Window struct {
	Small  int64 `cbor:"1,keyasint"` // accepted
	Medium int64 `cbor:"2,keyasint"` // accepted with the next tokencode
	Large  int64 `cbor:"3,keyasint"` // in Next Tokencode mode, with the next tokencode
}

// FirstPIN is what proves the user of a token without a PIN.
type FirstPIN string

// With an activation code, someone who finds a fresh token in the mail cannot
// claim it. The code is a temporary PIN. It is made when a token is given to a
// user or its PIN is cleared, and handed out separately.
const (
	FirstPINByTokencode      FirstPIN = "tokencode"
	FirstPINByActivationCode FirstPIN = "activation_code"
)

const (
	maxOldPINs = 10 // bounds PINHistory
	longestPIN = 16 // bounds PINMin and PINMax
	leastSeed  = 80 // bits; bounds SeedMin
)

// Forms of tokens. Each has its own windows.
const (
	FormFob    = "fob"
	FormPINpad = "pinpad"
	FormApp    = "app"
	FormEvent  = "event"
)

// DefaultPolicy returns the policy of a new cluster (RSA a19272; PCI DSS 4.0,
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
		RetryLoginFor:       30 * time.Second,
		EmergencyFor:        7 * 24 * time.Hour,
		EmergencyMost:       60 * 24 * time.Hour,
		EmergencyCodes:      10,

		AdminSessionFor:   8 * time.Hour,
		AdminSessionIdle:  time.Hour,
		AdminSessionBound: true,
		CallerFor:         5 * time.Minute,
		CallerHelp:        5 * time.Minute,
		CallerTries:       3,

		SourceFailures: 100,
		SourceEvery:    10 * time.Second,
		ClientFailures: 500,
		ClientEvery:    200 * time.Millisecond,

		KeysRotateEvery: 365 * day,
		SeedMin:         80,
		SourceRemember:  30 * day,
		ApprovalFor:     24 * time.Hour,
	}
}

// unsaid returns the settings of a policy that a snapshot does not contain
// because it was written before they existed.
func unsaid() Policy {
	d := DefaultPolicy()
	return Policy{
		TokensPerUser: d.TokensPerUser, NextTokencodeWithin: d.NextTokencodeWithin, PINRounds: d.PINRounds, LockGrowth: d.LockGrowth,
		RetryRequestFor: d.RetryRequestFor, RetryLoginFor: d.RetryLoginFor,
		EmergencyFor: d.EmergencyFor, EmergencyMost: d.EmergencyMost, EmergencyCodes: d.EmergencyCodes,
		AdminSessionFor: d.AdminSessionFor, AdminSessionIdle: d.AdminSessionIdle, AdminSessionBound: d.AdminSessionBound,
		CallerFor: d.CallerFor, CallerHelp: d.CallerHelp, CallerTries: d.CallerTries,
		SourceFailures: d.SourceFailures, SourceEvery: d.SourceEvery, ClientFailures: d.ClientFailures, ClientEvery: d.ClientEvery,
		KeysRotateEvery: d.KeysRotateEvery,
		SeedMin:         d.SeedMin,
		SourceRemember:  d.SourceRemember,
		ApprovalFor:     d.ApprovalFor,
	}
}
