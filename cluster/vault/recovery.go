package vault

import (
	"bytes"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// RecoveryKey opens backups. The cluster stores only its public part, so no node can
// open a backup. It is created on an operator's machine and kept off the nodes.
//
// It opens the root key, which is sealed by HPKE (RFC 9180) with ML-KEM-768 and
// P-256 together: a backup may be kept for longer than one of them is safe.
type RecoveryKey struct{ key hpke.PrivateKey }

// RecoveryPublic is the public part of a recovery key, which seals.
type RecoveryPublic struct{ key hpke.PublicKey }

var (
	recoveryKEM = hpke.MLKEM768P256()

	// recoverySpelling omits 0, 1, 8 and 9. The first three look like O, I and B.
	recoverySpelling = base32.StdEncoding.WithPadding(base32.NoPadding)
)

const (
	recoveryPrefix = "KFR-"
	recoverySeed   = 32 // bytes of a key
	recoverySum    = 3  // bytes of SHA-256 that detect a typing error
	recoveryGroup  = 8  // characters between two hyphens
)

// NewRecoveryKey creates a recovery key.
func NewRecoveryKey() (RecoveryKey, error) {
	key, err := recoveryKEM.GenerateKey()
	if err != nil {
		return RecoveryKey{}, fmt.Errorf("creating recovery key: %w", err)
	}
	return RecoveryKey{key}, nil
}

// Public is the public part.
func (k RecoveryKey) Public() RecoveryPublic { return RecoveryPublic{k.key.PublicKey()} }

// Reveal returns the key as text that can be kept on paper.
func (k RecoveryKey) Reveal() (string, error) {
	seed, err := k.key.Bytes()
	if err != nil {
		return "", fmt.Errorf("encoding recovery key: %w", err)
	}
	defer clear(seed)
	sum := sha256.Sum256(seed)
	text := recoverySpelling.EncodeToString(append(bytes.Clone(seed), sum[:recoverySum]...))
	var groups []string
	for ; len(text) > recoveryGroup; text = text[recoveryGroup:] {
		groups = append(groups, text[:recoveryGroup])
	}
	return recoveryPrefix + strings.Join(append(groups, text), "-"), nil
}

// ParseRecoveryKey parses the text of Reveal. Case, spaces and hyphens do not matter.
// The error does not quote the text.
func ParseRecoveryKey(text string) (RecoveryKey, error) {
	text = strings.ToUpper(strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '-' || r == ' ' || r == '\n' || r == '\r' || r == '\t' }), ""))
	body, ok := strings.CutPrefix(text, strings.TrimSuffix(recoveryPrefix, "-"))
	if !ok {
		return RecoveryKey{}, fmt.Errorf("this is not a recovery key: a recovery key begins with %s", recoveryPrefix)
	}
	body = strings.NewReplacer("0", "O", "1", "I", "8", "B").Replace(body)
	raw, err := recoverySpelling.DecodeString(body)
	if err != nil || len(body) != recoverySpelling.EncodedLen(recoverySeed+recoverySum) {
		return RecoveryKey{}, errors.New("the recovery key is incomplete: copy all of it")
	}
	seed := raw[:recoverySeed]
	defer clear(raw)
	if sum := sha256.Sum256(seed); !bytes.Equal(sum[:recoverySum], raw[recoverySeed:]) {
		return RecoveryKey{}, errors.New("the recovery key contains a typing error: compare it character by character")
	}
	key, err := recoveryKEM.NewPrivateKey(seed)
	if err != nil {
		return RecoveryKey{}, fmt.Errorf("parsing recovery key: %w", err)
	}
	return RecoveryKey{key}, nil
}

// ParseRecoveryPublic parses the result of Bytes.
func ParseRecoveryPublic(raw []byte) (RecoveryPublic, error) {
	key, err := recoveryKEM.NewPublicKey(raw)
	if err != nil {
		return RecoveryPublic{}, fmt.Errorf("parsing the public part of a recovery key: %w", err)
	}
	return RecoveryPublic{key}, nil
}

// Bytes is the encoded key.
func (p RecoveryPublic) Bytes() []byte { return p.key.Bytes() }

// Name is a short name by which the holder finds the right key.
func (p RecoveryPublic) Name() string {
	sum := sha256.Sum256(p.key.Bytes())
	return hex.EncodeToString(sum[:4])
}

// SealToRecovery seals the root key for the holder of the recovery key.
func (r Root) SealToRecovery(p RecoveryPublic, clusterID string) ([]byte, error) {
	plaintext := r.encode()
	defer clear(plaintext)
	sealed, err := hpke.Seal(p.key, hpke.HKDFSHA256(), hpke.AES256GCM(), recoveryPlace(clusterID), plaintext)
	if err != nil {
		return nil, fmt.Errorf("sealing root key for recovery key %s: %w", p.Name(), err)
	}
	return sealed, nil
}

// OpenRootByRecovery opens the result of SealToRecovery.
func OpenRootByRecovery(sealed []byte, k RecoveryKey, clusterID string) (Root, error) {
	plaintext, err := hpke.Open(k.key, hpke.HKDFSHA256(), hpke.AES256GCM(), recoveryPlace(clusterID), sealed)
	if err != nil {
		return Root{}, fmt.Errorf("opening root key with recovery key %s: %w", k.Public().Name(), ErrDamaged)
	}
	defer clear(plaintext)
	return decodeRoot(plaintext)
}

func recoveryPlace(clusterID string) []byte {
	return encode(nil, "keyfob root recovery", clusterID)
}

func (k RecoveryKey) String() string               { return stars }
func (k RecoveryKey) GoString() string             { return stars }
func (k RecoveryKey) MarshalText() ([]byte, error) { return []byte(stars), nil }
