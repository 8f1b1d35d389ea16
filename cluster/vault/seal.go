package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"fmt"
)

// The first byte of every sealed value.
const (
	formatRecord   = 1
	formatStream   = 2
	formatTransfer = 3
)

const (
	headerSize   = 2       // format, key version
	overheadSize = 12 + 16 // nonce and tag of AES-GCM
)

// Identity is the place that a sealed value belongs to and opens in: the field of a
// record of a table, for example {"tokens", "000123456789", "seed"}.
type Identity struct {
	Table, Record, Field string
}

// Seal encrypts plaintext for the place that it belongs to. The result is 30 bytes
// longer.
func (v *Vault) Seal(p Purpose, id Identity, plaintext []byte) []byte {
	ring := v.ring.Load()
	place := v.place(p, id)
	out := make([]byte, 0, headerSize+len(plaintext)+overheadSize)
	out = append(out, formatRecord, ring.primary)
	aead := newAEAD(derive(ring.keys[ring.primary][p][:], "keyfob record", string(place)))
	return aead.Seal(out, nil, plaintext, append(place, out...))
}

// Open decrypts the result of Seal with the same purpose and identity in the same
// cluster. Anything else is ErrDamaged. It is safe for untrusted input: it reads no
// length from it, and the result is shorter.
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

// Move opens a value in one place and seals it for another, under the primary key.
// With the same place twice it renews a value that an older key sealed.
func (v *Vault) Move(p Purpose, from, to Identity, sealed []byte) ([]byte, error) {
	plaintext, err := v.Open(p, from, sealed)
	if err != nil {
		return nil, err
	}
	defer clear(plaintext)
	return v.Seal(p, to, plaintext), nil
}

// SealText is Seal with a result in base64url without padding, for a RADIUS State or
// a cookie.
func (v *Vault) SealText(p Purpose, id Identity, plaintext []byte) string {
	return base64.RawURLEncoding.EncodeToString(v.Seal(p, id, plaintext))
}

// OpenText opens the result of SealText. A value has exactly one text: what base64
// would ignore (line ends, unused bits of the last character) is ErrDamaged too, so
// a text can identify a value that was used.
func (v *Vault) OpenText(p Purpose, id Identity, text string) ([]byte, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || base64.RawURLEncoding.EncodeToString(sealed) != text {
		return nil, fmt.Errorf("opening %v: %w", p, ErrDamaged)
	}
	return v.Open(p, id, sealed)
}

// place encodes everything about a value except its format and key version.
func (v *Vault) place(p Purpose, id Identity) []byte {
	const typical = 96
	return encode(make([]byte, 0, typical), p.String(), v.cluster, id.Table, id.Record, id.Field)
}

// newAEAD returns AES-256-GCM that creates and prepends its own random nonces, the
// only form of GCM that strict FIPS mode permits.
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
