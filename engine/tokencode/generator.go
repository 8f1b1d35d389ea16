package tokencode

import (
	"crypto/subtle"
	"errors"
	"fmt"
)

// MaxSeed is the longest seed that New accepts, in bytes. The longest in use
// are the 64 bytes of HMAC-SHA-512.
const MaxSeed = 256

// Generator computes the tokencodes of one token. It caches the last
// intermediate keys, which makes neighboring intervals cheap in any order. It
// is therefore not safe for use by several goroutines.
type Generator struct {
	source source
	digits int
}

// source is the algorithm of one kind. The last decimal digits of its number are the
// tokencode. It must work for every interval, including extreme values.
type source interface {
	number(interval int64) uint32
}

// New returns the generator of a token. It keeps no reference to seed.
func New(p Params, seed Seed) (*Generator, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if len(seed) == 0 || len(seed) > MaxSeed {
		return nil, fmt.Errorf("seed of %d bytes, want 1 to %d", len(seed), MaxSeed)
	}
	switch p.Kind {
	case TOTP, HOTP:
		return &Generator{newOATH(p.Algorithm, seed), p.Digits}, nil
	case SecurID:
		src, err := newSecurID(p, seed)
		if err != nil {
			return nil, err
		}
		return &Generator{src, p.Digits}, nil
	default:
		return nil, errors.New("unknown kind of token") // Validate has refused it
	}
}

// At returns the tokencode of an interval.
func (g *Generator) At(interval int64) string {
	var buf [maxDigits]byte
	return string(g.Append(buf[:0], interval))
}

// Append appends the tokencode of an interval to dst. It does not allocate if
// dst has room for 8 bytes, except for the key of a new hour (SecurID).
func (g *Generator) Append(dst []byte, interval int64) []byte {
	n := g.source.number(interval)
	var buf [maxDigits]byte
	for i := g.digits - 1; i >= 0; i-- {
		buf[i] = byte('0' + n%10)
		n /= 10
	}
	return append(dst, buf[:g.digits]...)
}

// Matches reports whether tokencode is the tokencode of the interval. Its duration does
// not depend on the number of correct digits.
func (g *Generator) Matches(interval int64, tokencode string) bool {
	if len(tokencode) != g.digits {
		return false
	}
	var typed, want [maxDigits]byte
	copy(typed[:], tokencode)
	g.Append(want[:0], interval)
	return subtle.ConstantTimeCompare(typed[:], want[:]) == 1
}

const maxDigits = 8
