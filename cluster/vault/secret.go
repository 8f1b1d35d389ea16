package vault

import (
	"fmt"
	"io"
	"log/slog"
)

const stars = "***"

// Secret is a PIN, a seed or a shared secret on its way through the program. It
// prints as *** whatever the verb, the logger or the encoder. (fmt cannot see
// the methods of a value in an unexported field: a struct that keeps a Secret
// there needs a Format of its own.)
type Secret []byte

// Wipe overwrites the secret. Copies that others made are theirs to wipe.
func (s Secret) Wipe() { clear(s) }

func (s Secret) String() string               { return stars }
func (s Secret) GoString() string             { return stars }
func (s Secret) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, stars) }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(stars) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(stars), nil }
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + stars + `"`), nil }
