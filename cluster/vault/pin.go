package vault

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"strconv"

	"golang.org/x/crypto/argon2"
)

// How a PIN was hashed; first byte of what is sealed.
const schemeArgon2id = 1

// Argon2id (RFC 9106) at OWASP's minimum. It buys time when the PIN key has
// leaked too; against the thief of a disk the sealing is what protects, since
// all PINs of four digits take four minutes.
const (
	argonTime   = 2
	argonMemory = 19 << 10 // KiB
	argonLanes  = 1
	argonSize   = 32 // bytes of hash
)

const (
	pinRecordSize = 1 + saltSize + argonSize
	maxPIN        = 128 // bytes; what a RADIUS password can hold
)

// PINIdentity is the place of a token's PIN: that of one revision of the token's
// secrets, so that a PIN that was replaced does not open in place of its
// successor.
func PINIdentity(serial string, revision uint64) Identity {
	return Identity{Table: "tokens", Record: serial, Field: "pin " + strconv.FormatUint(revision, 10)}
}

// SealPIN hashes and seals a PIN as the one that the token has at revision. It
// waits for its turn like PINMatches, with the same errors.
func (v *Vault) SealPIN(ctx context.Context, serial string, revision uint64, pin Secret) ([]byte, error) {
	if len(pin) == 0 || len(pin) > maxPIN {
		return nil, errors.New("sealing PIN: it is empty or too long")
	}
	record := make([]byte, 1+saltSize, pinRecordSize)
	defer func() { clear(record) }()
	record[0] = schemeArgon2id
	if _, err := io.ReadFull(v.random, record[1:]); err != nil {
		return nil, fmt.Errorf("sealing PIN: %w", err)
	}

	if err := v.hashing.enter(ctx); err != nil {
		return nil, fmt.Errorf("sealing PIN: %w", err)
	}
	defer v.hashing.leave()
	record = append(record, argonHash(pin, record[1:])...)
	return v.Seal(PINs, PINIdentity(serial, revision), record), nil
}

// PINMatches says whether pin is the one sealed for the token at revision. An
// answer without an error is certain.
//
// The first time it costs Argon2id, about 20 ms of a core. A PIN found right is
// remembered in memory, as a digest under a key that lives and dies with the
// process and bound to these very sealed bytes; from then on this token's PIN,
// right or wrong, is answered in about two microseconds.
//
// The errors are ErrDamaged, ErrBusy and that of ctx: whoever gets one knows
// nothing about the PIN, and must not let anyone in.
func (v *Vault) PINMatches(ctx context.Context, serial string, revision uint64, sealed []byte, pin Secret) (bool, error) {
	if len(pin) == 0 || len(pin) > maxPIN {
		return false, nil
	}
	mark := v.seen.mark(serial, revision, sealed, pin)
	if known, same := v.seen.recall(mark); known {
		return same, nil
	}

	record, err := v.openPIN(serial, revision, sealed)
	if err != nil {
		return false, err
	}
	defer clear(record)
	if err := v.hashing.enter(ctx); err != nil {
		return false, fmt.Errorf("verifying PIN: %w", err)
	}
	defer v.hashing.leave()
	if known, same := v.seen.recall(mark); known { // learned while this one waited
		return same, nil
	}
	salt, want := record[1:1+saltSize], record[1+saltSize:]
	if subtle.ConstantTimeCompare(argonHash(pin, salt), want) != 1 {
		return false, nil
	}
	v.seen.remember(mark)
	return true, nil
}

// Crowded reports whether a PIN that is to be hashed would be turned away now,
// with ErrBusy.
func (v *Vault) Crowded() bool { return v.hashing.full() }

func (v *Vault) openPIN(serial string, revision uint64, sealed []byte) ([]byte, error) {
	record, err := v.Open(PINs, PINIdentity(serial, revision), sealed)
	if err != nil {
		return nil, err
	}
	if len(record) != pinRecordSize || record[0] != schemeArgon2id {
		return nil, fmt.Errorf("opening %v: unknown scheme: %w", PINs, ErrDamaged)
	}
	return record, nil
}

func argonHash(pin Secret, salt []byte) []byte {
	return argon2.IDKey(pin, salt, argonTime, argonMemory, argonLanes, argonSize)
}
