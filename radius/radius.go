// Package radius is the door by which VPN gateways come in: RFC 2865
// authentication with PAP, RFC 2866 accounting and RFC 5997 status, over UDP and
// over TLS (RFC 6614).
//
// A packet goes through four hands. A reader takes it from the socket, finds
// the client it belongs to by its source address (clients.go), or by its
// certificate (radsec.go), holds it to the
// client's rules about signatures (admit.go) and asks whether it has been seen
// before (duplicates.go). What is left waits, in bounded number, for a worker,
// which turns it into an engine.Attempt (attempt.go), asks the node, and puts
// the outcome into the words that the client expects (dialect.go, answer.go).
//
// The door never decides. Whatever cannot be decided is met with silence, so
// that the VPN asks another node; a request that was dropped leaves nothing
// behind, so that its retransmission is tried afresh. Every refusal is the same
// packet and names no reason. The node holds refusals until a fixed time after
// the request arrived.
//
// The wire format is written here and not taken from a library, because what
// matters most to a server of one-time passcodes is what the libraries lack:
// the Message-Authenticator first in every response and checked in every
// request (CVE-2024-3596), and answers that are remembered, so that a
// retransmission does not spend a second tokencode. All that RADIUS does with
// MD5 is in md5.go.
package radius

import (
	"context"
	"strconv"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// Node is what the door needs of the node it stands in.
type Node interface {
	// Authenticate decides an attempt. An error means that nothing was decided.
	Authenticate(context.Context, engine.Attempt) (engine.Outcome, error)
	// Do has an administrator's command carried out.
	Do(context.Context, events.Origin, engine.Command) error
	// State is what this node knows; it must not change any more.
	State() *engine.State
	// OpenClientSecret unseals the shared secret of the client of that name.
	OpenClientSecret(name string, sealed []byte) (engine.Secret, error)
	// Ready says why this node cannot decide logins, or nil.
	Ready() error
	// CaughtUp says why this node may not know yet all clients that there were
	// when it started, or nil.
	CaughtUp() error
}

// Observer counts. Its methods are called for every packet and must be quick
// and safe for use by many goroutines.
type Observer interface {
	// Received is called for each request of a known client that is whole and
	// properly signed, retransmissions included.
	Received(client string, code Code)
	// Answered is called for each response, with the time since its request
	// came; a response sent again counts again, with no time.
	Answered(client string, code Code, took time.Duration)
	// Dropped is called for each packet met with silence. The client is empty
	// when it is not known.
	Dropped(client string, cause Cause)
}

// Code says what a packet is (RFC 2865, section 3; RFC 2866; RFC 5997).
type Code byte

// The codes that this door reads or writes.
const (
	AccessRequest      Code = 1
	AccessAccept       Code = 2
	AccessReject       Code = 3
	AccountingRequest  Code = 4
	AccountingResponse Code = 5
	AccessChallenge    Code = 11
	StatusServer       Code = 12
)

func (c Code) String() string {
	switch c {
	case AccessRequest:
		return "access_request"
	case AccessAccept:
		return "access_accept"
	case AccessReject:
		return "access_reject"
	case AccountingRequest:
		return "accounting_request"
	case AccountingResponse:
		return "accounting_response"
	case AccessChallenge:
		return "access_challenge"
	case StatusServer:
		return "status_server"
	default:
		return "code_" + strconv.Itoa(int(c))
	}
}

// Type says what an attribute is (RFC 2865, section 5, if nothing else is
// said).
type Type byte

// The attributes that this door reads or writes.
const (
	UserName             Type = 1
	UserPassword         Type = 2
	CHAPPassword         Type = 3
	NASIPAddress         Type = 4
	NASPort              Type = 5
	ReplyMessage         Type = 18
	State                Type = 24
	VendorSpecific       Type = 26
	SessionTimeout       Type = 27
	CallingStationID     Type = 31
	NASIdentifier        Type = 32
	ProxyState           Type = 33
	AcctStatusType       Type = 40 // RFC 2866, section 5.1
	AcctSessionID        Type = 44 // RFC 2866, section 5.5
	Prompt               Type = 76 // RFC 2869, section 5.10
	EAPMessage           Type = 79 // RFC 3579, section 3.1
	MessageAuthenticator Type = 80 // RFC 3579, section 3.2
)
