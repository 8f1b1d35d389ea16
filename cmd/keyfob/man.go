package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"keyfob/cmd/keyfob/cli"
)

func manCommand(e *cli.Environment) *cobra.Command {
	c := cli.Command("man [DIR]", "Print the manual pages, or write them into a directory", func(c *cobra.Command, args []string) error {
		root, now := c.Root(), e.Now()
		root.DisableAutoGenTag = true
		header := &doc.GenManHeader{Section: "1", Date: &now, Source: "keyfob " + cli.ThisBuild().Version, Manual: "keyfob"}
		if len(args) == 0 {
			return printPages(e, root, header)
		}
		if err := os.MkdirAll(args[0], 0o755); err != nil { //nolint:gosec // for everybody to read
			return fmt.Errorf("writing manual pages: %w", err)
		}
		return doc.GenManTree(root, header, args[0])
	})
	c.Example = "  keyfob man | man -l -\n  keyfob man /usr/local/share/man/man1"
	return c
}

// printPages prints the page of a command and those below it.
func printPages(e *cli.Environment, c *cobra.Command, header *doc.GenManHeader) error {
	own := *header // the generator sets the title
	if err := doc.GenMan(c, &own, e.Out); err != nil {
		return fmt.Errorf("writing the manual page of %s: %w", c.CommandPath(), err)
	}
	for _, sub := range c.Commands() {
		if !sub.IsAvailableCommand() {
			continue
		}
		if err := printPages(e, sub, header); err != nil {
			return err
		}
	}
	return nil
}
