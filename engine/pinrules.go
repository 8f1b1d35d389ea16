package engine

import (
	"bufio"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"strings"
)

// PINList is a set of PINs that are not allowed, in lower case.
type PINList map[string]bool

// maxPINList bounds a site's own list.
const maxPINList = 1_000_000

// ReadPINList reads a site's own list of PINs that are not allowed, one per
// line. It replaces the built-in list. Empty lines and lines that begin with #
// are skipped.
func ReadPINList(r io.Reader) (PINList, error) {
	list := PINList{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		pin := strings.ToLower(strings.TrimSpace(lines.Text()))
		switch {
		case pin == "" || pin[0] == '#':
		case len(pin) > maxTyped || strings.ContainsAny(pin, " \t"):
			return nil, fmt.Errorf("line %d does not contain a PIN", n) // it may be a secret and is not shown
		case len(list) == maxPINList:
			return nil, fmt.Errorf("line %d: more than %d PINs", n, maxPINList)
		default:
			list[pin] = true
		}
	}
	return list, lines.Err()
}

// commonPINs are the most common PINs besides repeats and runs, from frequency
// lists of leaked PINs.
var commonPINs = PINList{
	"1004": true, "2580": true, "0852": true, "1998": true, "2001": true, "1313": true, "1212": true, "6969": true, "4200": true,
	"112233": true, "121212": true, "123123": true, "159753": true, "147258": true, "789456": true, "456789": true, "159357": true,
	"12121212": true, "11223344": true, "12341234": true, "14725836": true, "password": true, "letmein1": true, "qwertyui": true, "secret": true, "qwerty": true,
}

// unfit returns the rule that a PIN breaks, or ProblemNone. A nil list is the
// built-in one.
func unfit(pin string, r PINRules, t *Token, user string, common PINList) Problem {
	if len(pin) < r.Min || len(pin) > r.Max {
		return ProblemLength
	}
	for _, c := range pin {
		if !(isDigit(c) || isLetter(c) && r.Alphanumeric) {
			return ProblemCharacters
		}
	}
	if r.PINpad && pin[0] == '0' {
		return ProblemLeadingZero
	}
	if common == nil {
		common = commonPINs
	}
	switch {
	case trivial(pin):
		return ProblemTrivial
	case within(pin, t.Serial), within(pin, user):
		return ProblemPersonal
	case common[strings.ToLower(pin)]:
		return ProblemCommon
	}
	return ProblemNone
}

// trivial reports whether a PIN repeats itself or is a run up or down.
func trivial(pin string) bool {
	// A text that repeats itself is found in its doubled form at another place.
	if twice := pin + pin; strings.Contains(twice[1:len(twice)-1], pin) {
		return true
	}
	step := int(pin[1]) - int(pin[0])
	if step != -1 && step != 1 {
		return false
	}
	for i := 2; i < len(pin); i++ {
		if int(pin[i])-int(pin[i-1]) != step {
			return false
		}
	}
	return true
}

// within reports whether a PIN is part of a text that strangers may know,
// ignoring everything but letters and digits, or everything but digits.
func within(pin, text string) bool {
	pin, text = strings.ToLower(pin), strings.ToLower(text)
	return strings.Contains(only(text, isDigit, isLetter), pin) || strings.Contains(only(text, isDigit), pin)
}

// only returns a text reduced to some kinds of characters.
func only(text string, kinds ...func(rune) bool) string {
	return strings.Map(func(r rune) rune {
		r = canonicalRune(r)
		for _, is := range kinds {
			if is(r) {
				return r
			}
		}
		return -1
	}, text)
}

func isDigit(r rune) bool  { return '0' <= r && r <= '9' }
func isLetter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }

// same compares two secrets in constant time.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// generatePIN makes a fit PIN of digits from random bytes.
func generatePIN(random func([]byte) error, r PINRules, t *Token, user string, common PINList) (string, error) {
	length := max(r.Min, min(6, r.Max))
	for range 64 { // the rules may leave almost no PIN
		pin, err := randomDigits(random, length)
		if err != nil {
			return "", err
		}
		if unfit(pin, r, t, user, common) == ProblemNone {
			return pin, nil
		}
	}
	return "", errors.New("the PIN rules permit almost no PIN, so none can be generated")
}

var errNotRandom = errors.New("the random bytes are not random")

// randomDigits returns n uniformly distributed digits.
func randomDigits(random func([]byte) error, n int) (string, error) {
	digits := make([]byte, 0, n)
	for range 64 { // the bytes may not be random
		var raw [32]byte
		if err := random(raw[:]); err != nil {
			return "", err
		}
		for _, b := range raw {
			if b < 250 { // 25 times 10
				digits = append(digits, '0'+b%10)
			}
			if len(digits) == n {
				return string(digits), nil
			}
		}
	}
	return "", errNotRandom
}
