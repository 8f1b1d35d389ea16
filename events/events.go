// Package events is the vocabulary of what happened: the facts that a batch of
// decisions consists of, their binary form in the replicated log and in the
// journal, and the chain of hashes that binds each record to the one before.
//
// State is the fold of these events and nothing else, so an event holds
// everything that the fold needs, sealed secrets among it, and nothing that a
// reader of the audit stream must not see in the clear. The stream shows an
// event as CloudEvents JSON (cloudevent.go) without the sealed parts; their
// digest stands in for them, so that a consumer can still check the chain.
//
// An event, once released, keeps its number, its name and the meaning of its
// fields for ever. The set is closed: what switches over it names every member.
package events

import (
	"encoding/hex"
	"time"
)

// Time is an instant as the log stamps it: milliseconds since 1970, UTC. Zero
// is no instant at all.
type Time int64

// At is t, cut to milliseconds.
func At(t time.Time) Time { return Time(t.UnixMilli()) }

// Std is t as the standard library has it, in UTC.
func (t Time) Std() time.Time { return time.UnixMilli(int64(t)).UTC() }

// Add is t moved by d.
func (t Time) Add(d time.Duration) Time { return t + Time(d.Milliseconds()) }

// Sub is how long t is after u.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t-u) * time.Millisecond }

// IsZero reports whether t is no instant.
func (t Time) IsZero() bool { return t == 0 }

// Event is one fact, in the past tense. The set is closed: kinds in
// registry.go lists it.
//
//sumtype:decl
type Event interface {
	// describe fills in what a reader of the audit stream is shown.
	describe(*Data)
}

// Hash is a SHA-256.
type Hash [32]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Request tells one attempt or command from every other; a retry carries the
// same one.
type Request [16]byte

// IsZero reports whether no request is named.
func (r Request) IsZero() bool { return r == Request{} }

// Origin says where something came from: which node was asked, through which
// door, by whom.
type Origin struct {
	Request   Request `cbor:"1,keyasint,omitzero"`
	Reference string  `cbor:"2,keyasint,omitempty"` // what the user may read out to the help desk
	Node      string  `cbor:"3,keyasint,omitempty"`
	Site      string  `cbor:"4,keyasint,omitempty"`
	Door      Door    `cbor:"5,keyasint,omitempty"`
	Client    string  `cbor:"6,keyasint,omitempty"` // the RADIUS client's name
	SourceIP  string  `cbor:"7,keyasint,omitempty"`
	Actor     string  `cbor:"8,keyasint,omitempty"` // who commanded it: an administrator, "system"
	Note      string  `cbor:"9,keyasint,omitempty"` // the administrator's reason
}

// Door is the way by which a request came in.
type Door string

// The doors.
const (
	DoorRADIUS Door = "radius"
	DoorWeb    Door = "web"
	DoorAPI    Door = "api"
	DoorSystem Door = "system"
)

// Draft is an event that has been decided and not yet committed.
type Draft struct {
	Origin Origin
	Event  Event
}

// Batch is the content of one entry of the replicated log: the drafts that the
// leader decided on the state after the record numbered Base.
type Batch struct {
	Base   uint64 // sequence number of the last record before this batch
	Head   Hash   // the chain's hash at Base: replicas that differ find out here
	Time   Time   // the leader's stamp, milliseconds, never goes back
	Drafts []Draft
}

// Record is an event in its place in the journal.
type Record struct {
	Sequence uint64 // from 1, without a gap
	Index    uint64 // of the log entry that carried it
	Time     Time   // the leader's stamp
	Prev     Hash
	Hash     Hash
	Draft
}

// Reason says why an attempt was refused or a mode was entered. The words are
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
