package tokencode

import "fmt"

// Seed is a token's secret key. Whoever has it can compute every tokencode, so
// it prints as *** wherever it may end up: formatted, logged or marshalled.
type Seed []byte

const redacted = "***"

// String hides the seed.
func (Seed) String() string { return redacted }

// GoString hides the seed.
func (Seed) GoString() string { return redacted }

// Format hides the seed from every verb, %x too.
func (Seed) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText hides the seed from encoding/json, encoding/xml and log/slog, all of which
// ask for it before they look at the bytes.
func (Seed) MarshalText() ([]byte, error) { return []byte(redacted), nil }
