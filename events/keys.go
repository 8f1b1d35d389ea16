package events

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strconv"
)

// KeyRotationRequested is recorded when an administrator asks for a new root key.
// RootKeyRotated follows.
type KeyRotationRequested struct{}

// RootKeyRotated is recorded when the root key gets a new version. The record is
// the last one whose log entry is sealed under the version before.
//
// The signing key of checkpoints changes with it. Both keys sign the change, so
// that a verifier who trusts the old one can follow.
type RootKeyRotated struct {
	Version  uint8    `cbor:"1,keyasint"`
	Reason   string   `cbor:"2,keyasint"`           // why, for people
	Boxes    []KeyBox `cbor:"3,keyasint"`           // the new version, sealed for each member
	Recovery []KeyBox `cbor:"4,keyasint,omitempty"` // the same, for each recovery key

	CheckpointKeyBefore []byte `cbor:"5,keyasint"` // Ed25519 public keys
	CheckpointKey       []byte `cbor:"6,keyasint"`
	SignatureBefore     []byte `cbor:"7,keyasint"` // by CheckpointKeyBefore, over the text of docs/PROTOCOL.md
	Signature           []byte `cbor:"8,keyasint"` // by CheckpointKey, over the same
}

// KeyBox is a version of the root key, sealed for one holder.
type KeyBox struct {
	For    string `cbor:"1,keyasint"` // the name of a node or the short name of a recovery key
	Sealed []byte `cbor:"2,keyasint"`
}

// RecordsResealed is recorded when values are sealed again under the present
// version of the root key. Nothing else about them changes.
type RecordsResealed struct {
	Version uint8      `cbor:"1,keyasint"`
	Values  []Resealed `cbor:"2,keyasint"`
}

// Resealed is one value. It replaces the value at that place if that still has the
// digest Before.
type Resealed struct {
	Place  SealedPlace  `cbor:"1,keyasint"`
	Before SealedDigest `cbor:"2,keyasint"`
	Sealed []byte       `cbor:"3,keyasint"`
}

// SealedDigest identifies a sealed value: the first half of its SHA-256.
type SealedDigest [16]byte

// SealedPlace is where a sealed value is in the state.
type SealedPlace struct {
	Kind     SealedKind `cbor:"1,keyasint"`
	Record   string     `cbor:"2,keyasint,omitempty"` // serial or name
	Revision uint64     `cbor:"3,keyasint,omitempty"` // of a PIN
}

// SealedKind is what a sealed value is.
type SealedKind uint8

// The kinds. A number is never reused.
const (
	SealedSeed      SealedKind = 1
	SealedPIN       SealedKind = 2 // a hash
	SealedPINpad    SealedKind = 3 // a PIN that is added to the tokencode
	SealedEmergency SealedKind = 4 // emergency tokencodes
	SealedClient    SealedKind = 5 // the shared secret of a RADIUS client
	SealedClientOld SealedKind = 6 // the same, before its rotation
	SealedCAKey     SealedKind = 7
)

// NodeKeysCurrent is recorded when nothing on a node's disk is sealed under an
// older version of the root key any more.
type NodeKeysCurrent struct {
	Node    string `cbor:"1,keyasint"`
	Version uint8  `cbor:"2,keyasint"`
}

// RootKeyDropped is recorded when nothing needs the versions of the root key before
// Oldest any more. Every node forgets them.
type RootKeyDropped struct {
	Oldest uint8 `cbor:"1,keyasint"`
}

func (KeyRotationRequested) ofCluster() {}
func (RootKeyRotated) ofCluster()       {}
func (RecordsResealed) ofCluster()      {}
func (NodeKeysCurrent) ofCluster()      {}
func (RootKeyDropped) ofCluster()       {}

func (KeyRotationRequested) describe(*Data) {}

func (e RootKeyRotated) describe(d *Data) {
	d.detail("key", fmt.Sprintf("%x", e.CheckpointKey))
	d.detail("key_before", fmt.Sprintf("%x", e.CheckpointKeyBefore))
	d.detail("signature", fmt.Sprintf("%x", e.Signature))
	d.detail("signature_before", fmt.Sprintf("%x", e.SignatureBefore))
	d.detail("version", int64(e.Version))
	d.detail("why", e.Reason)
}

func (e RecordsResealed) describe(d *Data) {
	d.detail("values", int64(len(e.Values)))
	d.detail("version", int64(e.Version))
}

func (e NodeKeysCurrent) describe(d *Data) {
	d.detail("member", e.Node)
	d.detail("version", int64(e.Version))
}

func (e RootKeyDropped) describe(d *Data) { d.detail("oldest", int64(e.Oldest)) }

// CheckpointKeyText returns the text that both signatures of a change of the
// checkpoint key cover (docs/PROTOCOL.md).
func CheckpointKeyText(cluster string, version uint8, before, after ed25519.PublicKey) []byte {
	return []byte("keyfob checkpoint key v1\n" + cluster + "\n" + strconv.Itoa(int(version)) + "\n" +
		fmt.Sprintf("%x\n%x\n", []byte(before), []byte(after)))
}

// Verify reports whether both keys signed the change. The reader must know whether
// CheckpointKeyBefore is the cluster's.
func (e RootKeyRotated) Verify(cluster string) error {
	if len(e.CheckpointKeyBefore) != ed25519.PublicKeySize || len(e.CheckpointKey) != ed25519.PublicKeySize {
		return errors.New("change of the checkpoint key: a key has the wrong size")
	}
	text := CheckpointKeyText(cluster, e.Version, e.CheckpointKeyBefore, e.CheckpointKey)
	if !ed25519.Verify(e.CheckpointKeyBefore, text, e.SignatureBefore) {
		return errors.New("change of the checkpoint key: the signature of the old key is wrong")
	}
	if !ed25519.Verify(e.CheckpointKey, text, e.Signature) {
		return errors.New("change of the checkpoint key: the signature of the new key is wrong")
	}
	return nil
}
