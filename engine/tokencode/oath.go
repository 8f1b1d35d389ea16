package tokencode

import (
	"crypto/fips140"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // G505: RFC 4226, section 5.2 prescribes HMAC-SHA-1; its collisions do not touch HMAC
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"
)

// oath implements HOTP (RFC 4226) and TOTP (RFC 6238). TOTP is HOTP with the interval
// as the counter.
//
// In strict FIPS 140-3 mode, HMAC-SHA-1 panics, and so do HMAC keys under 112 bits,
// such as the 80-bit keys of many apps. Existing tokens cannot change, so this file,
// and no other in the package, bypasses strict mode.
type oath struct {
	mac     hash.Hash // keyed once, reset for each tokencode
	counter [8]byte   // a field, because arguments of hash.Hash escape to the heap
	sum     [sha512.Size]byte
}

func newOATH(a Algorithm, seed []byte) *oath {
	o := new(oath)
	fips140.WithoutEnforcement(func() {
		o.mac = hmac.New(hashOf(a), seed)
		o.mac.Reset() // saves the keyed state, so that Reset never hashes the key again
	})
	return o
}

func hashOf(a Algorithm) func() hash.Hash {
	switch a {
	case SHA256:
		return sha256.New
	case SHA512:
		return sha512.New
	default: // SHA1; Validate refuses all others
		return sha1.New
	}
}

// number implements the dynamic truncation of RFC 4226, section 5.3.
func (o *oath) number(interval int64) uint32 {
	binary.BigEndian.PutUint64(o.counter[:], uint64(interval))
	sum := o.sum[:0]
	fips140.WithoutEnforcement(func() {
		o.mac.Reset()
		o.mac.Write(o.counter[:])
		sum = o.mac.Sum(sum)
	})
	offset := sum[len(sum)-1] & 0x0f
	return binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
}
