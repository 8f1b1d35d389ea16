package main

import (
	"runtime"
	"runtime/debug"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// version is set when a release is linked: -ldflags "-X main.version=1.0.0".
var version string

// build is what this binary is.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func thisBuild() build {
	b := build{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Revision = s.Value
		}
	}
	return b
}

func (e *environment) versionCommand() *cobra.Command {
	out := &output{}
	return out.flag(command("version", "Show what this binary is", func(*cobra.Command, []string) error {
		b := thisBuild()
		return out.show(e.Out, b, func(tw *tabwriter.Writer) {
			row(tw, "keyfob", b.Version)
			row(tw, "revision", b.Revision)
			row(tw, "go", b.Go, b.Platform)
		})
	}))
}

func (e *environment) completionCommand() *cobra.Command {
	c := command("completion SHELL", "Print the completion script of bash, zsh, fish or powershell", func(c *cobra.Command, args []string) error {
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
		return usagef("there is no completion for %q; there is for bash, zsh, fish and powershell", args[0])
	})
	c.ValidArgs = []string{"bash", "zsh", "fish", "powershell"}
	return c
}
