package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

const maxSecret = 4 << 10 // bytes

// ReadSecret reads a secret from a file, or from standard input for "-". On the
// command line, other users of the machine could see it.
func (e *Environment) ReadSecret(file string) (string, error) {
	in, name := e.In, "standard input"
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("reading secret: %w", err)
		}
		defer f.Close()
		in, name = f, file
	}
	b, err := io.ReadAll(io.LimitReader(in, maxSecret+1))
	if err != nil {
		return "", fmt.Errorf("reading secret: %w", err)
	}
	secret := strings.TrimRight(string(b), "\r\n")
	switch {
	case len(b) > maxSecret:
		return "", fmt.Errorf("%s is too long for a secret", name)
	case secret == "":
		return "", fmt.Errorf("%s is empty; a secret is required", name)
	}
	return secret, nil
}

// ReadTypedSecret is ReadSecret, but asks for the secret on a terminal, without showing
// what is typed.
func (e *Environment) ReadTypedSecret(file, prompt string) (string, error) {
	in, terminal := e.Terminal()
	if file != "-" || !terminal {
		return e.ReadSecret(file)
	}
	fmt.Fprint(e.Err, prompt)
	typed, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(e.Err)
	if err != nil {
		return "", fmt.Errorf("reading secret: %w", err)
	}
	return strings.TrimSpace(string(typed)), nil
}
