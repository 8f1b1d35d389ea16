package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"keyfob/cluster/vault"
	"keyfob/engine"
)

// keys implements engine.Keys with the vault.
type keys struct {
	vault   *vault.Vault
	random  io.Reader
	version byte // of the root key that chance depends on; 0: the present one
}

// under returns keys whose chance depends on a version of the root key.
func (k keys) under(version byte) keys {
	k.version = version
	return k
}

var _ engine.Keys = keys{}

func seedPlace(serial string) vault.Identity {
	return vault.Identity{Table: "tokens", Record: serial, Field: "seed"}
}

func clientPlace(name string) vault.Identity {
	return vault.Identity{Table: "clients", Record: name, Field: "secret"}
}

// pinpadPlace binds a PIN that is added to the tokencode to its revision, like the
// hashes of other PINs.
func pinpadPlace(serial string, revision uint64) vault.Identity {
	return vault.Identity{Table: "tokens", Record: serial, Field: "pinpad " + strconv.FormatUint(revision, 10)}
}

var caPlace = vault.Identity{Table: "cluster", Record: "ca", Field: "key"}

// OpenSeed implements engine.Keys.
func (k keys) OpenSeed(serial string, sealed []byte) (engine.Secret, error) {
	seed, err := k.vault.Open(vault.Seeds, seedPlace(serial), sealed)
	return engine.Secret(seed), err
}

// PINMatches implements engine.Keys.
func (k keys) PINMatches(ctx context.Context, serial string, revision uint64, sealed []byte, pin engine.Secret) (bool, error) {
	ok, err := k.vault.PINMatches(ctx, serial, revision, sealed, vault.Secret(pin.Reveal()))
	return ok, busy(err)
}

// SealPIN implements engine.Keys.
func (k keys) SealPIN(ctx context.Context, serial string, revision uint64, pin engine.Secret) ([]byte, error) {
	sealed, err := k.vault.SealPIN(ctx, serial, revision, vault.Secret(pin.Reveal()))
	return sealed, busy(err)
}

// SealPINpad implements engine.Keys.
func (k keys) SealPINpad(serial string, revision uint64, pin engine.Secret) ([]byte, error) {
	return k.vault.Seal(vault.PINs, pinpadPlace(serial, revision), []byte(pin.Reveal())), nil
}

// OpenPINpad implements engine.Keys.
func (k keys) OpenPINpad(serial string, revision uint64, sealed []byte) (engine.Secret, error) {
	pin, err := k.vault.Open(vault.PINs, pinpadPlace(serial, revision), sealed)
	return engine.Secret(pin), err
}

// ChanceOf implements engine.Keys.
func (k keys) ChanceOf(text string) func([]byte) error {
	drawn, version := 0, k.version
	if version == 0 {
		version = k.vault.Primary()
	}
	return func(b []byte) error {
		for len(b) > 0 {
			block, ok := k.vault.DeriveUnder(version, vault.Conversations, fmt.Sprintf("chance %d of %s", drawn, text))
			if !ok {
				return fmt.Errorf("version %d of the root key is no longer in use: %w", version, engine.ErrStale)
			}
			b = b[copy(b, block[:]):]
			drawn++
		}
		return nil
	}
}

// Random implements engine.Keys.
func (k keys) Random(b []byte) error {
	_, err := io.ReadFull(k.random, b)
	return err
}

// Pseudonym implements engine.Keys.
func (k keys) Pseudonym(text string) string { return k.vault.Pseudonym(text) }

// busy turns the vault's error for a full queue into the engine's.
func busy(err error) error {
	if errors.Is(err, vault.ErrBusy) {
		return fmt.Errorf("%w: %w", engine.ErrBusy, err)
	}
	return err
}

// A log entry is the number of the record that its batch follows, in the clear,
// and the batch, sealed to that number. Each entry has a key of its own, so an
// entry in another's place does not open.
const entryHeader = 8

func entryPlace(base uint64) vault.Identity {
	return vault.Identity{Table: "log", Record: strconv.FormatUint(base, 10), Field: "batch"}
}

func sealEntry(v *vault.Vault, base uint64, batch []byte) []byte {
	entry := binary.BigEndian.AppendUint64(nil, base)
	return append(entry, v.Seal(vault.Log, entryPlace(base), batch)...)
}

func openEntry(v *vault.Vault, entry []byte) ([]byte, error) {
	if len(entry) < entryHeader {
		return nil, fmt.Errorf("log entry of %d bytes: %w", len(entry), vault.ErrDamaged)
	}
	return v.Open(vault.Log, entryPlace(binary.BigEndian.Uint64(entry)), entry[entryHeader:])
}
