package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"keyfob/api"
)

func (e *environment) policyCommand() *cobra.Command {
	return e.group("policy", "The numbers of the rules", e.policyShow(), e.policySet(), e.policySimulate())
}

func (e *environment) policyShow() *cobra.Command {
	r, out := e.remote(), &output{}
	return out.flag(r.flags(command("show", "Show the numbers of the rules, and the chance of guessing that they leave", func(c *cobra.Command, _ []string) error {
		var p api.Policy
		if err := r.call(c.Context(), http.MethodGet, "/policy", nil, &p); err != nil {
			return err
		}
		return out.show(e.Out, p, func(tw *tabwriter.Writer) { policyRows(tw, p) })
	})))
}

// settingsOf reads KEY=VALUE arguments.
func settingsOf(args []string) (map[string]string, error) {
	settings := map[string]string{}
	for _, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		if !ok {
			return nil, usagef("%q is not of the form KEY=VALUE", arg)
		}
		settings[key] = value
	}
	return settings, nil
}

func policyRows(tw *tabwriter.Writer, p api.Policy) {
	row(tw, "KEY", "VALUE", "DEFAULT", "BOUNDS", "MEANING")
	for _, s := range p.Settings {
		row(tw, s.Key, s.Value, s.Default, s.Bounds, s.Doc)
	}
	row(tw)
	guessRows(tw, p)
	row(tw)
	row(tw, "PROFILE", "SETTINGS THAT ARE NOT THE DEFAULTS")
	for _, one := range p.Profiles {
		var settings []string
		for _, key := range slices.Sorted(maps.Keys(one.Settings)) {
			settings = append(settings, key+"="+one.Settings[key])
		}
		row(tw, one.Name, settings)
	}
}

// guessRows show the chance that blind guessing gets in, how it was reckoned,
// and what was assumed.
func guessRows(tw *tabwriter.Writer, p api.Policy) {
	row(tw, "GUESSING AT", "DIGITS", "TRIES A DAY", "A DAY WITH THE PIN", "A YEAR WITH IT", "A DAY WITHOUT THE PIN")
	for _, b := range p.Budgets {
		row(tw, b.Form, b.Digits, b.Tries, chance(b.Day), chance(b.Year), chance(b.DayNoPIN))
	}
	row(tw)
	row(tw, "GUESSING AT", "ARITHMETIC OF A DAY WITH THE PIN")
	for _, b := range p.Budgets {
		row(tw, b.Form, b.Arithmetic)
	}
	row(tw)
	row(tw, fmt.Sprintf("What would make a day with the PIN more than %.2g has to be forced. Assumed is:", p.MaxGuess))
	for _, one := range p.Assumed {
		row(tw, "- "+one)
	}
}

func chance(p float64) string { return fmt.Sprintf("%.2g", p) }
