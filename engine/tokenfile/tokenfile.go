// Package tokenfile reads the files in which tokens are delivered, and writes the
// ones with which keyfob hands out its own.
//
// Read takes a stream of any format it knows, tells which one it is, and answers
// tokens whose seeds it has reason to believe: where a format carries a MAC, the MAC
// is checked before the seed is looked at. What it does not believe it refuses,
// one token at a time where the rest can stand, each with a sentence for the person who
// sent the file. It never guesses: a field whose meaning nobody has published is
// refused or, when it cannot change a tokencode, noted as a warning.
//
// The files come from strangers. Memory is bounded by the tokens found and not by
// the file; a record has a largest size, XML has a largest depth and no entities
// but the five that need no definition, and key derivation has a largest cost.
//
// The package reads no clock and draws no randomness: both come in as parameters.
package tokenfile

import (
	"fmt"
	"time"

	"keyfob/engine/tokencode"
)

// Format names a file format.
type Format string

// The formats that Read knows.
const (
	OTPAuth  Format = "otpauth"  // otpauth:// URIs, one a line
	CTF      Format = "ctf"      // RSA compressed token format, bare or in a link, one a line
	SDTID    Format = "sdtid"    // RSA XML token records
	PSKC     Format = "pskc"     // RFC 6030
	CSV      Format = "csv"      // our own columns, Yubico's or Feitian's
	StokenRC Format = "stokenrc" // the file of the stoken program
)

// Formats returns every format that Read knows.
func Formats() []Format { return []Format{OTPAuth, CTF, SDTID, PSKC, CSV, StokenRC} }

// Limits of Read when Options names none.
const (
	DefaultMaxBytes  = 512 << 20
	DefaultMaxTokens = 500_000
)

// Options say how to read. The zero value reads unprotected files.
type Options struct {
	Format   Format    // empty: recognised from the content
	Password Secret    // of the file or token; empty: none was given
	Key      Secret    // PSKC: the pre-shared key, raw bytes
	DeviceID string    // CTF: the device that the token is bound to; empty: the device classes are tried
	Encoding Encoding  // CSV: how secrets are written when the header does not say
	Now      time.Time // tokens that expire up to now are refused; zero: they are read

	MaxBytes  int64 // of the file; 0: DefaultMaxBytes
	MaxTokens int   // read and refused; 0: DefaultMaxTokens
}

// Result is what a file holds, in the order of the file.
type Result struct {
	Format  Format
	Tokens  []Token
	Refused []Refusal
	Notes   []string // about the file as a whole, for the person who imports it
}

// Token is one token as its file describes it.
type Token struct {
	Serial   string // as shown to people; SecurID: always 12 digits
	Params   tokencode.Params
	Seed     tokencode.Seed
	Counter  int64 // HOTP: the next counter to expect
	PINStyle tokencode.PINStyle
	Windows  Windows

	Born    time.Time // not valid before; zero: not said
	Expires time.Time // not valid from here on; zero: never

	User     string // login of its owner
	Name     string // full name of its owner
	Issuer   string
	Label    string // a name for the token itself
	DeviceID string // the device that it may be installed on; a label that protects nothing

	Warnings []string // sentences about what is odd but does not change the tokencode
}

// Windows are the widths that a record asks for, in intervals either side; zero
// where it says nothing. They come from the file: cap them by policy.
type Windows struct {
	Small, Medium, Large int
}

// Refusal is a token that was not read, and why.
type Refusal struct {
	Serial string // empty when it could not be told
	Line   int    // of the file, from 1; 0 where lines mean nothing
	Err    error  // a sentence; one of the sentinels below tells its class
}

// Why returns the reason as a sentence.
func (r Refusal) Why() string { return r.Err.Error() }

// Error returns the reason and where it applies.
func (r Refusal) Error() string {
	where := ""
	if r.Line > 0 {
		where = fmt.Sprintf("line %d: ", r.Line)
	}
	if r.Serial != "" {
		where += fmt.Sprintf("token %s: ", r.Serial)
	}
	return where + r.Err.Error()
}

// Unwrap returns the reason.
func (r Refusal) Unwrap() error { return r.Err }

func (t *Token) warn(format string, args ...any) {
	t.Warnings = append(t.Warnings, fmt.Sprintf(format, args...))
}
