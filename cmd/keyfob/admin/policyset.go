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
	c := cli.Command("set KEY=VALUE…", "Change settings of the policy, all or none; profile=NAME applies a profile", func(c *cobra.Command, args []string) error {
		settings, err := settingsOf(args)
		if err != nil {
			return err
		}
		preview, err := r.PreviewPolicy(c.Context(), api.PolicySettings{Settings: settings})
		if err != nil {
			return err
		}
		if len(preview.Changes) == 0 {
			e.Say("the policy has these values already; nothing was changed")
			return e.shownPolicy(c.Context(), r, out)
		}
		if err := e.tellPreview(preview); err != nil {
			return err
		}
		// The node refuses a change that requires --force; do not ask before that.
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
	c.Flags().BoolVar(&yes, "yes", false, "do not ask, even if users must change their PIN")
	c.Flags().BoolVar(&force, "force", false, "accept a higher chance of guessing than the limit that keyfob policy show names")
	return out.Flag(r.Because(r.Completes(c, cli.PolicySettings)))
}

// shownPolicy writes the policy if JSON is wanted.
func (e *commands) shownPolicy(ctx context.Context, r *cli.Remote, out *cli.Output) error {
	p, err := r.ShowPolicy(ctx)
	if err != nil {
		return err
	}
	return out.Shown(e.Environment, p)
}

// tellPreview prints what a change would do.
func (e *commands) tellPreview(p api.PolicyPreview) error {
	tw := cli.NewTable(e.Err)
	tw.Row("KEY", "BEFORE", "AFTER")
	for _, c := range p.Changes {
		tw.Row(c.Key, c.Before, c.After)
		if c.Key == "refusal.delay" && c.After == "0s" {
			defer e.Say("without refusal.delay, response times reveal which users exist, which are locked, and which tokencodes are correct")
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
			tw.Row("GUESSING AT", "PER DAY, PIN KNOWN", "PER DAY, PIN UNKNOWN")
		}
		first = false
		tw.Row(b.Form, chance(before.Day)+" -> "+chance(b.Day), chance(before.DayNoPIN)+" -> "+chance(b.DayNoPIN))
	}
	return tw.Flush()
}

// confirm asks before a change. Without a terminal, a change that users notice
// needs --yes.
func (e *commands) confirm(p api.PolicyPreview) error {
	warning := consequences(p)
	in, ok := e.Terminal()
	switch {
	case ok:
	case warning == "":
		return nil
	default:
		return errors.New(warning + "; nothing was changed: confirm with --yes")
	}
	if warning != "" {
		e.Say("%s", warning)
	}
	return e.Ask(in, "Change the policy")
}

// consequences describe what users notice of a change.
func consequences(p api.PolicyPreview) string {
	var all []string
	if p.NewPIN > 0 {
		all = append(all, fmt.Sprintf("at most %d users must change their PIN at the next login", p.NewPIN))
	}
	if p.Unclaimed > 0 {
		all = append(all, fmt.Sprintf("%d tokens have no PIN, and their owners need an activation code: keyfob token set-temporary-pin SERIAL", p.Unclaimed))
	}
	return strings.Join(all, "; ")
}
