package admin

import (
	"net/http"

	"github.com/spf13/cobra"

	"keyfob/cmd/keyfob/cli"
)

// removed is what a removal answers.
type removed struct {
	Name    string `json:"name"`
	Removed bool   `json:"removed"`
}

// removal is a command that takes away for good what lies at a path of the API.
// question and done are told with its name.
func (e *commands) removal(use, short string, path []string, question, done string) *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	c := cli.Command(use, short, func(c *cobra.Command, args []string) error {
		where := cli.At(append(path[:len(path):len(path)], args[0])...)
		if err := r.Call(c.Context(), http.MethodDelete, where+because(r.Why(c)), nil, nil); err != nil {
			return err
		}
		e.Say(done, args[0])
		return out.Shown(e.Environment, removed{args[0], true})
	})
	return out.Flag(r.Because(e.Careful(c, question)))
}
