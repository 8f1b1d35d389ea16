package admin

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
)

func (e *commands) policyCommand() *cobra.Command {
	return e.Group("policy", "Show and change the policy: the settings of the rules", e.policyShow(), e.policySet(), e.policySimulate())
}

func (e *commands) policyShow() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	c := cli.Command("show [KEY]", "Show the settings of the policy, and the chance that guessing succeeds", func(c *cobra.Command, args []string) error {
		p, err := r.ShowPolicy(c.Context())
		if err != nil {
			return err
		}
		if len(args) == 0 {
			return out.Show(e.Out, p, func(t *cli.Table) { policyRows(t, p) })
		}
		if p.Settings = chosen(p.Settings, args[0]); len(p.Settings) == 0 {
			return fmt.Errorf("no setting of the policy begins with %q; run keyfob policy show", args[0])
		}
		return out.Show(e.Out, p, func(t *cli.Table) { settingRows(t, p.Settings) })
	})
	return out.Flag(r.Flags(r.Completes(c, cli.PolicyKeys)))
}

// chosen returns the setting with a key or, if there is none, those with the
// prefix.
func chosen(all []api.Setting, key string) []api.Setting {
	var some []api.Setting
	for _, s := range all {
		if s.Key == key {
			return []api.Setting{s}
		}
		if strings.HasPrefix(s.Key, key) {
			some = append(some, s)
		}
	}
	return some
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

// policyRows show all settings, the chance of guessing and the profiles. They fit
// a terminal.
func policyRows(tw *cli.Table, p api.Policy) {
	tw.Row(profileInForce(p))
	tw.Row()
	settingRows(tw, p.Settings)
	tw.Row()
	guessRows(tw, p)
	tw.Row()
	tw.Row("PROFILE", "SETTINGS THAT DIFFER FROM THE DEFAULT")
	for _, one := range p.Profiles {
		text := cli.Wrap(cli.Cell(unusual(one.Settings)), cli.Width-len("PROFILE  "))
		tw.Row(one.Name, text[0])
		for _, more := range text[1:] {
			tw.Row(" ", more)
		}
	}
}

// settingRows show settings by group, the first word of the key. Settings that
// differ from the default are marked.
func settingRows(tw *cli.Table, settings []api.Setting) {
	tw.Row(" ", "SETTING", "VALUE", "MEANING")
	before := ""
	for _, s := range settings {
		if group, _, _ := strings.Cut(s.Key, "."); group != before && len(settings) > 1 {
			before = group
			tw.Row(" ", strings.ToUpper(strings.ReplaceAll(group, "_", " ")), " ", " ")
		}
		mark, bounds := " ", s.Bounds
		if s.Value != s.Default {
			mark, bounds = "*", bounds+"; default "+s.Default
		}
		text := cli.Wrap(s.Doc+" ("+bounds+")", meaningWidth)
		tw.Row(mark, s.Key, measured(s), text[0])
		for _, more := range text[1:] {
			tw.Row(" ", " ", " ", more)
		}
	}
}

const meaningWidth = 55 // columns, beside the name and the value of a setting

// measured returns the value of a setting with its unit, unless the value
// includes it.
func measured(s api.Setting) string {
	switch s.Unit {
	case "duration", "word", "yes or no":
		return s.Value
	}
	return s.Value + " " + s.Unit
}

// profileInForce names the profile that is nearest to the settings, and the
// settings that differ from it.
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
		return "Profile: " + nearest + "."
	}
	return "Profile: " + nearest + ", except " + strings.Join(others, ", ") + "."
}

// unusual lists settings in the form that policy set takes.
func unusual(settings map[string]string) []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		all = append(all, key+"="+settings[key])
	}
	return all
}

// guessRows show the chance that guessing succeeds, the arithmetic and the
// assumptions.
func guessRows(tw *cli.Table, p api.Policy) {
	tw.Row("GUESSING AT", "DIGITS", "TRIES PER DAY", "PER DAY, PIN KNOWN", "PER YEAR, PIN KNOWN", "PER DAY, PIN UNKNOWN")
	for _, b := range p.Budgets {
		tw.Row(b.Form, b.Digits, b.Tries, chance(b.Day), chance(b.Year), chance(b.DayNoPIN))
	}
	tw.Row()
	tw.Row("GUESSING AT", "ARITHMETIC PER DAY, PIN KNOWN")
	for _, b := range p.Budgets {
		tw.Row(b.Form, b.Arithmetic)
	}
	tw.Row()
	tw.Row(fmt.Sprintf("A chance per day with a known PIN above %.2g requires --force. Assumptions:", p.MaxGuess))
	for _, one := range p.Assumed {
		for i, line := range cli.Wrap(one, cli.Width-2) {
			tw.Row([]string{"- ", "  "}[min(i, 1)] + line)
		}
	}
}

func chance(p float64) string { return fmt.Sprintf("%.2g", p) }
