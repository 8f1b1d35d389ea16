package vault

import (
	"fmt"
	"io"
	"log/slog"
)

const stars = "***"

// Secret is a PIN, a seed or a shared secret in memory. It prints as *** with every
// verb, logger and encoder. fmt does not call methods of a value in an unexported
// field, so a struct with such a field needs a Format method of its own.
type Secret []byte

// Wipe overwrites the secret. It does not reach copies.
func (s Secret) Wipe() { clear(s) }

func (s Secret) String() string               { return stars }
func (s Secret) GoString() string             { return stars }
func (s Secret) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, stars) }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(stars) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(stars), nil }
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + stars + `"`), nil }
