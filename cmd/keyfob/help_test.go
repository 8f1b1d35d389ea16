package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"keyfob/cmd/keyfob/cli"
)

func testRoot() *cobra.Command { return root(&cli.Environment{}) }

// leaves returns the commands without subcommands, by name.
func leaves(c *cobra.Command) map[string]*cobra.Command {
	all := map[string]*cobra.Command{}
	for _, sub := range c.Commands() {
		if sub.HasSubCommands() {
			for name, leaf := range leaves(sub) {
				all[name] = leaf
			}
			continue
		}
		all[strings.TrimPrefix(sub.CommandPath(), "keyfob ")] = sub
	}
	return all
}

func TestExamplesAreWellFormed(t *testing.T) {
	for name, of := range leaves(testRoot()) {
		for line := range strings.Lines(of.Example) {
			words := split(strings.TrimPrefix(strings.TrimSpace(line), "sudo -u keyfob "))
			if name == "man" && slices.Contains(words, "|") {
				continue // which is for the shell
			}
			if len(words) < 2 || words[0] != "keyfob" || !strings.HasPrefix(strings.Join(words, " "), "keyfob "+name) {
				t.Errorf("%q is no example of keyfob %s", line, name)
				continue
			}
			c, rest, err := testRoot().Find(words[1:])
			if err != nil {
				t.Errorf("%q: %v", line, err)
				continue
			}
			if err := c.ParseFlags(rest); err != nil {
				t.Errorf("%q: %v", line, err)
			} else if err := c.ValidateArgs(c.Flags().Args()); err != nil {
				t.Errorf("%q: %v", line, err)
			}
		}
	}
}

// split splits a line as a shell does, with ' as quotes.
func split(line string) []string {
	var words []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 0 {
			words = append(words, strings.Fields(part)...)
		} else {
			words = append(words, part)
		}
	}
	return words
}

func TestHelpFitsATerminal(t *testing.T) {
	for name, c := range leaves(testRoot()) {
		for line := range strings.Lines(c.Long + "\n" + c.Example) {
			if len(strings.TrimSuffix(line, "\n")) > cli.Width && !strings.HasPrefix(line, c.Short) {
				t.Errorf("keyfob %s: %d columns: %s", name, len(line), line)
			}
		}
	}
}

func TestNoFlagIsShownWithATypeOfGo(t *testing.T) {
	for name, c := range leaves(testRoot()) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if value, _ := pflag.UnquoteUsage(f); value != "" && value != strings.ToUpper(value) {
				t.Errorf("keyfob %s --%s %s", name, f.Name, value)
			}
		})
	}
}

// TestCommandsThatDestroyHaveTheFlagYes walks all commands. What the flag does is
// tested with the commands.
func TestCommandsThatDestroyHaveTheFlagYes(t *testing.T) {
	destroys := []string{"delete", "remove", "revoke", "unassign", "clear-pin", "restore"}
	found := 0
	for name, c := range leaves(testRoot()) {
		if !slices.Contains(destroys, c.Name()) {
			continue
		}
		found++
		if !cli.IsDestructive(c) {
			t.Errorf("keyfob %s destroys and does not ask", name)
		}
	}
	if found < len(destroys) {
		t.Errorf("only %d commands found", found)
	}
}
