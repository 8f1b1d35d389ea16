package tokencode

import (
	"errors"
	"fmt"
	"strings"
)

// PINStyle is how PIN and tokencode form a passcode. It belongs to the token as
// it was issued, not to the algorithm.
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

// ErrPIN is returned for a PIN that is not possible with the token's style.
var ErrPIN = errors.New("PIN does not fit the token")

// Passcode returns what a user with this PIN and tokencode types. An empty PIN
// means that none is set.
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

// SplitPIN splits a Fob passcode: the last digits characters are the tokencode,
// everything before is the PIN, which may be empty. It returns false if the
// passcode does not end in that many ASCII digits.
func SplitPIN(passcode string, digits int) (pin, tokencode string, ok bool) {
	cut := len(passcode) - digits
	if cut < 0 || !isDigits(passcode[cut:]) {
		return "", "", false
	}
	return passcode[:cut], passcode[cut:], true
}

// MixPIN adds pin to tokencode as a PINpad does: both aligned to the right,
// each digit modulo 10, without carry. The PIN must have 4 to 8 digits and be
// no longer than the tokencode. (stoken silently drops the surplus digits of a
// longer PIN. What RSA does is not known. A PIN whose first digits do not count
// is not the PIN that its user believes it is.)
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

// UnmixPIN is the inverse of MixPIN: the PIN that must have been mixed in if
// passcode was made from tokencode. It is empty when passcode is the tokencode
// itself, and false when no PIN can explain the difference.
//
// The PIN comes without leading zeros: 0123 mixes like 123, its length
// cannot be told. A PINpad PIN with a leading zero must therefore never be set,
// and never verifies here. Every answer is a guess that only the stored PIN
// confirms; comparing its length first rules out nearly all of them.
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
