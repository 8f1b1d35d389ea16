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

// Root is the root key of the cluster in all versions that are still in use. It
// does not change; rotation makes new ones, in steps that every node must have
// taken before any node takes the next:
//
//	Add      a new version opens, nothing is sealed under it yet
//	Promote  everything new is sealed under it
//	         … whatever Vault.Current says is not, is renewed with Vault.Move;
//	         the Raft log and old snapshots are left behind …
//	Drop     the old version is gone, and what it sealed with it
type Root struct {
	ring *rootRing
}

type rootRing struct {
	primary byte
	keys    map[byte]*[keySize]byte
}

// NewRoot makes the root key of a new cluster, of version 1.
func NewRoot(random io.Reader) (Root, error) {
	return Root{&rootRing{primary: 1}}.add(random, 1)
}

// Primary returns the version that seals.
func (r Root) Primary() byte { return r.ring.primary }

// Versions returns the versions that open, in order.
func (r Root) Versions() []byte { return slices.Sorted(maps.Keys(r.ring.keys)) }

// Add returns r with a new version, the next number after the highest.
func (r Root) Add(random io.Reader) (Root, error) {
	highest := slices.Max(r.Versions())
	if highest == 255 {
		return Root{}, errors.New("adding root key: versions are used up")
	}
	return r.add(random, highest+1)
}

func (r Root) add(random io.Reader, version byte) (Root, error) {
	key := new([keySize]byte)
	if _, err := io.ReadFull(random, key[:]); err != nil {
		return Root{}, fmt.Errorf("making root key: %w", err)
	}
	next := r.copy()
	next.ring.keys[version] = key
	return next, nil
}

// Promote returns r with version as the one that seals.
func (r Root) Promote(version byte) (Root, error) {
	if r.ring.keys[version] == nil {
		return Root{}, fmt.Errorf("promoting root key: there is no version %d", version)
	}
	next := r.copy()
	next.ring.primary = version
	return next, nil
}

// Drop returns r without a version that does not seal any more.
func (r Root) Drop(version byte) (Root, error) {
	if version == r.ring.primary {
		return Root{}, fmt.Errorf("dropping root key: version %d is in use, promote another first", version)
	}
	if r.ring.keys[version] == nil {
		return Root{}, fmt.Errorf("dropping root key: there is no version %d", version)
	}
	next := r.copy()
	clear(next.ring.keys[version][:])
	delete(next.ring.keys, version)
	return next, nil
}

// Wipe overwrites and forgets the keys. Vaults opened with r go on, r opens none.
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

// decodeRoot reads what encode wrote, and nothing else: the versions ascend, the
// primary is one of them.
func decodeRoot(data []byte) (Root, error) {
	if len(data) == 0 || len(data)%(1+keySize) != 1 {
		return Root{}, errors.New("root key has a wrong size")
	}
	ring := &rootRing{primary: data[0], keys: make(map[byte]*[keySize]byte)}
	last := byte(0)
	for rest := data[1:]; len(rest) > 0; rest = rest[1+keySize:] {
		if rest[0] <= last {
			return Root{}, errors.New("root key versions are out of order")
		}
		last = rest[0]
		key := [keySize]byte(rest[1 : 1+keySize])
		ring.keys[last] = &key
	}
	if ring.keys[ring.primary] == nil {
		return Root{}, fmt.Errorf("root key version %d is missing", ring.primary)
	}
	return Root{ring}, nil
}

const minInviteSecret = 16 // bytes: it must withstand guessing by whoever recorded the join

// SealFor seals the root for the node that holds the invitation's secret and
// joins under that name, and for nobody else.
func (r Root) SealFor(inviteSecret []byte, clusterID, nodeID string) ([]byte, error) {
	key, place, err := transfer(inviteSecret, clusterID, nodeID)
	if err != nil {
		return nil, fmt.Errorf("sealing root key for %s: %w", nodeID, err)
	}
	plaintext := r.encode()
	defer clear(plaintext)
	return newAEAD(key).Seal([]byte{formatTransfer}, nil, plaintext, place), nil
}

// OpenRootFrom opens, on the node that joins, what SealFor made.
func OpenRootFrom(sealed, inviteSecret []byte, clusterID, nodeID string) (Root, error) {
	key, place, err := transfer(inviteSecret, clusterID, nodeID)
	if err != nil {
		return Root{}, fmt.Errorf("opening root key for %s: %w", nodeID, err)
	}
	box, ok := bytes.CutPrefix(sealed, []byte{formatTransfer})
	if !ok {
		return Root{}, fmt.Errorf("opening root key for %s: %w", nodeID, ErrDamaged)
	}
	plaintext, err := newAEAD(key).Open(nil, nil, box, place)
	if err != nil {
		return Root{}, fmt.Errorf("opening root key for %s: %w", nodeID, ErrDamaged)
	}
	defer clear(plaintext)
	return decodeRoot(plaintext)
}

func transfer(inviteSecret []byte, clusterID, nodeID string) (key [keySize]byte, place []byte, err error) {
	if len(inviteSecret) < minInviteSecret {
		return key, nil, fmt.Errorf("invitation's secret has %d bytes, needs %d", len(inviteSecret), minInviteSecret)
	}
	place = encode(nil, "keyfob root transfer", clusterID, nodeID)
	out, err := hkdf.Key(sha256.New, inviteSecret, nil, string(place), keySize)
	if err != nil {
		return key, nil, err
	}
	defer clear(out)
	return [keySize]byte(out), place, nil
}
