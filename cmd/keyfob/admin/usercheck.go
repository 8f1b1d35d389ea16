package admin

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
)

var errWrongWord = errors.New("no: the word is wrong, was used before, or has expired; ask the caller to get a new one at /caller of the page")

// userCheck checks who is on the telephone.
func (e *commands) userCheck() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	c := cli.Command("check USER WORD…", "Check the word that a caller reads out", func(c *cobra.Command, args []string) error {
		checked, err := r.CheckCaller(c.Context(), args[0], api.CheckCallerRequest{
			CommandRequest: r.Reason(c), Word: api.Secret(strings.Join(args[1:], "")),
		})
		if err != nil {
			return err
		}
		if !checked.Right {
			return errors.Join(out.Shown(e.Environment, checked), errWrongWord)
		}
		e.Say("yes: the caller has the token of %s; you may help until %s", checked.User, cli.Cell(checked.Until))
		return out.Shown(e.Environment, checked)
	})
	return out.Flag(r.Because(r.Completes(c, cli.Users)))
}
