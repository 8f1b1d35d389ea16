package cli

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Width is what tables keep to: it fits most terminals.
const Width = 100

// Table is what a command shows as rows: aligned for people, or as CSV (RFC
// 4180).
type Table struct {
	out     io.Writer
	lines   bytes.Buffer // aligned
	aligned *tabwriter.Writer
	csv     *csv.Writer
}

// NewTable returns a table that is written to w, aligned, by Flush.
func NewTable(w io.Writer) *Table {
	t := &Table{out: w}
	t.aligned = tabwriter.NewWriter(&t.lines, 0, 8, 2, ' ', 0)
	return t
}

// Row writes a row. Control characters in what other people chose are not
// shown: the row may go to an administrator's terminal.
func (t *Table) Row(cells ...any) {
	if t.csv != nil {
		if len(cells) > 0 {
			_ = t.csv.Write(texts(cells, value)) // Flush reports the error
		}
		return
	}
	fmt.Fprintln(t.aligned, strings.Join(texts(cells, Cell), "\t"))
}

// Line writes a line of a sheet, unless there is nothing to say.
func (t *Table) Line(name, value string) {
	if value != "" {
		t.Row(name, value)
	}
}

// Write implements io.Writer for text that is no row.
func (t *Table) Write(b []byte) (int, error) { return t.aligned.Write(b) }

// Flush writes the table.
func (t *Table) Flush() error {
	if t.csv != nil {
		t.csv.Flush()
		return t.csv.Error()
	}
	if err := t.aligned.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(t.lines.String()) {
		text, end := strings.CutSuffix(line, "\n")
		text = strings.TrimRight(text, " ")
		if end {
			text += "\n"
		}
		if _, err := io.WriteString(t.out, text); err != nil {
			return err
		}
	}
	t.lines.Reset()
	return nil
}

func texts(cells []any, text func(any) string) []string {
	all := make([]string, len(cells))
	for i, c := range cells {
		all[i] = text(c)
	}
	return all
}

// Cell is a value as tables show it.
func Cell(v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case *time.Time:
		if v == nil {
			return "-"
		}
		return v.Local().Format(time.DateTime)
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case []string:
		return Cell(strings.Join(v, " "))
	}
	s := printable(fmt.Sprint(v))
	if s == "" {
		return "-"
	}
	return s
}

// value is a value as CSV has it: times in RFC 3339, and nothing for nothing.
func value(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case *time.Time:
		if v == nil {
			return ""
		}
		return v.UTC().Format(time.RFC3339)
	case bool:
		return strconv.FormatBool(v)
	case []string:
		return value(strings.Join(v, " "))
	}
	return printable(fmt.Sprint(v))
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
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
