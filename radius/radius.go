// Package radius serves VPN gateways: RFC 2865 authentication with PAP, RFC 2866
// accounting and RFC 5997 status, over UDP and over TLS (RFC 6614).
//
// A packet passes four stages. A reader takes it from the socket, finds the
// client it belongs to, by source address (clients.go) or by certificate
// (radsec.go), checks its signature against the client's rules (verify.go,
// secrets.go) and looks it up among the requests already known (duplicates.go). New requests
// wait in a bounded queue for a worker. The worker turns the request into an
// engine.Attempt (attempt.go), asks the node, and words the outcome as the
// client expects (dialect.go, response.go).
//
// The package never decides a login. A request that cannot be decided gets no
// answer, so that the VPN asks another node; a dropped request leaves no trace,
// so that its retransmission is tried again. Every refusal is the same packet
// and names no reason. The node holds refusals until a fixed time after the
// request arrived.
//
// The wire format is written here instead of taken from a library, because
// libraries lack what matters most to a server of one-time passcodes: the
// Message-Authenticator first in every response and checked in every request
// (CVE-2024-3596), and remembered answers, so that a retransmission does not
// use a second tokencode. All use of MD5 is in md5.go.
package radius

import (
	"context"
	"strconv"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// Node is what the server needs of the cluster node it runs in.
type Node interface {
	// Authenticate decides an attempt. On an error nothing was decided.
	Authenticate(context.Context, engine.Attempt) (engine.Outcome, error)
	// Do carries out a command.
	Do(context.Context, events.Origin, engine.Command) error
	// State returns this node's copy of the state, which must not change.
	State() *engine.State
	// OpenClientSecret unseals a shared secret of the named client.
	OpenClientSecret(name string, sealed []byte) (engine.Secret, error)
	// Ready returns nil if this node can decide logins, or why it cannot.
	Ready() error
	// CaughtUp returns nil once this node knows every client that existed when
	// it started, or why it may not know them yet.
	CaughtUp() error
}

// Observer counts packets. Its methods are called for every packet and must be
// fast and safe for concurrent use.
type Observer interface {
	// Received is called for each well-formed and correctly signed request of a
	// known client, retransmissions included.
	Received(client string, code Code)
	// Answered is called for each response, with the time since its request
	// arrived. A response that is sent again is counted again, with time 0.
	Answered(client string, code Code, took time.Duration)
	// Dropped is called for each packet that gets no answer. The client is
	// empty if it is not known.
	Dropped(client string, cause Cause)
}

// Code is the type of a packet (RFC 2865, section 3; RFC 2866; RFC 5997).
type Code byte

// The codes that this package reads or writes.
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

// Type is the type of an attribute (RFC 2865, section 5, unless noted).
type Type byte

// The attributes that this package reads or writes.
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
