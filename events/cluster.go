package events

// ClusterFounded is recorded when a cluster is bootstrapped. It is the first
// record.
type ClusterFounded struct {
	Cluster     string `cbor:"1,keyasint"` // random identity
	Certificate []byte `cbor:"2,keyasint"` // of its own CA, DER
	Sealed      []byte `cbor:"3,keyasint"` // the CA's private key
}

// CARotated is recorded when the cluster's CA is replaced. Every node issues itself a
// certificate of the new one; open invitations end.
type CARotated struct {
	Certificate []byte `cbor:"1,keyasint"` // DER
	Sealed      []byte `cbor:"2,keyasint"` // its private key
}

// NodeJoined is recorded when a node becomes a member. It uses up the
// invitation.
type NodeJoined struct {
	Node       string `cbor:"1,keyasint"`
	Address    string `cbor:"2,keyasint"`
	Invitation Hash   `cbor:"3,keyasint,omitzero"`
	Key        Hash   `cbor:"4,keyasint,omitzero"`  // SHA-256 of its public TLS key, which proves membership
	SealKey    []byte `cbor:"5,keyasint,omitempty"` // public; the root key is sealed for it
}

// NodeRemoved is recorded when a node is removed.
type NodeRemoved struct {
	Node string `cbor:"1,keyasint"`
}

// NodeLost is recorded when the leader no longer hears from a member.
type NodeLost struct {
	Node string `cbor:"1,keyasint"`
}

// NodeReturned is recorded when a lost member is heard from again.
type NodeReturned struct {
	Node string `cbor:"1,keyasint"`
}

// LeaderTransferRequested is recorded when an administrator asks for another
// node to lead. LeaderChanged follows if the transfer succeeds.
type LeaderTransferRequested struct {
	Node string `cbor:"1,keyasint,omitempty"` // empty: any node
}

// LeaderChanged is recorded when a node becomes leader.
type LeaderChanged struct {
	Node   string `cbor:"1,keyasint"`
	Before string `cbor:"2,keyasint,omitempty"`
	Term   uint64 `cbor:"3,keyasint"`
}

// ClockSkewed is recorded when the clock of a node is too far from the
// cluster's.
type ClockSkewed struct {
	Node   string `cbor:"1,keyasint"`
	Offset int64  `cbor:"2,keyasint"` // milliseconds
}

// RecoveryKeySet is recorded when one key replaces all those that backups are
// sealed for.
type RecoveryKeySet struct {
	Key []byte `cbor:"1,keyasint"` // the public half
	// Shares is into how many parts the private half was split, and Threshold how
	// many of them it takes; zero: it is whole.
	Shares    uint8 `cbor:"2,keyasint,omitempty"`
	Threshold uint8 `cbor:"3,keyasint,omitempty"`
}

// RecoveryKeyAdded is recorded when backups are sealed for one more key.
type RecoveryKeyAdded struct {
	Key       []byte `cbor:"1,keyasint"` // the public half
	Shares    uint8  `cbor:"2,keyasint,omitempty"`
	Threshold uint8  `cbor:"3,keyasint,omitempty"`
}

// RecoveryKeyRemoved is recorded when backups are no longer sealed for a key.
// It still opens earlier ones.
type RecoveryKeyRemoved struct {
	Key []byte `cbor:"1,keyasint"` // the public half
}

// BackupTaken is recorded when a sealed copy of all data leaves the cluster.
type BackupTaken struct {
	Node        string `cbor:"1,keyasint"` // the writer
	RecoveryKey string `cbor:"2,keyasint"` // short names of the keys that it is sealed for
}

// ClusterRestored is recorded when a cluster starts again, as one node, from a
// backup. What was accepted since the backup is not known, so nothing that may
// have been used is valid.
type ClusterRestored struct {
	Epoch   uint64 `cbor:"1,keyasint"` // number of restores
	Node    string `cbor:"2,keyasint"`
	Address string `cbor:"3,keyasint"`
	Backup  uint64 `cbor:"4,keyasint"`           // the last record of the backup
	Taken   Time   `cbor:"5,keyasint"`           // when it was taken
	Key     Hash   `cbor:"6,keyasint,omitzero"`  // SHA-256 of the node's public TLS key
	SealKey []byte `cbor:"7,keyasint,omitempty"` // public; the root key is sealed for it
	// RecoveryKey is the short name of the key that opened the backup.
	RecoveryKey string `cbor:"8,keyasint,omitempty"`
}

// CheckpointSigned is recorded at intervals. It is signed with the cluster's
// key and states that the chain was at Head after the record numbered Sequence.
// A consumer who keeps it can tell whether earlier records were removed or
// changed.
type CheckpointSigned struct {
	Sequence  uint64 `cbor:"1,keyasint"`
	Head      Hash   `cbor:"2,keyasint"`
	Key       []byte `cbor:"3,keyasint"` // Ed25519 public key
	Signature []byte `cbor:"4,keyasint"` // over the text of docs/PROTOCOL.md
}
