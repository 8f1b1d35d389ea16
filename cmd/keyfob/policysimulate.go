package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api"
)

func (e *environment) policySimulate() *cobra.Command {
	r, out := e.remote(), &output{}
	var since string
	c := command("simulate KEY=VALUE…", "Play the audit trail under other rules: who would have been refused, locked, asked for more", func(c *cobra.Command, args []string) error {
		settings, err := settingsOf(args)
		if err != nil {
			return err
		}
		from, err := e.since(since)
		if err != nil {
			return err
		}
		result, err := e.simulate(c.Context(), r, map[string]any{"settings": settings, "since": from})
		if err != nil {
			return err
		}
		if !result.Complete {
			e.say("it took too long, and ended at event %d: take fewer days", result.Sequence)
		}
		return out.show(e.Out, result, func(tw *tabwriter.Writer) { simulationRows(tw, result) })
	})
	c.Flags().StringVar(&since, "since", "90d", "from when on: a `TIME`, or a duration such as 90d")
	return out.flag(r.flags(c))
}

// simulate reads the lines of a simulation to the one that has the result.
func (e *environment) simulate(ctx context.Context, r *remote, in any) (*api.SimulationResult, error) {
	resp, err := r.send(ctx, http.MethodPost, "/policy/simulate", in)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var progress *meter
	done := 0
	for lines := json.NewDecoder(resp.Body); ; {
		var line api.SimulationLine
		if err := lines.Decode(&line); err != nil {
			return nil, fmt.Errorf("the node ended the simulation before its result: %w; its log says why", err)
		}
		if line.Result != nil {
			if progress != nil {
				progress.end()
			}
			return line.Result, nil
		}
		if progress == nil {
			progress = e.meter("simulating", int(line.Total))
		}
		progress.add(int(line.Done) - done)
		done = int(line.Done)
	}
}

func simulationRows(tw *tabwriter.Writer, s *api.SimulationResult) {
	row(tw, "USER", "LOGINS", "REFUSED", "LOCKED THEN", "LOCKED IN FACT", "NEW PIN", "NEXT TOKENCODE")
	for _, one := range s.Effects {
		effectRow(tw, one.User, one)
	}
	if more := s.Touched - len(s.Effects); more > 0 {
		row(tw, fmt.Sprintf("and %d more", more))
	}
	effectRow(tw, "(all)", s.Totals)
	row(tw)
	row(tw, fmt.Sprintf("Of %d users who tried to log in since %s, the rules would have touched %d.",
		s.Users, s.Since.Local().Format(time.DateTime), s.Touched))
}

func effectRow(tw *tabwriter.Writer, who string, e api.SimulatedEffect) {
	row(tw, who, e.Logins, e.Refused, e.Locked, e.Was, e.NewPIN, e.Next)
}
