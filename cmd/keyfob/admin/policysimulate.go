package admin

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
)

func (e *commands) policySimulate() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var since string
	c := cli.Command("simulate KEY=VALUE…", "Replay the audit trail under other settings: who would have been refused, locked or asked for more", func(c *cobra.Command, args []string) error {
		settings, err := settingsOf(args)
		if err != nil {
			return err
		}
		from, err := e.Since(since)
		if err != nil {
			return err
		}
		result, err := e.simulate(c.Context(), r, api.SimulatePolicyRequest{PolicySettings: api.PolicySettings{Settings: settings}, Since: from})
		if err != nil {
			return err
		}
		if !result.Complete {
			e.Say("the simulation took too long and stopped at event %d; simulate fewer days", result.Sequence)
		}
		return out.Show(e.Out, result, func(tw *cli.Table) { simulationRows(tw, result) })
	})
	c.Flags().StringVar(&since, "since", "90d", "start at this `TIME`, or this long ago, such as 90d")
	return out.Flag(r.Flags(r.Completes(c, cli.PolicySettings)))
}

// simulate runs a simulation and shows its progress.
func (e *commands) simulate(ctx context.Context, r *cli.Remote, in api.SimulatePolicyRequest) (api.SimulationResult, error) {
	var meter *cli.Meter
	var before uint64
	result, err := r.SimulatePolicy(ctx, in, func(done, total uint64) {
		if meter == nil {
			meter = e.Meter("simulating", int(total))
		}
		meter.Add(int(done - before))
		before = done
	})
	if meter != nil {
		meter.End()
	}
	return result, err
}

func simulationRows(tw *cli.Table, s api.SimulationResult) {
	tw.Row("USER", "LOGINS", "REFUSED", "LOCKED", "LOCKED ACTUALLY", "NEW PIN", "NEXT TOKENCODE")
	for _, one := range s.Effects {
		effectRow(tw, one.User, one)
	}
	if more := s.Touched - len(s.Effects); more > 0 {
		tw.Row(fmt.Sprintf("and %d more", more))
	}
	effectRow(tw, "(all)", s.Totals)
	tw.Row()
	tw.Row(fmt.Sprintf("%d users tried to log in since %s; the settings would have affected %d.",
		s.Users, s.Since.Local().Format(time.DateTime), s.Touched))
}

func effectRow(tw *cli.Table, who string, e api.SimulatedEffect) {
	tw.Row(who, e.Logins, e.Refused, e.Locked, e.Was, e.NewPIN, e.Next)
}
