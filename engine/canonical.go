package engine

import (
	"errors"
	"strings"
	"unicode"

	"golang.org/x/text/secure/precis"
)

// Bounds on input. No honest input is longer.
const (
	maxUserName = 128
	maxTyped    = 64
)

// ErrUserName is returned for a text that is not a valid user name.
var ErrUserName = errors.New("a user name has 1 to 128 characters, without spaces, slashes or control characters; . and .. are not user names")

// Canonical returns the one spelling of a user name, regardless of its case, width
// or composition as typed: the UsernameCaseMapped profile of PRECIS (RFC 8265,
// section 3.3). Lookups, counters and comparisons use only this spelling, so
// that no other spelling has its own count of failures.
//
// A name must also fit in the path of a URL, or the API could not name the user
// again: . and .. are removed from a path even if escaped (RFC 3986, section
// 6.2.2.3), and proxies split a path at an escaped slash.
func Canonical(name string) (string, error) {
	name = strings.TrimSpace(name)
	if name == "" || len(name) > maxUserName {
		return "", ErrUserName
	}
	if !isPlain(name) {
		mapped, err := precis.UsernameCaseMapped.String(name)
		if err != nil || len(mapped) > maxUserName || strings.Contains(mapped, "/") {
			return "", ErrUserName
		}
		name = mapped
	}
	if name == "." || name == ".." {
		return "", ErrUserName
	}
	return name, nil
}

// isPlain reports whether a name is certainly in canonical form. This saves
// most logins the tables of PRECIS.
func isPlain(name string) bool {
	for i := range len(name) {
		if c := name[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == '_' || c == '@') {
			return false
		}
	}
	return true
}

// canonicalTyped returns the one spelling of a passcode, tokencode or PIN.
// Spaces, hyphens and dots are removed; decimal digits of other scripts and
// full-width letters become ASCII. Other non-ASCII characters stay and match
// nothing. Overlong input becomes empty.
func canonicalTyped(s Secret) string {
	if len(s) > maxTyped*4 {
		return ""
	}
	clean := true
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '-' || c == '.' || c >= 0x7f {
			clean = false
			break
		}
	}
	if clean {
		if len(s) > maxTyped {
			return ""
		}
		return string(s)
	}
	var b strings.Builder
	for _, r := range string(s) {
		if r = canonicalRune(r); r >= 0 {
			b.WriteRune(r)
		}
	}
	if b.Len() > maxTyped {
		return ""
	}
	return b.String()
}

func canonicalRune(r rune) rune {
	switch {
	case r == ' ', r == '-', r == '.', r == '\t', r == 0xa0, r == 0x202f, r == 0x3000, 0x2000 <= r && r <= 0x200b, 0x2010 <= r && r <= 0x2015:
		return -1
	case 0xff21 <= r && r <= 0xff3a, 0xff41 <= r && r <= 0xff5a: // full-width letters
		return r - 0xfee0
	case r < 0x80:
		return r
	}
	return asciiDigit(r)
}

// asciiDigit returns the ASCII digit with the value of a decimal digit of any
// script, or r itself if it is none. Unicode assigns such digits in blocks of
// ten, starting at zero (The Unicode Standard, section 4.6).
func asciiDigit(r rune) rune {
	for _, tens := range unicode.Nd.R16 {
		if lo := rune(tens.Lo); lo <= r && r <= rune(tens.Hi) {
			return '0' + (r-lo)%10
		}
	}
	for _, tens := range unicode.Nd.R32 {
		if lo := rune(tens.Lo); lo <= r && r <= rune(tens.Hi) {
			return '0' + (r-lo)%10
		}
	}
	return r
}

// parseYes reads a yes or no. The step defines what yes means.
func parseYes(s string) (yes, ok bool) {
	switch strings.ToLower(s) {
	case "y", "yes", "j", "ja":
		return true, true
	case "n", "no", "nein":
		return false, true
	}
	return false, false
}
