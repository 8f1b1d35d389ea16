package cli

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Output is the flag -o: how a command shows its result.
type Output struct {
	format  string
	formats []string
}

// JSON reports whether the result is wanted as JSON.
func (o *Output) JSON() bool { return o.format == "json" }

// Flag adds -o to a command.
func (o *Output) Flag(c *cobra.Command) *cobra.Command { return o.flag(c, "table", "json") }

// Listing adds -o to a listing, which can also be CSV.
func (o *Output) Listing(c *cobra.Command) *cobra.Command { return o.flag(c, "table", "json", "csv") }

func (o *Output) flag(c *cobra.Command, formats ...string) *cobra.Command {
	o.formats = formats
	c.Flags().VarP(o, "output", "o", orList(formats))
	if err := c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic("keyfob: " + err.Error()) // the flag was added the line before
	}
	return c
}

// orList joins words to choose from: table, json or csv.
func orList(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// String implements pflag.Value.
func (o *Output) String() string {
	if o.format == "" {
		return "table"
	}
	return o.format
}

// Set implements pflag.Value.
func (o *Output) Set(s string) error {
	if !slices.Contains(o.formats, s) {
		return fmt.Errorf("want %s", orList(o.formats))
	}
	o.format = s
	return nil
}

// Type implements pflag.Value.
func (o *Output) Type() string { return "FORMAT" }

// Show writes a value as JSON, or as the rows of a table.
func (o *Output) Show(w io.Writer, value any, rows func(*Table)) error {
	if o.JSON() {
		return WriteJSON(w, value)
	}
	t := NewTable(w)
	if o.format == "csv" {
		t.csv = csv.NewWriter(w)
	}
	rows(t)
	return t.Flush()
}

// Shown writes a value if JSON is wanted. It is for commands that otherwise print a
// message.
func (o *Output) Shown(e *Environment, value any) error {
	if !o.JSON() {
		return nil
	}
	return WriteJSON(e.Out, value)
}

// WriteJSON writes a value as JSON, indented.
func WriteJSON(w io.Writer, value any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}

// OrNever returns a time as tables show it, or never.
func OrNever(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return Cell(t)
}

var instants = regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

// InLocalTime replaces the times in a text of the API with local times.
func InLocalTime(text string) string {
	return instants.ReplaceAllStringFunc(text, func(instant string) string {
		t, err := time.Parse(time.RFC3339, instant)
		if err != nil {
			return instant
		}
		return Cell(&t)
	})
}

// Say prints a message to standard error.
func (e *Environment) Say(format string, args ...any) {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = Cell(s)
		}
	}
	fmt.Fprintf(e.Err, format+"\n", args...)
}
