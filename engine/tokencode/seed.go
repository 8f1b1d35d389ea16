package tokencode

import "fmt"

// Seed is the secret key of a token. Its holder can compute every tokencode, so
// it prints as *** wherever it is formatted, logged or marshaled.
type Seed []byte

const redacted = "***"

// String hides the seed.
func (Seed) String() string { return redacted }

// GoString hides the seed.
func (Seed) GoString() string { return redacted }

// Format hides the seed from every verb, including %x.
func (Seed) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText hides the seed from encoding/json, encoding/xml and log/slog, which
// prefer it over the raw bytes.
func (Seed) MarshalText() ([]byte, error) { return []byte(redacted), nil }
