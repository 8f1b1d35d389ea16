package main

import (
	"github.com/spf13/cobra"

	"keyfob/cmd/keyfob/cli"
)

func versionCommand(e *cli.Environment) *cobra.Command {
	out := &cli.Output{}
	return out.Flag(cli.Command("version", "Show the version of this binary", func(*cobra.Command, []string) error {
		b := cli.ThisBuild()
		return out.Show(e.Out, b, func(tw *cli.Table) {
			tw.Row("keyfob", b.Version)
			tw.Row("revision", b.Revision)
			tw.Row("go", b.Go, b.Platform)
			tw.Row("fips 140-3", b.FIPS, "module "+b.FIPSModule)
		})
	}))
}

func completionCommand(e *cli.Environment) *cobra.Command {
	c := cli.Command("completion SHELL", "Print the completion script of bash, zsh, fish or powershell", func(c *cobra.Command, args []string) error {
		root := c.Root()
		switch args[0] {
		case "bash":
			return root.GenBashCompletionV2(e.Out, true)
		case "zsh":
			return root.GenZshCompletion(e.Out)
		case "fish":
			return root.GenFishCompletion(e.Out, true)
		case "powershell":
			return root.GenPowerShellCompletionWithDesc(e.Out)
		}
		return cli.Usagef("no completion for %q; supported are bash, zsh, fish and powershell", args[0])
	})
	c.ValidArgs = []string{"bash", "zsh", "fish", "powershell"}
	return c
}
