// Package tokenfile reads the files in which tokens are delivered, and writes
// files for tokens that keyfob issues.
//
// Read detects the format of a stream and returns the tokens whose seeds can be
// trusted: if a format has a MAC, the MAC is checked before the seed is used.
// Other tokens are refused, one by one if the rest of the file is sound, each
// with a sentence for the sender of the file. Read never guesses: a field without
// a published meaning is refused or, if it cannot change a tokencode, reported as
// a warning.
//
// The files are untrusted. Memory is bounded by the tokens found and not by
// the file. Records have a maximum size, XML has a maximum depth and no entities
// except the five predefined ones, and key derivation has a maximum cost.
//
// The package uses no clock and no randomness; both are parameters.
package tokenfile

import (
	"fmt"
	"time"

	"keyfob/engine/tokencode"
)

// Format is a file format.
type Format string

// The formats that Read supports.
const (
	OTPAuth  Format = "otpauth"  // otpauth:// URIs, one a line
	CTF      Format = "ctf"      // RSA compressed token format, bare or in a link, one a line
	SDTID    Format = "sdtid"    // RSA XML token records
	PSKC     Format = "pskc"     // RFC 6030
	CSV      Format = "csv"      // our own columns, Yubico's or Feitian's
	StokenRC Format = "stokenrc" // the file of the stoken program
)

// Formats returns every format that Read supports.
func Formats() []Format { return []Format{OTPAuth, CTF, SDTID, PSKC, CSV, StokenRC} }

// Limits of Read if Options has none.
const (
	DefaultMaxBytes  = 512 << 20
	DefaultMaxTokens = 500_000
)

// Options configure Read. The zero value reads unprotected files.
type Options struct {
	Format   Format    // empty: detected from the content
	Password Secret    // of the file or token; empty: none
	Key      Secret    // PSKC: the pre-shared key, raw bytes
	DeviceID string    // CTF: the device that the token is bound to; empty: the device classes are tried
	Encoding Encoding  // CSV: encoding of secrets if the header does not state it
	Now      time.Time // tokens that have expired are refused; zero: they are read

	MaxBytes  int64 // of the file; 0: DefaultMaxBytes
	MaxTokens int   // read and refused; 0: DefaultMaxTokens
}

// Result is the content of a file, in its order.
type Result struct {
	Format  Format
	Tokens  []Token
	Refused []Refusal
	Notes   []string // about the file as a whole
}

// Token is a token as its file describes it.
type Token struct {
	Serial   string // as shown to people; SecurID: always 12 digits
	Params   tokencode.Params
	Seed     tokencode.Seed
	Counter  int64 // HOTP: the next counter to expect
	PINStyle tokencode.PINStyle
	Windows  Windows

	Born    time.Time // not valid before; zero: not stated
	Expires time.Time // not valid from here on; zero: never

	User     string // user name of its owner
	Name     string // full name of its owner
	Issuer   string
	Label    string // a name for the token itself
	DeviceID string // the device on which it may be installed; not a protection

	Warnings []string // oddities that do not change the tokencode
}

// Windows are the windows that a record asks for, in intervals on either side;
// zero if it does not. They come from the file and must be bounded by policy.
type Windows struct {
	Small, Medium, Large int
}

// Refusal is a token that was not read, and why.
type Refusal struct {
	Serial string // empty if unknown
	Line   int    // of the file, from 1; 0 if the format has no lines
	Err    error  // a sentence; errors.Is tells its class
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
