// Command keyfob is the server, the demo, the administrative commands and a
// software token.
//
// This package puts the commands together. They are in the packages below: node
// runs a node, admin has the administrative commands, demo and bench start
// clusters of their own, fob is the software token, and cli is shared by all.
//
// Results go to standard output, as JSON with -o json; everything else goes to
// standard error. The exit status is 0 for success, 1 if a command was refused or
// failed, with one line that says why and what to do, and 2 for wrong usage.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"keyfob/cmd/keyfob/admin"
	"keyfob/cmd/keyfob/bench"
	"keyfob/cmd/keyfob/cli"
	"keyfob/cmd/keyfob/demo"
	"keyfob/cmd/keyfob/fob"
	"keyfob/cmd/keyfob/node"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	env := &cli.Environment{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Now: time.Now, Getenv: os.Getenv, Environ: os.Environ}
	return env.Execute(ctx, root(env), args)
}

// about is the description in --help and the manual.
const about = `keyfob is a two-factor authentication server for companies with several VPN gateways.

Administrative commands are requests to a node. The node is named by --server URL and --ca FILE,
after keyfob login or with an API token in KEYFOB_TOKEN, or, for root on the node itself, by
--data DIR.

Environment:

    KEYFOB_SERVER  URL of a node's API
    KEYFOB_TOKEN   API token of a program; without it, the session of keyfob login
    KEYFOB_CA      file with the certificates that sign the node's
    KEYFOB_DATA    data directory of the node on this machine
    XDG_STATE_HOME directory below which keyfob login keeps sessions
    NO_COLOR       set to anything: no colors

Exit status:

    0  success
    1  refused or failed; one line says why and what to do
    2  wrong usage`

func root(e *cli.Environment) *cobra.Command {
	root := e.Group("keyfob", "Two-factor authentication for VPN gateways")
	root.Long = about
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetOut(e.Out)
	root.SetErr(e.Err)
	root.SetIn(e.In)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return cli.Usagef("%w", err) })
	root.CompletionOptions.DisableDefaultCmd = true

	run, onFiles := node.Commands(e)
	root.AddCommand(run...)
	root.AddCommand(admin.Commands(e, onFiles...)...)
	root.AddCommand(
		demo.Command(e),
		bench.Command(e),
		fob.Command(e),
		versionCommand(e),
		completionCommand(e),
		manCommand(e),
	)
	cli.NameValues(root)
	return root
}
