// Package events defines the events of keyfob, their binary form in the
// replicated log and in the journal, and the chain of hashes that links each
// record to the one before.
//
// State is the fold of these events and nothing else. An event therefore holds
// everything that the fold needs, including sealed secrets, and nothing that a
// reader of the audit stream must not see in the clear. The stream shows an
// event as CloudEvents JSON (cloudevent.go) without the sealed parts. A digest
// replaces them, so that a consumer can still verify the chain.
//
// A released event keeps its number, its name and the meaning of its fields
// forever. The set is closed.
package events

import (
	"encoding/hex"
	"time"
)

// Time is a time stamp: milliseconds since 1970, UTC. Zero means none.
type Time int64

// At returns t, truncated to milliseconds.
func At(t time.Time) Time { return Time(t.UnixMilli()) }

// Std returns t as a time.Time in UTC.
func (t Time) Std() time.Time { return time.UnixMilli(int64(t)).UTC() }

// Add returns t moved by d.
func (t Time) Add(d time.Duration) Time { return t + Time(d.Milliseconds()) }

// Sub returns the duration from u to t.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t-u) * time.Millisecond }

// IsZero reports whether t is unset.
func (t Time) IsZero() bool { return t == 0 }

// Event is one fact, in the past tense. The set is closed; kinds in registry.go
// lists it.
//
//sumtype:decl
type Event interface {
	// describe sets what the audit stream shows.
	describe(*Data)
}

// Hash is a SHA-256 digest.
type Hash [32]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Request identifies one attempt or command. A retry carries the same one.
type Request [16]byte

// IsZero reports whether there is no request ID.
func (r Request) IsZero() bool { return r == Request{} }

// Origin is where an event came from: which node was asked, through which front
// end, by whom.
type Origin struct {
	Request   Request `cbor:"1,keyasint,omitzero"`
	Reference string  `cbor:"2,keyasint,omitempty"` // which the user can read out to the help desk
	Node      string  `cbor:"3,keyasint,omitempty"`
	Site      string  `cbor:"4,keyasint,omitempty"`
	Door      Door    `cbor:"5,keyasint,omitempty"`
	Client    string  `cbor:"6,keyasint,omitempty"` // the RADIUS client's name
	SourceIP  string  `cbor:"7,keyasint,omitempty"`
	Actor     string  `cbor:"8,keyasint,omitempty"`  // user:NAME, token:NAME, socket:root, or "system"
	Note      string  `cbor:"9,keyasint,omitempty"`  // the administrator's reason
	Session   string  `cbor:"15,keyasint,omitempty"` // of the actor, if a person
	// Login is the same for each request of a login that its gateway may send
	// again, at another node, in another packet. Zero: it may not.
	Login Request `cbor:"14,keyasint,omitzero"`
	// Unsigned is set if a RADIUS request over UDP had no Message-Authenticator:
	// its sender is not proved.
	Unsigned bool `cbor:"16,keyasint,omitempty"`
}

// Door is the front end through which a request came in.
type Door string

// The front ends.
const (
	DoorRADIUS Door = "radius"
	DoorWeb    Door = "web"
	DoorAPI    Door = "api"
	DoorSystem Door = "system"
)

// Draft is an event that is decided but not yet committed.
type Draft struct {
	Origin Origin
	Event  Event
}

// Batch is the content of one entry of the replicated log: the drafts that the
// leader decided on the state after record Base.
type Batch struct {
	Base   uint64 // sequence number of the last record before this batch
	Head   Hash   // the chain's hash at Base; replicas that differ are detected by it
	Time   Time   // the leader's time stamp, which never goes back
	Drafts []Draft
}

// Record is an event in its place in the journal.
type Record struct {
	Sequence uint64 // from 1, without gaps
	Index    uint64 // of the log entry that carried it
	Time     Time   // the leader's time stamp
	Prev     Hash
	Hash     Hash
	Draft
}

// Reason is why an attempt was refused or a mode was entered. The words are
// part of the contract with readers of the audit stream.
type Reason string

// The reasons.
const (
	ReasonBadPIN              Reason = "bad_pin"
	ReasonBadTokencode        Reason = "bad_tokencode"
	ReasonTokencodeReused     Reason = "tokencode_reused"
	ReasonOutsideWindow       Reason = "outside_window"
	ReasonUserUnknown         Reason = "user_unknown"
	ReasonUserDisabled        Reason = "user_disabled"
	ReasonUserLocked          Reason = "user_locked"
	ReasonNoToken             Reason = "no_token"
	ReasonTokenDisabled       Reason = "token_disabled"
	ReasonTokenExpired        Reason = "token_expired"
	ReasonTokenLost           Reason = "token_lost"
	ReasonNextTokencodeWrong  Reason = "next_tokencode_wrong"
	ReasonNewPINRefused       Reason = "new_pin_refused"
	ReasonConversationExpired Reason = "conversation_expired"
	ReasonClockSkew           Reason = "clock_skew"
	ReasonThrottled           Reason = "throttled"
	ReasonDrift               Reason = "drift"
	ReasonTooManyFailures     Reason = "too_many_failures"
	ReasonPINNotSet           Reason = "pin_not_set"
	ReasonPINExpired          Reason = "pin_expired"
	ReasonPINChangeRequired   Reason = "pin_change_required"
)

// Step is what a conversation asks for next.
type Step string

// The steps of a conversation.
const (
	StepNone          Step = ""
	StepNextTokencode Step = "next_tokencode"
	StepChoosePIN     Step = "choose_pin"   // own or generated?
	StepGeneratePIN   Step = "generate_pin" // ready for a generated one?
	StepNewPIN        Step = "new_pin"
	StepConfirmPIN    Step = "confirm_pin"
	StepLogin         Step = "login" // the login that proves the new PIN
)
