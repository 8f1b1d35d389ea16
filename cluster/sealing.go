package cluster

import (
	"context"
	"crypto/subtle"
	"fmt"

	"keyfob/cluster/vault"
	"keyfob/engine"
)

// sealing is what doors may do with the keys of a node: seal what an
// administrator enters, and open the secrets of RADIUS clients.
type sealing struct{ keys keys }

// SealSeed seals the seed of a token to its serial.
func (s sealing) SealSeed(serial string, seed engine.Secret) ([]byte, error) {
	return s.keys.vault.Seal(vault.Seeds, seedPlace(serial), []byte(seed.Reveal())), nil
}

// CallerDigest is what the state holds of the word of a user on the telephone.
func (s sealing) CallerDigest(user string, word engine.Secret) string {
	return engine.CallerDigest(s.keys, user, word.Reveal())
}

// SameSeed reports whether a seed is the one that SealSeed sealed.
func (s sealing) SameSeed(serial string, sealed []byte, seed engine.Secret) (bool, error) {
	old, err := s.keys.OpenSeed(serial, sealed)
	if err != nil {
		return false, fmt.Errorf("comparing seeds of token %s: %w", serial, err)
	}
	return subtle.ConstantTimeCompare([]byte(old.Reveal()), []byte(seed.Reveal())) == 1, nil
}

// SealPIN hashes and seals the PIN of a token that is imported with one.
func (s sealing) SealPIN(ctx context.Context, serial string, revision uint64, pin engine.Secret) ([]byte, error) {
	return s.keys.SealPIN(ctx, serial, revision, pin)
}

// SealPINpad seals the PIN of a token that adds it to the tokencode.
func (s sealing) SealPINpad(serial string, revision uint64, pin engine.Secret) ([]byte, error) {
	return s.keys.SealPINpad(serial, revision, pin)
}

// SealClientSecret seals the shared secret of a RADIUS client to its name.
func (s sealing) SealClientSecret(name string, secret engine.Secret) ([]byte, error) {
	return s.keys.vault.Seal(vault.Clients, clientPlace(name), []byte(secret.Reveal())), nil
}

// OpenClientSecret opens what SealClientSecret sealed.
func (s sealing) OpenClientSecret(name string, sealed []byte) (engine.Secret, error) {
	secret, err := s.keys.vault.Open(vault.Clients, clientPlace(name), sealed)
	return engine.Secret(secret), err
}

// SealNote seals a text that a door keeps in a cookie. The text does not expire by
// itself.
func (s sealing) SealNote(kind, text string) string {
	return s.keys.vault.SealText(vault.Conversations, notePlace(kind), []byte(text))
}

// OpenNote opens what SealNote sealed, on any node of the cluster.
func (s sealing) OpenNote(kind, sealed string) (text string, ok bool) {
	plain, err := s.keys.vault.OpenText(vault.Conversations, notePlace(kind), sealed)
	return string(plain), err == nil
}

func notePlace(kind string) vault.Identity { return vault.Identity{Table: "notes", Record: kind} }
