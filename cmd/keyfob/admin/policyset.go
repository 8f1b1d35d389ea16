package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/api/client"
	"keyfob/cmd/keyfob/cli"
)

func (e *commands) policySet() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var yes, force bool
	c := cli.Command("set KEY=VALUE…", "Change numbers of the rules, all or none; profile=NAME for settings that belong together", func(c *cobra.Command, args []string) error {
		settings, err := settingsOf(args)
		if err != nil {
			return err
		}
		preview, err := r.PreviewPolicy(c.Context(), api.PolicySettings{Settings: settings})
		if err != nil {
			return err
		}
		if len(preview.Changes) == 0 {
			e.Say("all of that is so already; nothing was changed")
			return e.shownPolicy(c.Context(), r, out)
		}
		if err := e.tellPreview(preview); err != nil {
			return err
		}
		// What has to be forced is refused by the node; nobody need be asked first.
		if refused := len(preview.Risky) > 0 && !force; !refused && !yes {
			if err := e.confirm(preview); err != nil {
				return err
			}
		}
		p, err := r.SetPolicy(c.Context(), api.SetPolicyRequest{
			CommandRequest: r.Reason(c), PolicySettings: api.PolicySettings{Settings: settings}, Force: force,
		})
		switch {
		case client.IsProblem(err, "risky"):
			return fmt.Errorf("%w: --force", err)
		case err != nil:
			return err
		}
		e.Say("policy changed: %s", strings.Join(args, " "))
		return out.Shown(e.Environment, p)
	})
	c.Flags().BoolVar(&yes, "yes", false, "do not ask, also when users must change their PIN")
	c.Flags().BoolVar(&force, "force", false, "also when it lets guesses in more often than the bound of keyfob policy show")
	return out.Flag(r.Because(r.Completes(c, cli.PolicySettings)))
}

// shownPolicy writes the policy where JSON was asked for.
func (e *commands) shownPolicy(ctx context.Context, r *cli.Remote, out *cli.Output) error {
	p, err := r.ShowPolicy(ctx)
	if err != nil {
		return err
	}
	return out.Shown(e.Environment, p)
}

// tellPreview says before a change what it would do.
func (e *commands) tellPreview(p api.PolicyPreview) error {
	tw := cli.NewTable(e.Err)
	tw.Row("KEY", "BEFORE", "AFTER")
	for _, c := range p.Changes {
		tw.Row(c.Key, c.Before, c.After)
		if c.Key == "refusal.delay" && c.After == "0s" {
			defer e.Say("without refusal.delay, how long a refusal takes tells who exists, who is locked and whose tokencode was right")
		}
	}
	first := true
	for i, b := range p.After {
		before := p.Before[i]
		if chance(b.Day) == chance(before.Day) && chance(b.DayNoPIN) == chance(before.DayNoPIN) {
			continue
		}
		if first {
			tw.Row()
			tw.Row("GUESSING AT", "A DAY WITH THE PIN", "A DAY WITHOUT THE PIN")
		}
		first = false
		tw.Row(b.Form, chance(before.Day)+" -> "+chance(b.Day), chance(before.DayNoPIN)+" -> "+chance(b.DayNoPIN))
	}
	return tw.Flush()
}

// confirm asks whether a change is meant. Where nobody can be asked, one that
// users will notice needs --yes.
func (e *commands) confirm(p api.PolicyPreview) error {
	warning := consequences(p)
	in, ok := e.Terminal()
	switch {
	case ok:
	case warning == "":
		return nil
	default:
		return errors.New(warning + "; nothing was changed: say --yes if that is meant")
	}
	if warning != "" {
		e.Say("%s", warning)
	}
	return e.Ask(in, "Change it")
}

// consequences are what users will notice of a change.
func consequences(p api.PolicyPreview) string {
	var all []string
	if p.NewPIN > 0 {
		all = append(all, fmt.Sprintf("at most %d users must change their PIN at the next login", p.NewPIN))
	}
	if p.Unclaimed > 0 {
		all = append(all, fmt.Sprintf("%d tokens have no PIN, and their owners will need an activation code: keyfob token set-temporary-pin SERIAL", p.Unclaimed))
	}
	return strings.Join(all, "; ")
}
