package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Questions asks for texts: at a terminal, without echo where they are secret, and
// otherwise line by line from the input.
type Questions struct {
	env      *Environment
	lines    *bufio.Reader
	terminal *os.File // nil: the input is none
}

// Questions returns the questions of a command.
func (e *Environment) Questions() *Questions {
	q := &Questions{env: e, lines: bufio.NewReader(io.LimitReader(e.In, 32*maxSecret))}
	if terminal, ok := e.Terminal(); ok {
		q.terminal = terminal
	}
	return q
}

// Text asks for a text.
func (q *Questions) Text(question string) (string, error) {
	if q.terminal != nil {
		fmt.Fprint(q.env.Err, question)
	}
	return q.line()
}

// Secret asks for a secret text.
func (q *Questions) Secret(question string) (string, error) {
	if q.terminal == nil {
		return q.line()
	}
	fmt.Fprint(q.env.Err, question)
	text, err := term.ReadPassword(int(q.terminal.Fd()))
	fmt.Fprintln(q.env.Err)
	if err != nil {
		return "", fmt.Errorf("reading the answer: %w", err)
	}
	return string(text), nil
}

func (q *Questions) line() (string, error) {
	line, err := q.lines.ReadString('\n')
	if errors.Is(err, io.EOF) && line == "" {
		return "", errors.New("the input ended before the last question")
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("reading the answer: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}
