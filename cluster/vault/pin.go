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

// How a PIN was hashed: the first byte of the sealed record.
const schemeArgon2id = 1

// Argon2id (RFC 9106) at OWASP's minimum. It gains time if the PIN key has leaked
// too. Against the theft of a disk it is the sealing that protects: trying all
// four-digit PINs takes four minutes.
const (
	argonTime   = 2
	argonMemory = 19 << 10 // KiB
	argonLanes  = 1
	argonSize   = 32 // bytes of hash
)

const (
	pinRecordSize = 1 + saltSize + argonSize
	maxPIN        = 128 // bytes; the limit of a RADIUS password
)

// PINIdentity is the place of a token's PIN at one revision of the token's secrets.
// A PIN that was replaced does not open in place of the new one.
func PINIdentity(serial string, revision uint64) Identity {
	return Identity{Table: "tokens", Record: serial, Field: "pin " + strconv.FormatUint(revision, 10)}
}

// SealPIN hashes and seals the PIN that the token has at revision. It may wait, and
// has the same errors as PINMatches.
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

// PINMatches reports whether pin is the PIN sealed for the token at revision.
// Without an error the answer is certain.
//
// The first time it computes Argon2id, about 20 ms of a core. A correct PIN is then
// kept in memory as a digest, under a key that exists only in this process and
// bound to the hash that was sealed. From then on any PIN for this token is checked
// in a few microseconds, also after the hash was sealed again under another key.
//
// The error is ErrDamaged, ErrBusy or that of ctx. With an error nothing is known
// about the PIN, and nobody may be let in.
func (v *Vault) PINMatches(ctx context.Context, serial string, revision uint64, sealed []byte, pin Secret) (bool, error) {
	if len(pin) == 0 || len(pin) > maxPIN {
		return false, nil
	}
	record, err := v.openPIN(serial, revision, sealed)
	if err != nil {
		return false, err
	}
	defer clear(record)
	entry := v.known.entry(serial, revision, record, pin)
	if known, same := v.known.lookup(entry); known {
		return same, nil
	}
	if err := v.hashing.enter(ctx); err != nil {
		return false, fmt.Errorf("verifying PIN: %w", err)
	}
	defer v.hashing.leave()
	if known, same := v.known.lookup(entry); known { // verified by another caller meanwhile
		return same, nil
	}
	salt, want := record[1:1+saltSize], record[1+saltSize:]
	if subtle.ConstantTimeCompare(argonHash(pin, salt), want) != 1 {
		return false, nil
	}
	v.known.store(entry)
	return true, nil
}

// Crowded reports whether PINMatches and SealPIN would return ErrBusy now.
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
