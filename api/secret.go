package api

import (
	"fmt"
	"log/slog"

	"keyfob/engine"
)

// Secret is a secret in a request. It prints as ***, and JSON carries it as it
// is: a client has to send it. No answer holds one.
type Secret string

// String hides the secret.
func (s Secret) String() string { return engine.Secret(s).String() }

// GoString hides the secret.
func (s Secret) GoString() string { return engine.Secret(s).GoString() }

// Format hides the secret under every verb.
func (s Secret) Format(f fmt.State, verb rune) { engine.Secret(s).Format(f, verb) }

// LogValue hides the secret.
func (s Secret) LogValue() slog.Value { return engine.Secret(s).LogValue() }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }
