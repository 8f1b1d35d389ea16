package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"fmt"
)

// First byte of everything sealed.
const (
	formatRecord   = 1
	formatStream   = 2
	formatTransfer = 3
)

const (
	headerSize   = 2       // format, key version
	overheadSize = 12 + 16 // nonce and tag of AES-GCM
)

// Identity is the place a sealed value belongs to, and opens in: the field of a
// record of a table, for example {"tokens", "000123456789", "seed"}.
type Identity struct {
	Table, Record, Field string
}

// Seal encrypts plaintext for the one place it belongs to. The result is 30
// bytes longer.
func (v *Vault) Seal(p Purpose, id Identity, plaintext []byte) []byte {
	ring := v.ring.Load()
	place := v.place(p, id)
	out := make([]byte, 0, headerSize+len(plaintext)+overheadSize)
	out = append(out, formatRecord, ring.primary)
	aead := newAEAD(derive(ring.keys[ring.primary][p][:], "keyfob record", string(place)))
	return aead.Seal(out, nil, plaintext, append(place, out...))
}

// Open decrypts what Seal made with the same purpose and identity in the same
// cluster; anything else is ErrDamaged. It is fit for bytes of strangers: no
// length is read from them, and the result is shorter than they are.
func (v *Vault) Open(p Purpose, id Identity, sealed []byte) ([]byte, error) {
	if len(sealed) < headerSize+overheadSize || sealed[0] != formatRecord {
		return nil, fmt.Errorf("opening %v: %w", p, ErrDamaged)
	}
	keys, ok := v.ring.Load().keys[sealed[1]]
	if !ok {
		return nil, fmt.Errorf("opening %v: no key of version %d: %w", p, sealed[1], ErrDamaged)
	}
	place := v.place(p, id)
	header, box := sealed[:headerSize], sealed[headerSize:]
	aead := newAEAD(derive(keys[p][:], "keyfob record", string(place)))
	plaintext, err := aead.Open(nil, nil, box, append(place, header...))
	if err != nil {
		return nil, fmt.Errorf("opening %v: %w", p, ErrDamaged)
	}
	return plaintext, nil
}

// Move opens sealed in one place and seals it, under the primary key, for
// another. With twice the same place it renews what an older key sealed.
func (v *Vault) Move(p Purpose, from, to Identity, sealed []byte) ([]byte, error) {
	plaintext, err := v.Open(p, from, sealed)
	if err != nil {
		return nil, err
	}
	defer clear(plaintext)
	return v.Seal(p, to, plaintext), nil
}

// Current says whether sealed was sealed under the primary key, so that a
// rotation, interrupted and taken up again, knows what is left to renew.
func (v *Vault) Current(sealed []byte) bool {
	return len(sealed) >= headerSize && sealed[1] == v.ring.Load().primary
}

// SealText is Seal for places that take text only (a RADIUS State, a cookie):
// base64url without padding.
func (v *Vault) SealText(p Purpose, id Identity, plaintext []byte) string {
	return base64.RawURLEncoding.EncodeToString(v.Seal(p, id, plaintext))
}

// OpenText opens what SealText made. A text has one spelling: what base64 would
// overlook (line ends, spare bits of the last letter) is ErrDamaged too, so that
// a text may be used as the key of what was spent.
func (v *Vault) OpenText(p Purpose, id Identity, text string) ([]byte, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || base64.RawURLEncoding.EncodeToString(sealed) != text {
		return nil, fmt.Errorf("opening %v: %w", p, ErrDamaged)
	}
	return v.Open(p, id, sealed)
}

// place encodes everything about a value but its format and key version.
func (v *Vault) place(p Purpose, id Identity) []byte {
	const typical = 96
	return encode(make([]byte, 0, typical), p.String(), v.cluster, id.Table, id.Record, id.Field)
}

// newAEAD returns AES-256-GCM that makes and prepends its own random nonces,
// the one form of GCM that strict FIPS mode lets a program have.
func newAEAD(key [keySize]byte) cipher.AEAD {
	defer clear(key[:])
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("vault: " + err.Error()) // the key has the right size
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("vault: " + err.Error()) // the block is AES
	}
	return aead
}
