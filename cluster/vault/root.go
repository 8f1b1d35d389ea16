package vault

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// Root is the root key of the cluster, in all versions that are still in use. It is
// immutable. The highest version seals; the others open what is left from before.
//
// A rotation makes a version of its own (NewRootVersion), which each node adds to
// what it has (With). When nothing is sealed under an older version any more, every
// node forgets it (Since).
type Root struct {
	ring *rootRing
}

type rootRing struct {
	primary byte
	keys    map[byte]*[keySize]byte
}

// NewRoot creates the root key of a new cluster, version 1.
func NewRoot(random io.Reader) (Root, error) { return NewRootVersion(random, 1) }

// NewRootVersion creates a version of the root key, without the others.
func NewRootVersion(random io.Reader, version byte) (Root, error) {
	key := new([keySize]byte)
	if _, err := io.ReadFull(random, key[:]); err != nil {
		return Root{}, fmt.Errorf("creating root key: %w", err)
	}
	return Root{&rootRing{primary: version, keys: map[byte]*[keySize]byte{version: key}}}, nil
}

// Primary is the version that seals.
func (r Root) Primary() byte { return r.ring.primary }

// Versions are all versions, in ascending order.
func (r Root) Versions() []byte { return slices.Sorted(maps.Keys(r.ring.keys)) }

// With returns r with the versions of other added.
func (r Root) With(other Root) Root {
	next, more := r.copy(), other.copy()
	for version, key := range more.ring.keys {
		if next.ring.keys[version] == nil {
			next.ring.keys[version] = key
		}
	}
	next.ring.primary = max(r.ring.primary, other.ring.primary)
	return next
}

// Since returns r without the versions before oldest. The primary stays.
func (r Root) Since(oldest byte) Root {
	next := r.copy()
	for version, key := range next.ring.keys {
		if version < min(oldest, next.ring.primary) {
			clear(key[:])
			delete(next.ring.keys, version)
		}
	}
	return next
}

// Wipe overwrites the keys. Vaults that were opened with r keep working; r cannot be
// used any more.
func (r Root) Wipe() {
	for _, key := range r.ring.keys {
		clear(key[:])
	}
	clear(r.ring.keys)
}

func (r Root) copy() Root {
	ring := &rootRing{primary: r.ring.primary, keys: make(map[byte]*[keySize]byte)}
	for version, key := range r.ring.keys {
		twin := *key
		ring.keys[version] = &twin
	}
	return Root{ring}
}

// encode writes the primary version, then each version and its key, in order.
func (r Root) encode() []byte {
	out := make([]byte, 0, 1+len(r.ring.keys)*(1+keySize))
	out = append(out, r.ring.primary)
	for _, version := range r.Versions() {
		out = append(out, version)
		out = append(out, r.ring.keys[version][:]...)
	}
	return out
}

// decodeRoot decodes the result of encode. It accepts only versions in ascending
// order that include the primary.
func decodeRoot(data []byte) (Root, error) {
	if len(data) == 0 || len(data)%(1+keySize) != 1 {
		return Root{}, errors.New("the root key has the wrong size")
	}
	ring := &rootRing{primary: data[0], keys: make(map[byte]*[keySize]byte)}
	last := byte(0)
	for rest := data[1:]; len(rest) > 0; rest = rest[1+keySize:] {
		if rest[0] <= last {
			return Root{}, errors.New("the versions of the root key are not in order")
		}
		last = rest[0]
		key := [keySize]byte(rest[1 : 1+keySize])
		ring.keys[last] = &key
	}
	if ring.keys[ring.primary] == nil {
		return Root{}, fmt.Errorf("version %d of the root key is missing", ring.primary)
	}
	return Root{ring}, nil
}

const minInviteSecret = 16 // bytes: it must withstand offline guessing with a recorded join

// SealFor seals the root key for the node that joins under that id: twice, for its own
// key, and under the secret of its invitation. Neither of the two opens it alone.
func (r Root) SealFor(p NodePublic, inviteSecret []byte, clusterID, nodeID string) ([]byte, error) {
	key, place, err := transfer(inviteSecret, clusterID, nodeID)
	if err != nil {
		return nil, fmt.Errorf("sealing root key for %s: %w", nodeID, err)
	}
	inner, err := r.SealToNode(p, clusterID, nodeID, r.Primary())
	if err != nil {
		return nil, err
	}
	return newAEAD(key).Seal([]byte{formatTransfer}, nil, append([]byte{r.Primary()}, inner...), place), nil
}

// OpenRootFrom opens the result of SealFor on the joining node.
func OpenRootFrom(sealed []byte, k NodeKey, inviteSecret []byte, clusterID, nodeID string) (Root, error) {
	key, place, err := transfer(inviteSecret, clusterID, nodeID)
	if err != nil {
		return Root{}, fmt.Errorf("opening root key for %s: %w", nodeID, err)
	}
	box, ok := bytes.CutPrefix(sealed, []byte{formatTransfer})
	if !ok {
		return Root{}, fmt.Errorf("opening root key for %s: %w", nodeID, ErrDamaged)
	}
	inner, err := newAEAD(key).Open(nil, nil, box, place)
	if err != nil || len(inner) == 0 {
		return Root{}, fmt.Errorf("opening root key for %s: %w", nodeID, ErrDamaged)
	}
	return OpenRootByNode(inner[1:], k, clusterID, nodeID, inner[0])
}

func transfer(inviteSecret []byte, clusterID, nodeID string) (key [keySize]byte, place []byte, err error) {
	if len(inviteSecret) < minInviteSecret {
		return key, nil, fmt.Errorf("the secret of the invitation has %d bytes, want at least %d", len(inviteSecret), minInviteSecret)
	}
	place = encode(nil, "keyfob root transfer", clusterID, nodeID)
	out, err := hkdf.Key(sha256.New, inviteSecret, nil, string(place), keySize)
	if err != nil {
		return key, nil, err
	}
	defer clear(out)
	return [keySize]byte(out), place, nil
}
