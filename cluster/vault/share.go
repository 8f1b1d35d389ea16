package vault

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"
)

// RecoveryShare is one part of a recovery key that was split. Threshold of them, any
// ones, give the key; fewer say nothing about it (Shamir's scheme over the scalars of
// P-256).
type RecoveryShare struct {
	Number    int // from 1
	Threshold int
	key       [recoveryName]byte
	value     group.Scalar
}

// MaxShares is the largest number of shares of a key.
const MaxShares = 16

const (
	sharePrefix = "KFS-"
	shareHead   = recoveryName + 2 // bytes before the value: name, threshold, number
)

var shareGroup = group.P256

// Split splits the key into shares, of which threshold are needed.
func (k RecoveryKey) Split(random io.Reader, shares, threshold int) ([]RecoveryShare, error) {
	if threshold < 2 || threshold > shares || shares > MaxShares {
		return nil, fmt.Errorf("splitting into %d shares with threshold %d: want 2 to %d shares, and a threshold from 2 to the number of shares", shares, threshold, MaxShares)
	}
	seed, err := k.seed()
	if err != nil {
		return nil, err
	}
	defer clear(seed)
	secret := shareGroup.NewScalar()
	if err := secret.UnmarshalBinary(seed); err != nil {
		return nil, fmt.Errorf("splitting recovery key: %w", err)
	}
	split := make([]RecoveryShare, shares)
	for i, share := range secretsharing.New(random, uint(threshold-1), secret).Share(uint(shares)) {
		split[i] = RecoveryShare{Number: i + 1, Threshold: threshold, key: k.Public().name(), value: share.Value}
	}
	return split, nil
}

// Key is the short name of the recovery key.
func (s RecoveryShare) Key() string { return hex.EncodeToString(s.key[:]) }

// Reveal returns the share as text that can be kept on paper.
func (s RecoveryShare) Reveal() (string, error) {
	value, err := s.value.MarshalBinary()
	if err != nil {
		return "", fmt.Errorf("encoding share %d: %w", s.Number, err)
	}
	defer clear(value)
	data := append(s.key[:], byte(s.Threshold), byte(s.Number))
	data = append(data, value...)
	defer clear(data)
	return spell(sharePrefix, data), nil
}

// ParseRecoveryShare parses the text of Reveal, as ParseRecoveryKey does.
func ParseRecoveryShare(text string) (RecoveryShare, error) {
	data, err := unspell("share of a recovery key", sharePrefix, shareHead+recoverySeed, text)
	if err != nil {
		return RecoveryShare{}, err
	}
	defer clear(data)
	s := RecoveryShare{key: [recoveryName]byte(data), Threshold: int(data[recoveryName]), Number: int(data[recoveryName+1]), value: shareGroup.NewScalar()}
	if err := s.value.UnmarshalBinary(data[shareHead:]); err != nil {
		return RecoveryShare{}, fmt.Errorf("decoding share %d: %w", s.Number, err)
	}
	if s.Threshold < 2 || s.Threshold > MaxShares || s.Number < 1 || s.Number > MaxShares {
		return RecoveryShare{}, errors.New("this share of a recovery key was not made by this program")
	}
	return s, nil
}

func (s RecoveryShare) String() string               { return stars }
func (s RecoveryShare) GoString() string             { return stars }
func (s RecoveryShare) MarshalText() ([]byte, error) { return []byte(stars), nil }

// RecoveryReader puts a recovery key together from what people type: the key itself,
// or its shares in any order.
type RecoveryReader struct {
	shares []RecoveryShare
	key    RecoveryKey
	whole  bool
}

// Add takes the key or one share. Its errors do not quote the text, and leave the
// reader as it was.
func (r *RecoveryReader) Add(text string) error {
	if r.whole {
		return errors.New("the recovery key is complete already")
	}
	if !strings.HasPrefix(plain(text), strings.TrimSuffix(sharePrefix, "-")) {
		if len(r.shares) > 0 {
			return fmt.Errorf("a share is wanted, which begins with %s", sharePrefix)
		}
		key, err := ParseRecoveryKey(text)
		if err != nil {
			return err
		}
		r.key, r.whole = key, true
		return nil
	}
	share, err := ParseRecoveryShare(text)
	if err != nil {
		return err
	}
	for _, other := range r.shares {
		switch {
		case other.key != share.key:
			return fmt.Errorf("this is a share of recovery key %s, the others are of %s", share.Key(), other.Key())
		case other.Threshold != share.Threshold:
			return fmt.Errorf("this share belongs to another splitting of the key: %d are needed of it, and %d of the others", share.Threshold, other.Threshold)
		case other.Number == share.Number:
			return fmt.Errorf("share %d was given already", share.Number)
		}
	}
	if len(r.shares)+1 < share.Threshold {
		r.shares = append(r.shares, share)
		return nil
	}
	key, err := combine(append(r.shares, share))
	if err != nil {
		r.shares = nil
		return err
	}
	r.key, r.whole = key, true
	return nil
}

// Missing is the number of shares that are still needed. It is 1 if nothing was given.
func (r *RecoveryReader) Missing() int {
	switch {
	case r.whole:
		return 0
	case len(r.shares) == 0:
		return 1
	}
	return r.shares[0].Threshold - len(r.shares)
}

// Given is the number of shares that were given.
func (r *RecoveryReader) Given() int { return len(r.shares) }

// Key is the key, once nothing is missing.
func (r *RecoveryReader) Key() (RecoveryKey, error) {
	switch {
	case r.whole:
		return r.key, nil
	case len(r.shares) == 0:
		return RecoveryKey{}, errors.New("there is no recovery key")
	}
	return RecoveryKey{}, fmt.Errorf("%d of the %d shares of recovery key %s are missing", r.Missing(), r.shares[0].Threshold, r.shares[0].Key())
}

// combine puts a key together. The key's name shows whether it is the right one.
func combine(shares []RecoveryShare) (RecoveryKey, error) {
	points := make([]secretsharing.Share, len(shares))
	for i, s := range shares {
		points[i] = secretsharing.Share{ID: shareGroup.NewScalar().SetUint64(uint64(s.Number)), Value: s.value}
	}
	secret, err := secretsharing.Recover(uint(shares[0].Threshold-1), points)
	if err != nil {
		return RecoveryKey{}, fmt.Errorf("putting shares together: %w", err)
	}
	seed, err := secret.MarshalBinary()
	if err != nil {
		return RecoveryKey{}, fmt.Errorf("putting shares together: %w", err)
	}
	defer clear(seed)
	key, err := recoveryKeyOf(seed)
	if err != nil {
		return RecoveryKey{}, err
	}
	if key.Public().name() != shares[0].key {
		return RecoveryKey{}, fmt.Errorf("these shares do not give recovery key %s: one of them is from another splitting, or was changed; give them again, with others", shares[0].Key())
	}
	return key, nil
}
