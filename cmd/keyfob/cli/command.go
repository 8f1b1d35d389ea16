package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Group returns a command that only has subcommands.
func (e *Environment) Group(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs}
	c.RunE = func(c *cobra.Command, args []string) error {
		var names []string
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				names = append(names, sub.Name())
			}
		}
		if len(args) > 0 {
			return Usagef("command %q does not exist; commands are %s", c.CommandPath()+" "+args[0], strings.Join(names, ", "))
		}
		return Usagef("%s needs a command: %s", c.CommandPath(), strings.Join(names, ", "))
	}
	c.AddCommand(commands...)
	return c
}

// Command returns a command without subcommands. The words of use after the first
// are its arguments; a last one that ends in … may be repeated.
func Command(use, short string, do func(c *cobra.Command, args []string) error) *cobra.Command {
	names := strings.Fields(use)[1:]
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args: func(_ *cobra.Command, args []string) error {
			many := len(names) > 0 && strings.HasSuffix(names[len(names)-1], "…")
			required := 0
			for _, n := range names {
				if !strings.HasPrefix(n, "[") {
					required++
				}
			}
			switch {
			case len(args) < required:
				return Usagef("%s is missing", names[len(args)])
			case len(args) > len(names) && !many:
				return Usagef("unexpected argument %q", args[len(names)])
			}
			if i := slices.Index(args, ""); i >= 0 {
				return Usagef("%s is empty", names[min(i, len(names)-1)])
			}
			return nil
		},
		RunE: do,
	}
}
