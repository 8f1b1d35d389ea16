// Package cli is what the commands of keyfob share: their environment, exit
// statuses, flags, tables and JSON, questions, progress, and the connection to
// a node's API. It knows no command.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api/client"
)

// Environment is what commands have of the world around them.
type Environment struct {
	In       io.Reader
	Out, Err io.Writer
	Now      func() time.Time
	Getenv   func(string) string
	Environ  func() []string
}

// OneLine is the text of an error on one line, however many were joined.
func OneLine(err error) string {
	lines := strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' })
	return strings.Join(lines, "; ")
}

// UsageError says that a command was used wrongly.
type UsageError struct{ error }

func Usagef(format string, args ...any) error {
	return &UsageError{fmt.Errorf(format, args...)}
}

// AlreadySaid is a failure that the output has told already.
type AlreadySaid struct{}

func (*AlreadySaid) Error() string { return "failed" }

// Execute runs a command and answers the exit status.
func (e *Environment) Execute(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	var refused *client.Problem
	if errors.As(err, &refused) && len(refused.Errors) > 0 {
		err = misuse(refused)
	} else if refused != nil && helpLines[refused.Help] != "" {
		err = fmt.Errorf("%w; run %s", err, helpLines[refused.Help])
	}
	var wrong *UsageError
	if errors.As(err, &wrong) {
		fmt.Fprintf(e.Err, "keyfob: %s; see %s --help\n", OneLine(err), cmd.CommandPath())
		return 2
	}
	var said *AlreadySaid
	if !errors.As(err, &said) {
		fmt.Fprintf(e.Err, "keyfob: %s\n", OneLine(err))
	}
	return 1
}
