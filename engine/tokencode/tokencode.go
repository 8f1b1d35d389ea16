// Package tokencode computes what a token displays.
//
// A token is described by [Params] and a [Seed]. [New] returns its [Generator],
// which computes the tokencode of any interval. An interval is the life of one
// tokencode, numbered from 1970 for time-based kinds ([Interval]); for HOTP it is
// the counter. The package knows nothing about windows, drift and users: it is a
// pure function of seed and interval, fast enough to scan windows.
//
// A kind is one method (see source in generator.go). To add one, add it to
// [Kinds] and to New, with published test vectors. The conformance test then
// checks what the engine relies on.
//
// The package also defines how PIN and tokencode form a passcode ([PINStyle]).
package tokencode

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind is an algorithm. The values are stored and shown, and never change.
type Kind string

// The kinds of token.
const (
	TOTP    Kind = "totp"    // RFC 6238
	HOTP    Kind = "hotp"    // RFC 4226
	SecurID Kind = "securid" // AES-128, time based
)

// Kinds returns every kind that New supports.
func Kinds() []Kind { return []Kind{TOTP, HOTP, SecurID} }

// Algorithm is the HMAC hash of TOTP and HOTP.
type Algorithm string

// The hashes of RFC 6238, section 1.2. RFC 4226 has only SHA1, which almost
// every token uses.
const (
	SHA1   Algorithm = "SHA1"
	SHA256 Algorithm = "SHA256"
	SHA512 Algorithm = "SHA512"
)

// Bounds of the digits of a tokencode.
const (
	MinDigits = 6
	MaxDigits = 8
)

// Periods returns the supported tokencode periods.
func Periods() []time.Duration { return []time.Duration{30 * time.Second, 60 * time.Second} }

// Params holds everything except the seed that is needed to compute the tokencodes of
// a token.
type Params struct {
	Kind      Kind
	Algorithm Algorithm     // TOTP and HOTP; empty for SecurID
	Digits    int           // MinDigits to MaxDigits
	Period    time.Duration // life of a tokencode, one of Periods; zero for HOTP
	Serial    string        // part of the computation for SecurID: 1 to 12 digits, leading zeros do not count
}

// WithDefaults fills empty fields with the usual values of the kind: SHA1, 6 digits and
// 30 s; for SecurID, 8 digits and 60 s.
func (p Params) WithDefaults() Params {
	securid := p.Kind == SecurID
	if p.Algorithm == "" && !securid {
		p.Algorithm = SHA1
	}
	if p.Digits == 0 {
		p.Digits = MinDigits
		if securid {
			p.Digits = MaxDigits
		}
	}
	if p.Period == 0 && p.Kind != HOTP {
		p.Period = 30 * time.Second
		if securid {
			p.Period = 60 * time.Second
		}
	}
	return p
}

// Validate returns all problems of p in one line.
func (p Params) Validate() error {
	var wrong []string
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }

	if p.Digits < MinDigits || p.Digits > MaxDigits {
		add("%d digits, want %d to %d", p.Digits, MinDigits, MaxDigits)
	}
	switch p.Kind {
	case TOTP, HOTP:
		if p.Algorithm != SHA1 && p.Algorithm != SHA256 && p.Algorithm != SHA512 {
			add("algorithm %.20q, want SHA1, SHA256 or SHA512", p.Algorithm)
		}
	case SecurID:
		if p.Algorithm != "" {
			add("algorithm %.20q, but SecurID has no choice of algorithm", p.Algorithm)
		}
		if len(p.Serial) == 0 || len(p.Serial) > 12 || !isDigits(p.Serial) {
			add("serial %.20q, SecurID needs 1 to 12 digits", p.Serial)
		}
	default:
		add("unknown kind %.20q", p.Kind)
	}
	switch {
	case p.Kind == HOTP && p.Period != 0:
		add("period %v, but HOTP is not time-based", p.Period)
	case (p.Kind == TOTP || p.Kind == SecurID) && !slices.Contains(Periods(), p.Period):
		add("period %v, want 30s or 60s", p.Period)
	}
	if wrong == nil {
		return nil
	}
	return errors.New(strings.Join(wrong, "; "))
}

// Interval returns the interval at time t on the token's clock. It returns 0 for kinds
// that are not time-based: their interval is the stored counter.
func Interval(p Params, t time.Time) int64 {
	period := int64(p.Period / time.Second)
	if period <= 0 {
		return 0
	}
	return floorDiv(t.Unix(), period)
}

// Start returns the start of an interval, which lasts for p.Period. It returns the zero
// time for kinds that are not time-based.
func Start(p Params, interval int64) time.Time {
	if p.Period <= 0 {
		return time.Time{}
	}
	return time.Unix(interval*int64(p.Period/time.Second), 0).UTC()
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// isDigits reports whether s consists of ASCII digits. Other Unicode digits would allow
// a second spelling of the same passcode.
func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
