// Package cli is shared by the commands of keyfob: environment, exit status,
// flags, tables and JSON, questions, progress, completion, and the connection to
// the API of a node. It contains no command.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/api/client"
)

// Environment is the input, the output and the surroundings of a command.
type Environment struct {
	In       io.Reader
	Out, Err io.Writer
	Now      func() time.Time
	Getenv   func(string) string
	Environ  func() []string
}

// OneLine returns the text of an error on one line, also if several were joined.
func OneLine(err error) string {
	lines := strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' })
	return strings.Join(lines, "; ")
}

// UsageError reports wrong usage of a command.
type UsageError struct{ error }

func Usagef(format string, args ...any) error {
	return &UsageError{fmt.Errorf(format, args...)}
}

// AlreadySaid is a failure that was printed already.
type AlreadySaid struct{}

func (*AlreadySaid) Error() string { return "failed" }

// Execute runs a command and returns the exit status.
func (e *Environment) Execute(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	var pending *api.PendingCommand
	if errors.As(err, &pending) {
		if err = e.waits(cmd, pending); err == nil {
			return 0
		}
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
