package vault

import (
	"crypto/hpke"
	"fmt"
	"strconv"
)

// NodeKey opens root keys that were sealed for one node. The node keeps it; the
// cluster stores its public part. So a new root key can be sent to the present
// members, and a removed one, which knows everything up to its removal, cannot
// open it.
//
// It is an HPKE key like the recovery key: what the replicated log holds sealed may
// be kept for longer than one of the two algorithms is safe. It prints as ***.
type NodeKey struct{ key hpke.PrivateKey }

// NodePublic is the public part of a node's key, which seals.
type NodePublic struct{ key hpke.PublicKey }

// NewNodeKey creates the key of a node.
func NewNodeKey() (NodeKey, error) {
	key, err := recoveryKEM.GenerateKey()
	if err != nil {
		return NodeKey{}, fmt.Errorf("creating a node's seal key: %w", err)
	}
	return NodeKey{key}, nil
}

// ParseNodeKey decodes the result of Bytes.
func ParseNodeKey(raw []byte) (NodeKey, error) {
	key, err := recoveryKEM.NewPrivateKey(raw)
	if err != nil {
		return NodeKey{}, fmt.Errorf("reading a node's seal key: %w", ErrDamaged) // the original error may quote the key
	}
	return NodeKey{key}, nil
}

// Bytes is the encoded key, for the caller to seal and store.
func (k NodeKey) Bytes() ([]byte, error) {
	raw, err := k.key.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encoding a node's seal key: %w", err)
	}
	return raw, nil
}

// Public is the public part.
func (k NodeKey) Public() NodePublic { return NodePublic{k.key.PublicKey()} }

// ParseNodePublic decodes the result of NodePublic.Bytes.
func ParseNodePublic(raw []byte) (NodePublic, error) {
	key, err := recoveryKEM.NewPublicKey(raw)
	if err != nil {
		return NodePublic{}, fmt.Errorf("reading the public part of a node's seal key: %w", err)
	}
	return NodePublic{key}, nil
}

// Bytes is the encoded public part.
func (p NodePublic) Bytes() []byte { return p.key.Bytes() }

// SealToNode seals the root key for the node of that id. version is the version of
// the root key that the node is to learn; the result opens for no other.
func (r Root) SealToNode(p NodePublic, clusterID, nodeID string, version byte) ([]byte, error) {
	plaintext := r.encode()
	defer clear(plaintext)
	sealed, err := hpke.Seal(p.key, hpke.HKDFSHA256(), hpke.AES256GCM(), nodePlace(clusterID, nodeID, version), plaintext)
	if err != nil {
		return nil, fmt.Errorf("sealing root key for node %s: %w", nodeID, err)
	}
	return sealed, nil
}

// OpenRootByNode opens the result of SealToNode.
func OpenRootByNode(sealed []byte, k NodeKey, clusterID, nodeID string, version byte) (Root, error) {
	plaintext, err := hpke.Open(k.key, hpke.HKDFSHA256(), hpke.AES256GCM(), nodePlace(clusterID, nodeID, version), sealed)
	if err != nil {
		return Root{}, fmt.Errorf("opening root key for node %s: %w", nodeID, ErrDamaged)
	}
	defer clear(plaintext)
	return decodeRoot(plaintext)
}

func nodePlace(clusterID, nodeID string, version byte) []byte {
	return encode(nil, "keyfob root for node", clusterID, nodeID, strconv.Itoa(int(version)))
}

func (k NodeKey) String() string               { return stars }
func (k NodeKey) GoString() string             { return stars }
func (k NodeKey) MarshalText() ([]byte, error) { return []byte(stars), nil }
