package events

// ClusterFounded says that a cluster began. It is the first record.
type ClusterFounded struct {
	Cluster     string `cbor:"1,keyasint"` // random identity
	Certificate []byte `cbor:"2,keyasint"` // of its own CA, DER
	Sealed      []byte `cbor:"3,keyasint"` // the CA's private key
}

// InvitationIssued says that one machine with the secret whose digest is Digest
// may join until Expires.
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

// LeaderTransferRequested is recorded when an administrator asks for another
// node to lead. LeaderChanged follows if the transfer succeeds.
type LeaderTransferRequested struct {
	Node string `cbor:"1,keyasint,omitempty"` // empty: any node
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

// RecoveryKeySet says for whom backups are sealed from here on.
type RecoveryKeySet struct {
	Key []byte `cbor:"1,keyasint"` // the public half
}

// BackupTaken says that a copy of all there is has left the cluster, sealed.
type BackupTaken struct {
	Node        string `cbor:"1,keyasint"` // that wrote it
	RecoveryKey string `cbor:"2,keyasint"` // short name of the key that it is sealed for
}

// ClusterRestored says that the cluster begins anew, as one node, from what a
// backup held. What was accepted between the backup and now is not known, so
// nothing that may have been used is good any more.
type ClusterRestored struct {
	Epoch   uint64 `cbor:"1,keyasint"` // how often that has happened
	Node    string `cbor:"2,keyasint"`
	Address string `cbor:"3,keyasint"`
	Backup  uint64 `cbor:"4,keyasint"` // the record that the backup ended with
	Taken   Time   `cbor:"5,keyasint"` // when it was taken
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
