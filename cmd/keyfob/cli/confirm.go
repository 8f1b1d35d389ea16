package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// annotationDestructive marks the commands that Destructive returns.
const annotationDestructive = "destructive"

// Destructive marks a command that cannot be undone and adds the flag --yes. The
// command calls Confirm before it changes anything.
func Destructive(c *cobra.Command) *cobra.Command {
	c.Flags().Bool("yes", false, "do not ask")
	if c.Annotations == nil {
		c.Annotations = map[string]string{}
	}
	c.Annotations[annotationDestructive] = ""
	return c
}

// IsDestructive reports whether a command is marked by Destructive.
func IsDestructive(c *cobra.Command) bool {
	_, ok := c.Annotations[annotationDestructive]
	return ok
}

// Confirm asks a question before a destructive command continues. Without a
// terminal, --yes is required.
func (e *Environment) Confirm(c *cobra.Command, question string, args ...any) error {
	if yes, err := c.Flags().GetBool("yes"); err != nil || yes {
		return err
	}
	in, ok := e.Terminal()
	if !ok {
		return fmt.Errorf("not confirmed: %s? Without a terminal, use --yes; nothing was changed", fmt.Sprintf(question, args...))
	}
	return e.Ask(in, fmt.Sprintf(question, args...))
}

// Terminal returns the terminal that the input comes from, if it does.
func (e *Environment) Terminal() (*os.File, bool) {
	in, ok := e.In.(*os.File)
	return in, ok && term.IsTerminal(int(in.Fd()))
}

// Ask asks a question. It returns an error unless the answer is yes.
func (e *Environment) Ask(in io.Reader, question string) error {
	fmt.Fprintf(e.Err, "%s (y/N)? ", question)
	if yes, err := readYes(in); err != nil || !yes {
		return errors.Join(errors.New("nothing was changed"), err)
	}
	return nil
}

// readYes reads a line and reports whether it says yes.
func readYes(in io.Reader) (bool, error) {
	line, err := bufio.NewReader(io.LimitReader(in, 64)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("reading the answer: %w", err)
	}
	word := strings.ToLower(strings.TrimSpace(line))
	return word == "y" || word == "yes", nil
}
