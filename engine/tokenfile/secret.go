package tokenfile

import "fmt"

// Secret is a password or key. It prints as ***.
type Secret string

const redacted = "***"

// String hides the secret.
func (Secret) String() string { return redacted }

// GoString hides the secret.
func (Secret) GoString() string { return redacted }

// Format hides the secret from every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText hides the secret from encoding/json, encoding/xml and log/slog.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
