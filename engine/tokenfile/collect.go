package tokenfile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"keyfob/engine/tokencode"
)

const (
	maxSerial   = 64  // bytes
	maxText     = 256 // bytes of a name or label
	weakSeed    = 16  // bytes; RFC 4226, section 4, R6: MUST be at least 128 bits
	serialChars = "-_."
)

// finish runs the checks that apply to tokens of all formats.
func finish(tok *Token) error {
	if err := checkSerial(tok.Serial); err != nil {
		return err
	}
	if _, err := tokencode.New(tok.Params, tok.Seed); err != nil {
		return ErrUnsupported.because("%v", err)
	}
	if len(tok.Seed) < weakSeed {
		tok.warn("its seed has only %d bits; RFC 4226 requires 128", 8*len(tok.Seed))
	}
	return nil
}

// checkSerial accepts serials that are safe in URLs, file names and log lines.
func checkSerial(s string) error {
	if s == "" {
		return ErrFormat.because("it has no serial")
	}
	if len(s) > maxSerial {
		return ErrFormat.because("its serial is longer than %d characters", maxSerial)
	}
	if strings.ContainsRune(serialChars, rune(s[0])) {
		return ErrFormat.because("its serial begins with %q; it must begin with a letter or a digit", s[0])
	}
	for _, r := range s {
		if r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(serialChars, r) {
			return ErrFormat.because("its serial has the character %q; letters, digits and %s are allowed", r, serialChars)
		}
	}
	return nil
}

// clean makes untrusted text safe to display: trimmed, without control
// characters, and valid UTF-8 of at most maxText bytes.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.TrimSpace(s)
	if len(s) <= maxText {
		return s
	}
	s = s[:maxText]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}

// shown quotes a short value for an error message. For a longer value it returns only
// the length: if the columns of a table are swapped, the value may be the secret.
func shown(s string) string {
	if len(s) > 10 {
		return fmt.Sprintf("a value of %d characters", len(s))
	}
	return strconv.Quote(s)
}

// collector collects the result of one file and enforces its limits.
type collector struct {
	options Options
	result  Result
	serials map[string]bool
}

// add adds a token or refuses it. An error stops the read.
func (c *collector) add(tok Token, line int) error {
	switch {
	case c.serials[tok.Serial]:
		return c.refuse(tok.Serial, line, ErrDuplicate.because("a token with this serial is earlier in the file"))
	case !c.options.Now.IsZero() && !tok.Expires.IsZero() && !c.options.Now.Before(tok.Expires):
		return c.refuse(tok.Serial, line, ErrExpired.because("it expired on %s", lastDay(tok.Expires).Format("2006-01-02")))
	}
	c.serials[tok.Serial] = true
	c.result.Tokens = append(c.result.Tokens, tok)
	return c.full()
}

// refuse records why a token was not read. An error stops the read.
func (c *collector) refuse(serial string, line int, err error) error {
	c.result.Refused = append(c.result.Refused, Refusal{Serial: clean(serial), Line: line, Err: err})
	return c.full()
}

// take calls add or refuse. It suits readers that return a token and an error.
func (c *collector) take(tok Token, line int, err error) error {
	if err != nil {
		return c.refuse(tok.Serial, line, err)
	}
	return c.add(tok, line)
}

func (c *collector) full() error {
	if n := len(c.result.Tokens) + len(c.result.Refused); n > c.options.MaxTokens {
		return ErrTooLarge.because("the file contains more than %d tokens; split it", c.options.MaxTokens)
	}
	return nil
}

// note adds a note about the file. Duplicate notes are dropped.
func (c *collector) note(sentence string) {
	if !slices.Contains(c.result.Notes, sentence) {
		c.result.Notes = append(c.result.Notes, sentence)
	}
}
