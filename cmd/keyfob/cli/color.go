package cli

import (
	"os"

	"golang.org/x/term"
)

// OnTerminal reports whether the output goes to a terminal.
func (e *Environment) OnTerminal() bool {
	f, ok := e.Out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Color reports whether the output may have colors (no-color.org).
func (e *Environment) Color() bool {
	return e.OnTerminal() && e.Getenv("NO_COLOR") == "" && e.Getenv("TERM") != "dumb"
}
