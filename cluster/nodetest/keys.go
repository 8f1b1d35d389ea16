package nodetest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"

	"keyfob/engine"
)

// Keys implements engine.Keys without encryption: what is sealed is the plain
// text.
type Keys struct{}

var _ engine.Keys = Keys{}

// SealSeed returns the seed.
func (Keys) SealSeed(_ string, seed engine.Secret) ([]byte, error) { return []byte(seed.Reveal()), nil }

// OpenSeed implements engine.Keys, as do the methods below.
func (Keys) OpenSeed(_ string, sealed []byte) (engine.Secret, error) {
	return engine.Secret(sealed), nil
}

// PINMatches compares.
func (Keys) PINMatches(_ context.Context, _ string, _ uint64, sealed []byte, pin engine.Secret) (bool, error) {
	return string(sealed) == pin.Reveal(), nil
}

// SealPIN returns the PIN.
func (Keys) SealPIN(_ context.Context, _ string, _ uint64, pin engine.Secret) ([]byte, error) {
	return []byte(pin.Reveal()), nil
}

// SealPINpad returns the PIN.
func (Keys) SealPINpad(_ string, _ uint64, pin engine.Secret) ([]byte, error) {
	return []byte(pin.Reveal()), nil
}

// OpenPINpad returns the PIN.
func (Keys) OpenPINpad(_ string, _ uint64, sealed []byte) (engine.Secret, error) {
	return engine.Secret(sealed), nil
}

// Random fills b.
func (Keys) Random(b []byte) error {
	_, err := rand.Read(b)
	return err
}

// ChanceOf derives bytes from the text alone.
func (Keys) ChanceOf(text string) func([]byte) error {
	sum := sha256.Sum256([]byte(text))
	return func(b []byte) error {
		for len(b) > 0 {
			b = b[copy(b, sum[:]):]
			sum = sha256.Sum256(sum[:])
		}
		return nil
	}
}

// Pseudonym hashes the text.
func (Keys) Pseudonym(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}
