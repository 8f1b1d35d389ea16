package admin

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
)

func (e *commands) policyCommand() *cobra.Command {
	return e.Group("policy", "The numbers of the rules", e.policyShow(), e.policySet(), e.policySimulate())
}

func (e *commands) policyShow() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Flag(r.Flags(cli.Command("show", "Show the numbers of the rules, and the chance of guessing that they leave", func(c *cobra.Command, _ []string) error {
		var p api.Policy
		if err := r.Call(c.Context(), http.MethodGet, "/policy", nil, &p); err != nil {
			return err
		}
		return out.Show(e.Out, p, func(tw *tabwriter.Writer) { policyRows(tw, p) })
	})))
}

// settingsOf reads KEY=VALUE arguments.
func settingsOf(args []string) (map[string]string, error) {
	settings := map[string]string{}
	for _, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		if !ok {
			return nil, cli.Usagef("%q is not of the form KEY=VALUE", arg)
		}
		if _, twice := settings[key]; twice {
			return nil, cli.Usagef("%s is given twice", key)
		}
		settings[key] = value
	}
	return settings, nil
}

// policyRows show every setting with what it means, those that are not the
// defaults marked, and fit a terminal.
func policyRows(tw *tabwriter.Writer, p api.Policy) {
	cli.Row(tw, profileInForce(p))
	cli.Row(tw)
	cli.Row(tw, " ", "SETTING", "VALUE", "MEANING")
	for _, s := range p.Settings {
		mark, bounds := " ", s.Bounds
		if s.Value != s.Default {
			mark, bounds = "*", bounds+"; default "+s.Default
		}
		text := cli.Wrap(s.Doc+" ("+bounds+")", meaningWidth)
		cli.Row(tw, mark, s.Key, measured(s), text[0])
		for _, more := range text[1:] {
			cli.Row(tw, " ", " ", " ", more)
		}
	}
	cli.Row(tw)
	guessRows(tw, p)
	cli.Row(tw)
	cli.Row(tw, "PROFILE", "SETTINGS THAT ARE NOT THE DEFAULTS")
	for _, one := range p.Profiles {
		text := cli.Wrap(cli.Cell(unusual(one.Settings)), cli.TableWidth-len("PROFILE  "))
		cli.Row(tw, one.Name, text[0])
		for _, more := range text[1:] {
			cli.Row(tw, " ", more)
		}
	}
}

const meaningWidth = 55 // of the table's, beside a setting's name and value

// measured is a setting's value with its unit, where that is not said by the
// value.
func measured(s api.Setting) string {
	switch s.Unit {
	case "duration", "word", "yes or no":
		return s.Value
	}
	return s.Value + " " + s.Unit
}

// profileInForce names the profile that the settings are nearest to, and those
// that differ from it.
func profileInForce(p api.Policy) string {
	var nearest string
	var others []string
	for _, one := range p.Profiles {
		differ := []string{}
		for _, s := range p.Settings {
			of, ok := one.Settings[s.Key]
			if !ok {
				of = s.Default
			}
			if s.Value != of {
				differ = append(differ, s.Key)
			}
		}
		if nearest == "" || len(differ) < len(others) {
			nearest, others = one.Name, differ
		}
	}
	if len(others) == 0 {
		return "The profile " + nearest + " is in force."
	}
	return "The profile " + nearest + " is in force, but for " + strings.Join(others, ", ") + "."
}

// unusual lists settings as they are given to policy set.
func unusual(settings map[string]string) []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		all = append(all, key+"="+settings[key])
	}
	return all
}

// guessRows show the chance that blind guessing gets in, how it was reckoned,
// and what was assumed.
func guessRows(tw *tabwriter.Writer, p api.Policy) {
	cli.Row(tw, "GUESSING AT", "DIGITS", "TRIES A DAY", "A DAY WITH THE PIN", "A YEAR WITH IT", "A DAY WITHOUT THE PIN")
	for _, b := range p.Budgets {
		cli.Row(tw, b.Form, b.Digits, b.Tries, chance(b.Day), chance(b.Year), chance(b.DayNoPIN))
	}
	cli.Row(tw)
	cli.Row(tw, "GUESSING AT", "ARITHMETIC OF A DAY WITH THE PIN")
	for _, b := range p.Budgets {
		cli.Row(tw, b.Form, b.Arithmetic)
	}
	cli.Row(tw)
	cli.Row(tw, fmt.Sprintf("What would make a day with the PIN more than %.2g has to be forced. Assumed is:", p.MaxGuess))
	for _, one := range p.Assumed {
		for i, line := range cli.Wrap(one, cli.TableWidth-2) {
			cli.Row(tw, []string{"- ", "  "}[min(i, 1)]+line)
		}
	}
}

func chance(p float64) string { return fmt.Sprintf("%.2g", p) }
