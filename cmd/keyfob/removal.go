package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// removed is what a removal answers.
type removed struct {
	Name    string `json:"name"`
	Removed bool   `json:"removed"`
}

// removal is a command that takes away for good what lies at a path of the API.
// question and done are told with its name.
func (e *environment) removal(use, short string, path []string, question, done string) *cobra.Command {
	r, out := e.remote(), &output{}
	c := command(use, short, func(c *cobra.Command, args []string) error {
		where := at(append(path[:len(path):len(path)], args[0])...)
		if err := r.call(c.Context(), http.MethodDelete, where+because(r.why(c)), nil, nil); err != nil {
			return err
		}
		e.say(done, args[0])
		return out.shown(e, removed{args[0], true})
	})
	return out.flag(r.because(e.careful(c, question)))
}

// careful makes a command ask before what cannot be undone. Where there is
// nobody to ask, whoever wrote the script meant it.
func (e *environment) careful(c *cobra.Command, question string) *cobra.Command {
	var yes bool
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	do := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if in, ok := e.terminal(); ok && !yes {
			if err := e.ask(in, fmt.Sprintf(question, args[0])); err != nil {
				return err
			}
		}
		return do(c, args)
	}
	return c
}

// terminal is where somebody can be asked, if there is one.
func (e *environment) terminal() (*os.File, bool) {
	in, ok := e.In.(*os.File)
	return in, ok && term.IsTerminal(int(in.Fd()))
}

// ask puts a question; the error says that it was not answered with yes.
func (e *environment) ask(in io.Reader, question string) error {
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
