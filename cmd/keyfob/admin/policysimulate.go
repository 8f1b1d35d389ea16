package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
)

func (e *commands) policySimulate() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var since string
	c := cli.Command("simulate KEY=VALUE…", "Play the audit trail under other rules: who would have been refused, locked, asked for more", func(c *cobra.Command, args []string) error {
		settings, err := settingsOf(args)
		if err != nil {
			return err
		}
		from, err := e.Since(since)
		if err != nil {
			return err
		}
		result, err := e.simulate(c.Context(), r, map[string]any{"settings": settings, "since": from})
		if err != nil {
			return err
		}
		if !result.Complete {
			e.Say("it took too long, and ended at event %d: take fewer days", result.Sequence)
		}
		return out.Show(e.Out, result, func(tw *tabwriter.Writer) { simulationRows(tw, result) })
	})
	c.Flags().StringVar(&since, "since", "90d", "from when on: a `TIME`, or a duration such as 90d")
	return out.Flag(r.Flags(c))
}

// simulate reads the lines of a simulation to the one that has the result.
func (e *commands) simulate(ctx context.Context, r *cli.Remote, in any) (*api.SimulationResult, error) {
	resp, err := r.Send(ctx, http.MethodPost, "/policy/simulate", in)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var progress *cli.Meter
	done := 0
	for lines := json.NewDecoder(resp.Body); ; {
		var line api.SimulationLine
		if err := lines.Decode(&line); err != nil {
			return nil, fmt.Errorf("the node ended the simulation before its result: %w; its log says why", err)
		}
		if line.Result != nil {
			if progress != nil {
				progress.End()
			}
			return line.Result, nil
		}
		if progress == nil {
			progress = e.Meter("simulating", int(line.Total))
		}
		progress.Add(int(line.Done) - done)
		done = int(line.Done)
	}
}

func simulationRows(tw *tabwriter.Writer, s *api.SimulationResult) {
	cli.Row(tw, "USER", "LOGINS", "REFUSED", "LOCKED THEN", "LOCKED IN FACT", "NEW PIN", "NEXT TOKENCODE")
	for _, one := range s.Effects {
		effectRow(tw, one.User, one)
	}
	if more := s.Touched - len(s.Effects); more > 0 {
		cli.Row(tw, fmt.Sprintf("and %d more", more))
	}
	effectRow(tw, "(all)", s.Totals)
	cli.Row(tw)
	cli.Row(tw, fmt.Sprintf("Of %d users who tried to log in since %s, the rules would have touched %d.",
		s.Users, s.Since.Local().Format(time.DateTime), s.Touched))
}

func effectRow(tw *tabwriter.Writer, who string, e api.SimulatedEffect) {
	cli.Row(tw, who, e.Logins, e.Refused, e.Locked, e.Was, e.NewPIN, e.Next)
}
