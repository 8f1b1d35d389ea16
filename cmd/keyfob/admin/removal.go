package admin

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api/client"
	"keyfob/cmd/keyfob/cli"
)

// removed is the result of a removal.
type removed struct {
	Name    string `json:"name"`
	Removed bool   `json:"removed"`
}

// removal describes a command that deletes something by its name.
type removal struct {
	use, short     string
	question, done string // with the name in them
	remove         func(c *client.Client, ctx context.Context, name, reason string) error
	names          cli.Names
	then           func(context.Context, *client.Client) error // what to say afterwards; nil: nothing
}

func (e *commands) removal(w removal) *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	c := cli.Command(w.use, w.short, func(c *cobra.Command, args []string) error {
		if err := e.Confirm(c, w.question, args[0]); err != nil {
			return err
		}
		if err := w.remove(r.Client, c.Context(), args[0], r.Why(c)); err != nil {
			return err
		}
		e.Say(w.done, args[0])
		if w.then != nil {
			if err := w.then(c.Context(), r.Client); err != nil {
				return err
			}
		}
		return out.Shown(e.Environment, removed{args[0], true})
	})
	return cli.Destructive(out.Flag(r.Because(r.Completes(c, w.names))))
}

// seconds converts a duration for a request. A fraction of a second is one
// second, because 0 stands for the default.
func seconds(d time.Duration) int {
	if d > 0 {
		return max(1, int(d/time.Second))
	}
	return int(d / time.Second)
}
