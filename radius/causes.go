package radius

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Cause is why a packet was met with silence, or why a request was refused
// without asking the node. It is also the label of the metric.
type Cause string

// The causes of silence.
const (
	DropUnknownClient  Cause = "unknown_client"
	DropNotCaughtUp    Cause = "not_caught_up"   // of a client that is unknown so far
	DropUnusableClient Cause = "unusable_client" // its secret cannot be unsealed
	DropMalformed      Cause = "malformed"
	DropCode           Cause = "code"
	DropUnsigned       Cause = "unsigned"        // without a Message-Authenticator that the client owes
	DropProxied        Cause = "proxied"         // Proxy-State without a Message-Authenticator
	DropSignature      Cause = "signature"       // wrong Message-Authenticator or Request Authenticator
	DropSignedTwice    Cause = "signed_twice"    // more than one Message-Authenticator
	DropInProgress     Cause = "in_progress"     // a retransmission of what is being worked on
	DropBusy           Cause = "busy"            // too many requests outstanding, here or in the node
	DropClientBusy     Cause = "client_busy"     // too many requests outstanding of this client
	DropLate           Cause = "late"            // waited too long, or was given up by the client
	DropUndecided      Cause = "undecided"       // the node could not decide
	DropNotReady       Cause = "not_ready"       // Status-Server to a node that cannot decide
	DropUnanswerable   Cause = "unanswerable"    // the response does not fit into a packet
	RefusedNoPAP       Cause = "no_pap"          // CHAP, MS-CHAP or no password at all
	RefusedEAP         Cause = "eap"             // EAP
	RefusedPassword    Cause = "password"        // the password does not decode
	RefusedName        Cause = "name"            // the user name is missing or no text
	FailedChallenge    Cause = "challenge"       // a challenge that cannot be put into a packet
	FailedLatch        Cause = "latch"           // a signed address could not be recorded
	DropUnknownName    Cause = "unknown_name"    // a certificate that names no client
	FailedTLS          Cause = "tls"             // a handshake that came to nothing
	FailedOverlap      Cause = "clients_overlap" // two clients with one prefix
)

// advice says to an operator what a cause means. A cause that is part of a
// healthy day has none and is counted only.
var advice = map[Cause]string{
	DropUnknownClient:  "radius packet from an address that belongs to no client",
	DropNotCaughtUp:    "radius packet from a client that is not known here yet; this node has just started",
	DropUnusableClient: "radius client's shared secret cannot be unsealed",
	DropMalformed:      "radius packet is malformed",
	DropCode:           "radius packet has a code that this port does not serve",
	DropUnsigned:       "radius request has no message authenticator and the client's policy demands one",
	DropProxied:        "radius request was proxied and has no message authenticator",
	DropSignature:      "radius request is wrongly signed; the shared secret probably differs",
	DropSignedTwice:    "radius request has more than one message authenticator",
	DropBusy:           "radius requests are dropped because this node has too many to decide",
	DropClientBusy:     "radius requests are dropped because this client has too many outstanding",
	DropLate:           "radius requests are dropped because they waited too long",
	DropUndecided:      "radius request could not be decided",
	DropUnanswerable:   "radius response does not fit into a packet",
	RefusedNoPAP:       "radius request has no pap password; set the vpn to pap",
	RefusedEAP:         "radius request uses eap, which is not served; set the vpn to pap",
	RefusedPassword:    "radius password does not decode; the shared secret probably differs",
	RefusedName:        "radius request has no usable user name",
	FailedChallenge:    "radius challenge cannot be put into a packet",
	FailedLatch:        "signed address of a radius client was not recorded and will be tried again",
	DropUnknownName:    "radsec certificate names no client",
	FailedTLS:          "radsec connection was not established",
	FailedOverlap:      "two radius clients have the same prefix; the first by name is used",
}

// noticeEvery is how often the same complaint about the same client is logged.
// The door faces strangers: its log must not be theirs to fill.
const noticeEvery = 10 * time.Second

// notices logs complaints, few of them.
type notices struct {
	log *slog.Logger

	mu   sync.Mutex // guards said
	said map[noticeKey]*notice
}

type noticeKey struct {
	cause  Cause
	client string
}

type notice struct {
	next   time.Time
	silent int // complaints since the last that was logged
}

func newNotices(log *slog.Logger) *notices {
	return &notices{log: log, said: make(map[noticeKey]*notice)}
}

// complain logs that something came from an address for a cause, unless that
// was said of the client a moment ago.
func (n *notices) complain(cause Cause, client string, from netip.Addr, now time.Time, err error) {
	message, ok := advice[cause]
	if !ok {
		return
	}
	silent, ok := n.due(noticeKey{cause, client}, now)
	if !ok {
		return
	}
	attributes := []slog.Attr{slog.String("cause", string(cause))}
	if client != "" {
		attributes = append(attributes, slog.String("client", client))
	}
	if from.IsValid() {
		attributes = append(attributes, slog.String("source", from.String()))
	}
	if silent > 0 {
		attributes = append(attributes, slog.Int("more_like_it", silent))
	}
	if err != nil {
		attributes = append(attributes, slog.Any("err", err))
	}
	n.log.LogAttrs(context.Background(), slog.LevelWarn, message, attributes...) //nolint:sloglint // messages are those of advice
}

func (n *notices) due(key noticeKey, now time.Time) (silent int, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	said := n.said[key]
	if said == nil {
		said = &notice{}
		n.said[key] = said // as many as clients and causes
	}
	if now.Before(said.next) {
		said.silent++
		return 0, false
	}
	silent, said.silent = said.silent, 0
	said.next = now.Add(noticeEvery)
	return silent, true
}
