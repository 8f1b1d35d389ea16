package events

import (
	"encoding/base32"
	"strings"
)

// references are read out over the telephone: digits and capitals without I,
// L, O and U (Crockford's base 32), in two groups of four.
var references = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// SpellReference is the reference of forty random bits, such as 7K3M-QX4P.
func SpellReference(b [5]byte) string {
	text := references.EncodeToString(b[:])
	return text[:4] + "-" + text[4:]
}

// Reference is the reference of a request whose door makes none of its own.
// A retry has the same.
func (r Request) Reference() string { return SpellReference([5]byte(r[:])) }

// CanonicalReference is what all spellings of a reference come to, as people
// read them out and write them down: in capitals, without dashes and spaces,
// with the digits that O, I and L are taken for.
func CanonicalReference(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == 'o' || r == 'O':
			return '0'
		case r == 'i' || r == 'I' || r == 'l' || r == 'L':
			return '1'
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z' || r >= '0' && r <= '9':
			return r
		}
		return -1
	}, text)
}

// IsReference reports whether a canonical text can be a reference at all.
func IsReference(canonical string) bool {
	_, err := references.DecodeString(canonical)
	return err == nil && len(canonical) == 8
}
