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

// Careful makes a command ask before what cannot be undone. Where there is
// nobody to ask, whoever wrote the script meant it.
func (e *Environment) Careful(c *cobra.Command, question string) *cobra.Command {
	var yes bool
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	do := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if in, ok := e.Terminal(); ok && !yes {
			if err := e.Ask(in, fmt.Sprintf(question, args[0])); err != nil {
				return err
			}
		}
		return do(c, args)
	}
	return c
}

// Terminal is where somebody can be asked, if there is one.
func (e *Environment) Terminal() (*os.File, bool) {
	in, ok := e.In.(*os.File)
	return in, ok && term.IsTerminal(int(in.Fd()))
}

// Ask puts a question; the error says that it was not answered with yes.
func (e *Environment) Ask(in io.Reader, question string) error {
	fmt.Fprintf(e.Err, "%s (y/N)? ", question)
	if yes, err := ReadYes(in); err != nil || !yes {
		return errors.Join(errors.New("nothing was changed"), err)
	}
	return nil
}

// ReadYes reads a line and reports whether it says yes.
func ReadYes(in io.Reader) (bool, error) {
	line, err := bufio.NewReader(io.LimitReader(in, 64)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("reading the answer: %w", err)
	}
	word := strings.ToLower(strings.TrimSpace(line))
	return word == "y" || word == "yes", nil
}
