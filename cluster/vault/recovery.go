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

// RecoveryKey opens backups. The cluster knows only its public half, so no node
// can open one. The key is made on the operator's machine and kept off the nodes.
//
// What it opens is the root key, sealed by HPKE (RFC 9180) with ML-KEM-768 and
// P-256 together, since a backup may lie about for longer than either is safe.
type RecoveryKey struct{ key hpke.PrivateKey }

// RecoveryPublic is the half of a recovery key that seals.
type RecoveryPublic struct{ key hpke.PublicKey }

var (
	recoveryKEM = hpke.MLKEM768P256()

	// recoverySpelling has no 0, 1, 8 and 9, which look like O, I and B and like
	// nothing.
	recoverySpelling = base32.StdEncoding.WithPadding(base32.NoPadding)
)

const (
	recoveryPrefix = "KFR-"
	recoverySeed   = 32 // bytes of a key
	recoverySum    = 3  // bytes of SHA-256 that tell a slip of the pen
	recoveryGroup  = 8  // letters between two dashes
)

// NewRecoveryKey makes one.
func NewRecoveryKey() (RecoveryKey, error) {
	key, err := recoveryKEM.GenerateKey()
	if err != nil {
		return RecoveryKey{}, fmt.Errorf("making recovery key: %w", err)
	}
	return RecoveryKey{key}, nil
}

// Public is the half that seals.
func (k RecoveryKey) Public() RecoveryPublic { return RecoveryPublic{k.key.PublicKey()} }

// Reveal spells the key so that it can be kept on paper.
func (k RecoveryKey) Reveal() (string, error) {
	seed, err := k.key.Bytes()
	if err != nil {
		return "", fmt.Errorf("spelling recovery key: %w", err)
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

// ParseRecoveryKey reads what Reveal spelled; case, spaces and dashes do not
// matter. The error quotes nothing of it.
func ParseRecoveryKey(text string) (RecoveryKey, error) {
	text = strings.ToUpper(strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '-' || r == ' ' || r == '\n' || r == '\r' || r == '\t' }), ""))
	body, ok := strings.CutPrefix(text, strings.TrimSuffix(recoveryPrefix, "-"))
	if !ok {
		return RecoveryKey{}, fmt.Errorf("this is no recovery key: one begins with %s", recoveryPrefix)
	}
	body = strings.NewReplacer("0", "O", "1", "I", "8", "B").Replace(body)
	raw, err := recoverySpelling.DecodeString(body)
	if err != nil || len(body) != recoverySpelling.EncodedLen(recoverySeed+recoverySum) {
		return RecoveryKey{}, errors.New("the recovery key is not whole: copy all of it")
	}
	seed := raw[:recoverySeed]
	defer clear(raw)
	if sum := sha256.Sum256(seed); !bytes.Equal(sum[:recoverySum], raw[recoverySeed:]) {
		return RecoveryKey{}, errors.New("the recovery key has a slip in it: compare it letter by letter")
	}
	key, err := recoveryKEM.NewPrivateKey(seed)
	if err != nil {
		return RecoveryKey{}, fmt.Errorf("reading recovery key: %w", err)
	}
	return RecoveryKey{key}, nil
}

// ParseRecoveryPublic reads what Bytes wrote.
func ParseRecoveryPublic(raw []byte) (RecoveryPublic, error) {
	key, err := recoveryKEM.NewPublicKey(raw)
	if err != nil {
		return RecoveryPublic{}, fmt.Errorf("reading the public half of a recovery key: %w", err)
	}
	return RecoveryPublic{key}, nil
}

// Bytes are the key as it is stored.
func (p RecoveryPublic) Bytes() []byte { return p.key.Bytes() }

// Name is a short name of the key, by which its holder finds the right one.
func (p RecoveryPublic) Name() string {
	sum := sha256.Sum256(p.key.Bytes())
	return hex.EncodeToString(sum[:4])
}

// SealToRecovery seals the root for whoever holds the recovery key.
func (r Root) SealToRecovery(p RecoveryPublic, clusterID string) ([]byte, error) {
	plaintext := r.encode()
	defer clear(plaintext)
	sealed, err := hpke.Seal(p.key, hpke.HKDFSHA256(), hpke.AES256GCM(), recoveryPlace(clusterID), plaintext)
	if err != nil {
		return nil, fmt.Errorf("sealing root key for recovery key %s: %w", p.Name(), err)
	}
	return sealed, nil
}

// OpenRootByRecovery opens what SealToRecovery made.
func OpenRootByRecovery(sealed []byte, k RecoveryKey, clusterID string) (Root, error) {
	plaintext, err := hpke.Open(k.key, hpke.HKDFSHA256(), hpke.AES256GCM(), recoveryPlace(clusterID), sealed)
	if err != nil {
		return Root{}, fmt.Errorf("opening root key by recovery key %s: %w", k.Public().Name(), ErrDamaged)
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
