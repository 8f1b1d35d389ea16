package fob

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"time"

	"keyfob/cmd/keyfob/cli"
	"keyfob/engine/tokencode"
	"keyfob/engine/tokenfile"
)

// Make generates a software token. Its seed has 160 bits, as RFC 4226, section 4,
// recommends; that of a SecurID token has 128.
func Make(now time.Time, kind tokencode.Kind, user, issuer string) (tokenfile.Token, error) {
	t := tokenfile.Token{User: user, Issuer: issuer, PINStyle: tokencode.Fob}
	t.Params = tokencode.Params{Kind: kind}.WithDefaults()
	seed := make([]byte, 20)
	switch kind {
	case tokencode.TOTP, tokencode.HOTP:
	case tokencode.SecurID:
		seed = seed[:16]
		t.PINStyle = tokencode.PINpad
		t.Expires = now.AddDate(3, 0, 0).UTC().Truncate(24 * time.Hour)
	default:
		return t, cli.Usagef("--kind %q: want totp, hotp or securid", kind)
	}
	if _, err := rand.Read(seed); err != nil {
		return t, fmt.Errorf("making seed: %w", err)
	}
	serial, err := NewSerial()
	t.Seed, t.Serial, t.Params.Serial = seed, serial, serial
	return t, err
}

// NewSerial returns twelve random digits, the form that SecurID requires.
func NewSerial() (string, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(1e12))
	if err != nil {
		return "", fmt.Errorf("making serial: %w", err)
	}
	return fmt.Sprintf("%012d", n), nil
}
