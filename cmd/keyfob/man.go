package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"keyfob/cmd/keyfob/cli"
)

func manCommand(e *cli.Environment) *cobra.Command {
	return cli.Command("man", "Print the manual page: keyfob man | man -l -", func(c *cobra.Command, _ []string) error {
		return writeMan(e.Out, c.Root())
	})
}

// writeMan writes one page for all commands, in the macros of man(7).
func writeMan(w io.Writer, root *cobra.Command) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, ".TH KEYFOB 1 \"\" %s keyfob\n", roffQuote("keyfob "+cli.ThisBuild().Version))
	fmt.Fprintf(&b, ".SH NAME\nkeyfob \\- %s\n", roff(root.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B keyfob\n.I command\n[arguments] [flags]\n")
	fmt.Fprintf(&b, ".SH DESCRIPTION\n")
	for paragraph := range strings.SplitSeq(root.Long, "\n\n") {
		fmt.Fprintf(&b, "%s\n.PP\n", roff(strings.ReplaceAll(paragraph, "\n", " ")))
	}
	fmt.Fprintf(&b, ".SH COMMANDS\n")
	manCommands(&b, root)
	fmt.Fprintf(&b, ".SH EXIT STATUS\n.TP\n0\ndone\n.TP\n1\nrefused or failed; one line says why and what to do\n.TP\n2\nused wrongly\n")
	fmt.Fprintf(&b, ".SH ENVIRONMENT\n")
	for _, v := range [][2]string{
		{"KEYFOB_SERVER", "URL of a node's API"},
		{"KEYFOB_TOKEN", "an API token"},
		{"KEYFOB_CA", "file with the certificates that the node's must chain to"},
		{"KEYFOB_DATA", "data directory of the node on this machine"},
		{"NO_COLOR", "set to anything: no colours"},
	} {
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", v[0], roff(v[1]))
	}
	_, err := w.Write(b.Bytes())
	return err
}

func manCommands(b *bytes.Buffer, c *cobra.Command) {
	for _, sub := range c.Commands() {
		if !sub.IsAvailableCommand() {
			continue
		}
		if sub.HasAvailableSubCommands() {
			manCommands(b, sub)
			continue
		}
		path := strings.TrimSuffix(sub.CommandPath(), " "+sub.Name())
		fmt.Fprintf(b, ".SS %s\n%s.\n", roffQuote(path+" "+sub.Use), roff(sub.Short))
		manPage(b, sub)
		sub.LocalFlags().VisitAll(func(f *pflag.Flag) {
			name, usage := pflag.UnquoteUsage(f)
			flag := "--" + f.Name
			if f.Shorthand != "" {
				flag = "-" + f.Shorthand + ", " + flag
			}
			fmt.Fprintf(b, ".TP\n.B %s\n", roff(strings.TrimSpace(flag+" "+name)))
			fmt.Fprintf(b, "%s\n", roff(usage))
		})
	}
}

// manPage writes what --help says of a command beyond its one line, as it
// stands there.
func manPage(b *bytes.Buffer, c *cobra.Command) {
	for _, text := range []string{strings.TrimPrefix(c.Long, c.Short+".\n"), c.Example} {
		if text = strings.Trim(text, "\n"); text == "" {
			continue
		}
		fmt.Fprintf(b, ".PP\n.nf\n")
		for line := range strings.SplitSeq(text, "\n") {
			fmt.Fprintf(b, "%s\n", roff(line))
		}
		fmt.Fprintf(b, ".fi\n")
	}
}

// roff makes text that the macros leave alone.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", `\&...`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}

func roffQuote(text string) string { return `"` + strings.ReplaceAll(roff(text), `"`, `\(dq`) + `"` }
