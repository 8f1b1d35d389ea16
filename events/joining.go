package events

// InvitationIssued is recorded when an invitation is issued. The holder of the
// secret behind Digest may join once, until Expires.
type InvitationIssued struct {
	Digest   Hash   `cbor:"1,keyasint"`
	Expires  Time   `cbor:"2,keyasint"`
	Node     string `cbor:"3,keyasint,omitempty"` // the name to join under
	Approved bool   `cbor:"4,keyasint,omitempty"` // no approval is needed
}

// JoinRequested is recorded when a machine with an invitation asks to join. It gets
// nothing until an administrator has approved its keys.
type JoinRequested struct {
	Node        string `cbor:"1,keyasint"`
	Address     string `cbor:"2,keyasint"`
	Invitation  Hash   `cbor:"3,keyasint"`
	Key         Hash   `cbor:"4,keyasint"` // SHA-256 of its public TLS key
	SealKey     []byte `cbor:"5,keyasint"` // public
	Fingerprint string `cbor:"6,keyasint"` // of both keys, as it is shown to people
}

// JoinApproved is recorded when an administrator approves the keys of a machine that
// asks to join.
type JoinApproved struct {
	Node        string `cbor:"1,keyasint"`
	Invitation  Hash   `cbor:"2,keyasint"`
	Fingerprint string `cbor:"3,keyasint"`
}

// JoinRefused is recorded when an administrator refuses a machine that asks to join,
// or withdraws an invitation that nobody has used.
type JoinRefused struct {
	Node        string `cbor:"1,keyasint"`
	Invitation  Hash   `cbor:"2,keyasint"`
	Fingerprint string `cbor:"3,keyasint,omitempty"` // empty: no machine asked
}

// InvitationRefused is recorded when machines may not join with an invitation: it is
// unknown, expired, for another node, or another machine has used it. It is sampled.
type InvitationRefused struct {
	Node    string   `cbor:"1,keyasint"` // the name that the machine asked for
	Problem string   `cbor:"2,keyasint"`
	Count   uint32   `cbor:"3,keyasint,omitempty"`
	Others  []string `cbor:"4,keyasint,omitempty"` // sources of further ones
}

// StandFor implements Sampled.
func (e InvitationRefused) StandFor(count uint32, others []string) Event {
	e.Count, e.Others = count, others
	return e
}
