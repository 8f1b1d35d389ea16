package vault

import (
	"bytes"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// RecoveryKey opens backups. The cluster stores only its public part, so no node can
// open a backup. It is created on an operator's machine and kept off the nodes.
//
// It opens what is sealed for it by HPKE (RFC 9180) with ML-KEM-768 and P-256
// together: a backup may be kept for longer than one of them is safe.
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
	recoveryGroup  = 4  // characters between two hyphens
	recoveryName   = 4  // bytes of SHA-256 of the public part
)

// NewRecoveryKey creates a recovery key. Its seed is a scalar of P-256, so that it
// can be split.
func NewRecoveryKey(random io.Reader) (RecoveryKey, error) {
	seed, err := shareGroup.RandomNonZeroScalar(random).MarshalBinary()
	if err != nil {
		return RecoveryKey{}, fmt.Errorf("creating recovery key: %w", err)
	}
	defer clear(seed)
	return recoveryKeyOf(seed)
}

func recoveryKeyOf(seed []byte) (RecoveryKey, error) {
	key, err := recoveryKEM.NewPrivateKey(seed)
	if err != nil {
		return RecoveryKey{}, fmt.Errorf("decoding recovery key: %w", err)
	}
	return RecoveryKey{key}, nil
}

// Public is the public part.
func (k RecoveryKey) Public() RecoveryPublic { return RecoveryPublic{k.key.PublicKey()} }

// Reveal returns the key as text that can be kept on paper.
func (k RecoveryKey) Reveal() (string, error) {
	seed, err := k.seed()
	if err != nil {
		return "", err
	}
	defer clear(seed)
	return spell(recoveryPrefix, seed), nil
}

// seed is a copy of the key's bytes. The key keeps those that it returns.
func (k RecoveryKey) seed() ([]byte, error) {
	seed, err := k.key.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encoding recovery key: %w", err)
	}
	return bytes.Clone(seed), nil
}

// ParseRecoveryKey parses the text of Reveal. Case, spaces and hyphens do not matter.
// The error does not quote the text.
func ParseRecoveryKey(text string) (RecoveryKey, error) {
	seed, err := unspell("recovery key", recoveryPrefix, recoverySeed, text)
	if err != nil {
		return RecoveryKey{}, err
	}
	defer clear(seed)
	return recoveryKeyOf(seed)
}

// spell writes bytes in a form that can be read aloud and typed, with a checksum.
func spell(prefix string, data []byte) string {
	sum := sha256.Sum256(data)
	text := recoverySpelling.EncodeToString(append(bytes.Clone(data), sum[:recoverySum]...))
	var groups []string
	for ; len(text) > recoveryGroup; text = text[recoveryGroup:] {
		groups = append(groups, text[:recoveryGroup])
	}
	return prefix + strings.Join(append(groups, text), "-")
}

// unspell reads the result of spell, of size bytes.
func unspell(what, prefix string, size int, text string) ([]byte, error) {
	body, ok := strings.CutPrefix(plain(text), strings.TrimSuffix(prefix, "-"))
	if !ok {
		return nil, fmt.Errorf("this is not a %s: a %s begins with %s", what, what, prefix)
	}
	body = strings.NewReplacer("0", "O", "1", "I", "8", "B").Replace(body)
	raw, err := recoverySpelling.DecodeString(body)
	if err != nil || len(body) != recoverySpelling.EncodedLen(size+recoverySum) {
		return nil, fmt.Errorf("the %s is incomplete: copy all of it", what)
	}
	sum := sha256.Sum256(raw[:size])
	if !bytes.Equal(sum[:recoverySum], raw[size:]) || recoverySpelling.EncodeToString(raw) != body {
		clear(raw)
		return nil, fmt.Errorf("the %s contains a typing error: compare it character by character", what)
	}
	return raw[:size:size], nil
}

// plain removes from a typed text what does not matter.
func plain(text string) string {
	return strings.ToUpper(strings.Join(strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("- \n\r\t", r) }), ""))
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
	name := p.name()
	return hex.EncodeToString(name[:])
}

func (p RecoveryPublic) name() [recoveryName]byte {
	sum := sha256.Sum256(p.key.Bytes())
	return [recoveryName]byte(sum[:])
}

// SealToRecovery seals the root key for the holder of the recovery key.
func (r Root) SealToRecovery(p RecoveryPublic, clusterID string) ([]byte, error) {
	return r.sealTo(p, recoveryPlace(clusterID))
}

// OpenRootByRecovery opens the result of SealToRecovery.
func OpenRootByRecovery(sealed []byte, k RecoveryKey, clusterID string) (Root, error) {
	return k.open(sealed, recoveryPlace(clusterID))
}

func recoveryPlace(clusterID string) []byte {
	return encode(nil, "keyfob root recovery", clusterID)
}

func (r Root) sealTo(p RecoveryPublic, place []byte) ([]byte, error) {
	plaintext := r.encode()
	defer clear(plaintext)
	sealed, err := hpke.Seal(p.key, hpke.HKDFSHA256(), hpke.AES256GCM(), place, plaintext)
	if err != nil {
		return nil, fmt.Errorf("sealing for recovery key %s: %w", p.Name(), err)
	}
	return sealed, nil
}

func (k RecoveryKey) open(sealed, place []byte) (Root, error) {
	plaintext, err := hpke.Open(k.key, hpke.HKDFSHA256(), hpke.AES256GCM(), place, sealed)
	if err != nil {
		return Root{}, fmt.Errorf("opening with recovery key %s: %w", k.Public().Name(), ErrDamaged)
	}
	defer clear(plaintext)
	return decodeRoot(plaintext)
}

func (k RecoveryKey) String() string               { return stars }
func (k RecoveryKey) GoString() string             { return stars }
func (k RecoveryKey) MarshalText() ([]byte, error) { return []byte(stars), nil }
