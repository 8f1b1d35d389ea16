// Command keyfob is the whole of keyfob: the server, the demo, the
// administrator's tool and a software token.
//
// This file is the way in and the way out: which commands there are, and with
// what exit status they end. A group of commands has a file of its own;
// server.go wires one node, dev.go starts several.
//
// What a command found out goes to standard output, JSON with -o json;
// everything else goes to standard error. The exit status is 0 when it was
// done, 1 when it was refused or failed, with one line that says why and what
// to do, and 2 when the command was used wrongly.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	env := &environment{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Now: time.Now, Getenv: os.Getenv, Environ: os.Environ}
	return env.run(ctx, args)
}

// environment is what commands have of the world around them.
type environment struct {
	In       io.Reader
	Out, Err io.Writer
	Now      func() time.Time
	Getenv   func(string) string
	Environ  func() []string
}

// run runs a command and answers the exit status.
func (e *environment) run(ctx context.Context, args []string) int {
	root := e.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	var wrong *usageError
	if errors.As(err, &wrong) {
		fmt.Fprintf(e.Err, "keyfob: %s; see %s --help\n", oneLine(err), cmd.CommandPath())
		return 2
	}
	var said *alreadySaid
	if !errors.As(err, &said) {
		fmt.Fprintf(e.Err, "keyfob: %s\n", oneLine(err))
	}
	return 1
}

// oneLine is the text of an error on one line, however many were joined.
func oneLine(err error) string {
	lines := strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' })
	return strings.Join(lines, "; ")
}

// usageError says that a command was used wrongly.
type usageError struct{ error }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// alreadySaid is a failure that the output has told already.
type alreadySaid struct{}

func (*alreadySaid) Error() string { return "failed" }

func (e *environment) root() *cobra.Command {
	root := e.group("keyfob", "Two-factor authentication for VPN gateways")
	root.Long = "keyfob is a two-factor authentication server for companies with several VPN gateways.\n\n" +
		"Administrative commands talk to a node: by --server URL and --ca FILE, or KEYFOB_SERVER and KEYFOB_CA, with an API\n" +
		"token in KEYFOB_TOKEN; or, as root on the node, through its socket, --data DIR."
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetOut(e.Out)
	root.SetErr(e.Err)
	root.SetIn(e.In)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.CompletionOptions.DisableDefaultCmd = true

	root.AddCommand(
		e.devCommand(),
		e.serverCommand(),
		e.configCommand(),
		e.clusterCommand(),
		e.userCommand(),
		e.tokenCommand(),
		e.fobCommand(),
		e.clientCommand(),
		e.policyCommand(),
		e.auditCommand(),
		e.stateCommand(),
		e.apiTokenCommand(),
		e.benchCommand(),
		e.versionCommand(),
		e.completionCommand(),
		e.manCommand(),
	)
	explain(root)
	return root
}

// group is a command that only holds others.
func (e *environment) group(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs}
	c.RunE = func(c *cobra.Command, args []string) error {
		var names []string
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				names = append(names, sub.Name())
			}
		}
		if len(args) > 0 {
			return usagef("there is no command %q; there are %s", c.CommandPath()+" "+args[0], strings.Join(names, ", "))
		}
		return usagef("%s needs one of %s", c.CommandPath(), strings.Join(names, ", "))
	}
	c.AddCommand(commands...)
	return c
}

// command is a command that does something, with the names of its arguments.
// A last name that ends in … takes one or more.
func command(use, short string, do func(c *cobra.Command, args []string) error) *cobra.Command {
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
				return usagef("%s is missing", names[len(args)])
			case len(args) > len(names) && !many:
				return usagef("%q is one argument too many", args[len(names)])
			}
			if i := slices.Index(args, ""); i >= 0 {
				return usagef("%s is empty", names[min(i, len(names)-1)])
			}
			return nil
		},
		RunE: do,
	}
}
