package tokencode

import (
	"errors"
	"fmt"
	"strings"
)

// PINStyle defines how PIN and tokencode form a passcode. It is a property of the issued
// token, not of the algorithm.
type PINStyle string

// The PIN styles.
const (
	Fob    PINStyle = "fob"    // the PIN, then the tokencode
	PINpad PINStyle = "pinpad" // the PIN added to the tokencode digit by digit; SecurID only
	NoPIN  PINStyle = "none"   // the tokencode alone
)

// Lengths of a PIN that the styles support. The policy sets narrower bounds.
const (
	MinPIN = 4
	MaxPIN = 8
)

// ErrPIN is returned if the token's style does not support the PIN.
var ErrPIN = errors.New("PIN does not fit the token")

// Passcode returns the passcode for a PIN and a tokencode. An empty PIN means that no
// PIN is set.
func (s PINStyle) Passcode(pin, tokencode string) (string, error) {
	switch {
	case pin == "":
		return tokencode, nil
	case s == Fob:
		return pin + tokencode, nil
	case s == PINpad:
		return MixPIN(pin, tokencode)
	default:
		return "", fmt.Errorf("%w: its passcode is the tokencode alone", ErrPIN)
	}
}

// SplitPIN splits a Fob passcode. The last digits characters are the tokencode. The
// rest is the PIN, which may be empty. It returns false if the passcode does not end
// in that many ASCII digits.
func SplitPIN(passcode string, digits int) (pin, tokencode string, ok bool) {
	cut := len(passcode) - digits
	if cut < 0 || !isDigits(passcode[cut:]) {
		return "", "", false
	}
	return passcode[:cut], passcode[cut:], true
}

// MixPIN adds pin to tokencode like a PINpad: right-aligned, each digit modulo 10,
// without carry. The PIN must have 4 to 8 digits and must not be longer than the
// tokencode. stoken silently drops the excess leading digits of a longer PIN, which
// weakens it. The behavior of RSA's software is not known.
func MixPIN(pin, tokencode string) (string, error) {
	if len(pin) < MinPIN || len(pin) > MaxPIN || len(pin) > len(tokencode) || !isDigits(pin) || !isDigits(tokencode) {
		return "", fmt.Errorf("%w: a PINpad takes %d to %d digits, no more than the tokencode has", ErrPIN, MinPIN, MaxPIN)
	}
	mixed := []byte(tokencode)
	shift := len(tokencode) - len(pin)
	for i := range len(pin) {
		mixed[shift+i] = '0' + (tokencode[shift+i]-'0'+pin[i]-'0')%10
	}
	return string(mixed), nil
}

// UnmixPIN is the inverse of MixPIN. It returns the PIN that produces passcode from
// tokencode. The PIN is empty if passcode equals tokencode. UnmixPIN returns false if
// no PIN explains the difference.
//
// The PIN is returned without leading zeros, because 0123 and 123 mix to the same
// passcode. A PINpad PIN with a leading zero can never be verified and must not be
// set. The result is only a candidate; check it against the stored PIN. Comparing the
// length first rules out nearly all wrong candidates.
func UnmixPIN(passcode, tokencode string) (pin string, ok bool) {
	if len(passcode) != len(tokencode) || len(passcode) > maxDigits || !isDigits(passcode) || !isDigits(tokencode) {
		return "", false
	}
	var difference [maxDigits]byte
	for i := range len(passcode) {
		difference[i] = '0' + (passcode[i]-tokencode[i]+10)%10
	}
	pin = strings.TrimLeft(string(difference[:len(passcode)]), "0")
	return pin, pin == "" || len(pin) >= MinPIN
}
