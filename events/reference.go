package events

import (
	"encoding/base32"
	"strings"
)

// References are read out over the telephone: digits and capitals without I, L,
// O and U (Crockford base 32), in two groups of four.
var references = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// SpellReference returns the reference of forty random bits, such as 7K3M-QX4P.
func SpellReference(b [5]byte) string {
	text := references.EncodeToString(b[:])
	return text[:4] + "-" + text[4:]
}

// Reference returns the reference of a request whose front end does not make
// its own. A retry has the same one.
func (r Request) Reference() string { return SpellReference([5]byte(r[:])) }

// CanonicalReference returns the canonical spelling of a reference: in
// capitals, without dashes and spaces, and with the digits for which O, I and L
// are mistaken.
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

// IsReference reports whether a canonical text has the form of a reference.
func IsReference(canonical string) bool {
	_, err := references.DecodeString(canonical)
	return err == nil && len(canonical) == 8
}
