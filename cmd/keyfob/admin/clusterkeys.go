package admin

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/api/client"
	"keyfob/cmd/keyfob/cli"
)

const rotationPoll = time.Second // between looks at a rotation

func (e *commands) clusterRotateKeys() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var wait bool
	c := cli.Command("rotate-keys", "Rotate the root key and everything sealed under it, while logins go on", func(c *cobra.Command, _ []string) error {
		before, err := r.ClusterStatus(c.Context())
		if err != nil {
			return err
		}
		if err := r.RotateKeys(c.Context(), r.Reason(c)); err != nil {
			return err
		}
		var s api.RotationStatus
		if wait {
			s, err = e.awaitRotation(c.Context(), r.Client, before.Rotation.Version)
		} else {
			e.Say("rotation started; keyfob cluster status shows its progress")
			var now api.Status
			now, err = r.ClusterStatus(c.Context())
			s = now.Rotation
		}
		if err != nil {
			return err
		}
		return out.Shown(e.Environment, s)
	})
	c.Flags().BoolVar(&wait, "wait", false, "wait until the old root key is forgotten on every node, and show the progress")
	return out.Flag(r.Because(c))
}

// awaitRotation waits until a newer version than before is the only one.
func (e *commands) awaitRotation(ctx context.Context, r *client.Client, before int) (api.RotationStatus, error) {
	last := ""
	tick := time.NewTicker(rotationPoll)
	defer tick.Stop()
	for {
		s, err := r.ClusterStatus(ctx)
		if err != nil {
			return s.Rotation, err
		}
		if s.Rotation.Version > before && s.Rotation.Step == "done" {
			e.Say("version %d of the root key is in use; the version before is forgotten", s.Rotation.Version)
			return s.Rotation, nil
		}
		if line := rotationLine(s.Rotation); line != last {
			e.Say("%s", line)
			last = line
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return s.Rotation, ctx.Err()
		}
	}
}

// rotationLine says in one line how far a rotation is.
func rotationLine(s api.RotationStatus) string {
	line := fmt.Sprintf("%s: %d of %d values", s.Step, s.Done, s.Total)
	if len(s.WaitingFor) > 0 {
		line += "; waiting for " + strings.Join(s.WaitingFor, ", ")
	}
	return line
}

// warnExposed says how many tokens a removed node may know.
func (e *commands) warnExposed(ctx context.Context, r *client.Client) error {
	s, err := r.ClusterStatus(ctx)
	if err != nil {
		return err
	}
	if n := s.Rotation.Exposed; n > 0 {
		e.Say("its disk may hold the seeds of %d tokens, which no rotation takes back: if it was stolen, see keyfob token list --exposed "+
			"and keyfob token replace-exposed", n)
	}
	return nil
}
