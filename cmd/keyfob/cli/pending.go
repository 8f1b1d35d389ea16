package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"keyfob/api"
)

// WaitsFor says which approval a command waits for.
func (e *Environment) WaitsFor(p *api.PendingCommand) {
	until := ""
	if p.Expires != nil {
		until = " until " + Cell(p.Expires)
	}
	e.Say("waiting for a second administrator%s: %s; they use keyfob approval show %s and keyfob approval approve %s", until, p.ID, p.ID, p.ID)
}

// waits prints the answer to a command that waits for a second administrator.
// Secrets that the command made go to standard output, as they would have.
func (e *Environment) waits(cmd *cobra.Command, p *api.PendingCommand) error {
	e.WaitsFor(p)
	if f := cmd.Flag("output"); f != nil && f.Value.String() == "json" {
		return WriteJSON(e.Out, p)
	}
	for _, secret := range append([]string{p.Token, p.Invitation, p.PIN, p.ActivationCode}, p.Tokencodes...) {
		if secret != "" {
			fmt.Fprintln(e.Out, secret)
		}
	}
	return nil
}
