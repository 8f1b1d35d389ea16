package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

const TableWidth = 100 // that fits most terminals

// Output is how a command shows what it found.
type Output struct{ Format string }

// Flag adds -o to a command.
func (o *Output) Flag(c *cobra.Command) *cobra.Command {
	c.Flags().VarP(o, "output", "o", "table or json")
	if err := c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic("keyfob: " + err.Error()) // the flag was added the line before
	}
	return c
}

// String, Set and Type make it a flag's value.
func (o *Output) String() string {
	if o.Format == "" {
		return "table"
	}
	return o.Format
}

func (o *Output) Set(s string) error {
	if s != "table" && s != "json" {
		return fmt.Errorf("want table or json")
	}
	o.Format = s
	return nil
}

func (o *Output) Type() string { return "FORMAT" }

// Show writes a value as JSON, or what table writes of it.
func (o *Output) Show(w io.Writer, value any, table func(*tabwriter.Writer)) error {
	if o.Format == "json" {
		return WriteJSON(w, value)
	}
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	table(tw)
	return tw.Flush()
}

func WriteJSON(w io.Writer, value any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}

// Row writes a line of a table. What other people chose is shown without
// control characters: it goes to an administrator's terminal.
func Row(tw *tabwriter.Writer, cells ...any) {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = Cell(c)
	}
	fmt.Fprintln(tw, strings.TrimRight(strings.Join(texts, "\t"), "\t "))
}

// Wrap breaks a text into lines of at most width bytes, between words; at least
// one.
func Wrap(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case len(*last)+1+len(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}

func Cell(v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case *time.Time:
		if v == nil {
			return "-"
		}
		return v.Local().Format("2006-01-02 15:04:05")
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case []string:
		return Cell(strings.Join(v, " "))
	}
	s := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, fmt.Sprint(v))
	if s == "" {
		return "-"
	}
	return s
}

// OrNever is when something happened, if it did.
func OrNever(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return Cell(t)
}

var instants = regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

// InLocalTime shows the times within words of the API as tables show times.
func InLocalTime(words string) string {
	return instants.ReplaceAllStringFunc(words, func(text string) string {
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return text
		}
		return Cell(&t)
	})
}

// Shown writes the value of a command that has said in words what it did:
// only where JSON was asked for.
func (o *Output) Shown(e *Environment, value any) error {
	if o.Format != "json" {
		return nil
	}
	return WriteJSON(e.Out, value)
}

// Say tells people what was done, beside the output.
func (e *Environment) Say(format string, args ...any) {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = Cell(s)
		}
	}
	fmt.Fprintf(e.Err, format+"\n", args...)
}
