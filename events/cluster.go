package events

// ClusterFounded says that a cluster began. It is the first record.
type ClusterFounded struct {
	Cluster     string `cbor:"1,keyasint"` // random identity
	Certificate []byte `cbor:"2,keyasint"` // of its own CA, DER
	Sealed      []byte `cbor:"3,keyasint"` // the CA's private key
}

// InvitationIssued says that whoever knows the secret behind Digest may join
// once, until Expires.
type InvitationIssued struct {
	Digest  Hash `cbor:"1,keyasint"`
	Expires Time `cbor:"2,keyasint"`
}

// NodeJoined says that a node is a member. It spends the invitation.
type NodeJoined struct {
	Node       string `cbor:"1,keyasint"`
	Address    string `cbor:"2,keyasint"`
	Invitation Hash   `cbor:"3,keyasint,omitzero"`
}

// NodeRemoved says that a node is no member any more.
type NodeRemoved struct {
	Node string `cbor:"1,keyasint"`
}

// NodeLost says that the leader hears nothing from a member any more.
type NodeLost struct {
	Node string `cbor:"1,keyasint"`
}

// NodeReturned says that a lost member is heard again.
type NodeReturned struct {
	Node string `cbor:"1,keyasint"`
}

// LeaderChanged says that a node leads from here on.
type LeaderChanged struct {
	Node   string `cbor:"1,keyasint"`
	Before string `cbor:"2,keyasint,omitempty"`
	Term   uint64 `cbor:"3,keyasint"`
}

// ClockSkewed says that a node's clock is too far from the cluster's.
type ClockSkewed struct {
	Node   string `cbor:"1,keyasint"`
	Offset int64  `cbor:"2,keyasint"` // milliseconds
}

// CheckpointSigned says, signed with the cluster's key, that the chain stood
// at Head after the record numbered Sequence. A consumer who kept it can tell
// whether records before it were taken away or changed.
type CheckpointSigned struct {
	Sequence  uint64 `cbor:"1,keyasint"`
	Head      Hash   `cbor:"2,keyasint"`
	Key       []byte `cbor:"3,keyasint"` // Ed25519 public key
	Signature []byte `cbor:"4,keyasint"` // over the text of docs/PROTOCOL.md
}
