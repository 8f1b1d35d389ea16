package radius

// Cause is why a packet got no answer, or why a request was refused without
// asking the node. It is also a label of the metric.
type Cause string

// The causes: Drop for no answer, Refused for an Access-Reject, Failed for
// what else went wrong.
const (
	DropUnknownClient  Cause = "unknown_client"
	DropNotCaughtUp    Cause = "not_caught_up"   // from a client that is not known yet
	DropUnusableClient Cause = "unusable_client" // its secret cannot be unsealed
	DropMalformed      Cause = "malformed"
	DropCode           Cause = "code"
	DropUnsigned       Cause = "unsigned"        // no Message-Authenticator, and the client must send one
	DropStripped       Cause = "signed_before"   // no Message-Authenticator, and its address has sent one before
	DropProxied        Cause = "proxied"         // Proxy-State without a Message-Authenticator
	DropSignature      Cause = "signature"       // wrong Message-Authenticator or Request Authenticator
	DropOldSecret      Cause = "old_secret"      // signed with the old shared secret, which has ended
	DropSignedTwice    Cause = "signed_twice"    // more than one Message-Authenticator
	DropInProgress     Cause = "in_progress"     // a retransmission of a request that is being decided
	DropPassword       Cause = "undecodable"     // unsigned, and the password does not decode
	DropReplayed       Cause = "replayed"        // a Request Authenticator that was used before
	DropIdentifier     Cause = "identifier"      // unsigned, with the identifier of a request that is being decided
	DropSourceBusy     Cause = "source_busy"     // too many requests of this address outstanding
	DropBusy           Cause = "busy"            // too many requests outstanding, here or in the node
	DropClientBusy     Cause = "client_busy"     // too many requests of this client outstanding
	DropLate           Cause = "late"            // waited too long, or the client gave up
	DropUndecided      Cause = "undecided"       // the node could not decide
	DropNotReady       Cause = "not_ready"       // a node that cannot decide got Status-Server, or the old shared secret
	DropUnanswerable   Cause = "unanswerable"    // the response does not fit into a packet
	DropUnknownName    Cause = "unknown_name"    // a certificate that names no client
	RefusedNoPAP       Cause = "no_pap"          // CHAP, MS-CHAP or no password at all
	RefusedEAP         Cause = "eap"             // EAP
	RefusedPassword    Cause = "password"        // the password does not decode
	RefusedName        Cause = "name"            // the user name is missing or not text
	FailedChallenge    Cause = "challenge"       // a challenge that does not fit into a packet
	FailedRecord       Cause = "record"          // an observation could not be recorded
	FailedTLS          Cause = "tls"             // a failed handshake
	FailedOverlap      Cause = "clients_overlap" // two clients with the same prefix
)

// messages are what the log says about each cause. A cause that is part of
// normal operation has no message and is only counted.
var messages = map[Cause]string{
	DropUnknownClient:  "radius packet from an address that belongs to no client",
	DropNotCaughtUp:    "radius packet from a client that is not known yet; this node has just started",
	DropUnusableClient: "shared secret of a radius client cannot be unsealed",
	DropMalformed:      "radius packet is malformed",
	DropCode:           "radius packet has a code that is not served on this port",
	DropUnsigned:       "radius request has no message authenticator, which this client must send",
	DropStripped:       "radius request has no message authenticator, and its address has sent one before; keyfob client clear-signed ends that",
	DropProxied:        "radius request has proxy state and no message authenticator",
	DropSignature:      "radius request has a wrong signature; the shared secret probably differs",
	DropOldSecret:      "radius request uses the old shared secret, which has ended; set the new one on the client",
	DropSignedTwice:    "radius request has more than one message authenticator",
	DropPassword:       "radius password does not decode and the request is not signed; the shared secret probably differs",
	DropReplayed:       "radius request repeats the request authenticator of an earlier one; it is a copy, or the client does not choose at random",
	DropIdentifier:     "radius request without message authenticator has the identifier of one that is being decided",
	DropSourceBusy:     "radius requests dropped: too many from this address",
	DropBusy:           "radius requests dropped: too many on this node",
	DropClientBusy:     "radius requests dropped: too many from this client",
	DropLate:           "radius requests dropped: they waited too long",
	DropUndecided:      "radius request could not be decided",
	DropUnanswerable:   "radius response does not fit into a packet",
	DropUnknownName:    "radsec certificate names no client",
	RefusedNoPAP:       "radius request has no pap password; set the vpn to pap",
	RefusedEAP:         "radius request uses eap, which is not served; set the vpn to pap",
	RefusedPassword:    "radius password does not decode; the shared secret probably differs",
	RefusedName:        "radius request has no usable user name",
	FailedChallenge:    "radius challenge does not fit into a packet",
	FailedRecord:       "observation about a radius client could not be recorded; it will be tried again",
	FailedTLS:          "radsec handshake failed",
	FailedOverlap:      "two radius clients have the same prefix; the first by name is used",
}
