package admin

import (
	"cmp"
	"fmt"
	"strings"

	"keyfob/cmd/keyfob/cli"
)

// Colors of a terminal (ECMA-48, SGR).
const (
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	plain  = "\x1b[0m"
)

// text is the event on one line, for people. The columns have fixed widths,
// because events are printed as they happen.
func (e *auditEvent) text(color bool) []byte {
	d := &e.Data
	domain, word := e.name()
	name := domain + "." + word
	line := fmt.Sprintf("%7d  %s  %-30s  %-16s  %-18s", d.Sequence, cli.Cell(&e.Time), name,
		column(cmp.Or(d.User, d.UserDigest)), column(d.Reason))
	if color {
		line = e.color() + line + plain
	}
	var rest []string
	add := func(what, value string) {
		if value != "" {
			rest = append(rest, what+cli.Cell(value))
		}
	}
	add("token ", d.Token.Serial)
	if d.Door != "" && d.Actor == "" {
		rest = append(rest, through(d.Door, cli.Cell(d.Client), cli.Cell(d.SourceIP)))
	}
	add("by ", d.Actor)
	add("reference ", d.Reference)
	add("note: ", d.Note)
	return []byte(strings.TrimRight(line+"  "+strings.Join(rest, "; "), " "))
}

// column is a value in a column of the text, without the end of what is too
// long for one.
func column(value string) string {
	const widest = 30
	runes := []rune(cli.Cell(value))
	if len(runes) > widest {
		runes = append(runes[:widest-1], '…')
	}
	return string(runes)
}

// color shows what happened at a glance.
func (e *auditEvent) color() string {
	switch {
	case e.Data.Outcome == "reject":
		return red
	case e.Data.Outcome == "accept":
		return green
	case e.warning():
		return yellow
	}
	return ""
}
