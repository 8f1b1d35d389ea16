package api

import (
	"context"
	"maps"

	"keyfob/engine"
	"keyfob/events"
)

// Setting is one number of the rules.
type Setting struct {
	Key     string `json:"key"`
	Value   string `json:"value"`
	Default string `json:"default"`
	Unit    string `json:"unit"`
	Bounds  string `json:"bounds"`
	Doc     string `json:"doc"`
}

// GuessBudget is the chance that blind guessing gets in.
type GuessBudget struct {
	Form       string  `json:"form" doc:"Of the token, as in window.FORM; ondemand: at a tokencode that was sent; emergency: at the fixed tokencode of a lost token."`
	Digits     int     `json:"digits" doc:"Of a tokencode."`
	Tries      int     `json:"tries_a_day" doc:"That are looked at in the worst day."`
	Day        float64 `json:"day" doc:"Chance in a day, by somebody who knows the PIN."`
	Year       float64 `json:"year" doc:"The same, in a year of such days."`
	DayNoPIN   float64 `json:"day_without_pin" doc:"Chance in a day, by somebody who does not."`
	Arithmetic string  `json:"arithmetic"`
}

// Profile is settings that belong together; set them by profile=NAME.
type Profile struct {
	Name     string            `json:"name"`
	Settings map[string]string `json:"settings" doc:"Those that are not the defaults."`
}

// Policy is all numbers of the rules, in order of key, and what they come to.
type Policy struct {
	Settings []Setting     `json:"settings"`
	Budgets  []GuessBudget `json:"guess_budgets"`
	Assumed  []string      `json:"guess_assumptions" doc:"What the arithmetic takes for granted."`
	MaxGuess float64       `json:"max_guess_a_day" doc:"A change that lets guesses in more often has to be forced."`
	Profiles []Profile     `json:"profiles"`
}

// SettingChange is a number of the rules before and after.
type SettingChange struct {
	Key    string `json:"key"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// PolicyPreview is what a change of the rules would do.
type PolicyPreview struct {
	Changes   []SettingChange `json:"changes"`
	NewPIN    int             `json:"new_pin_required" doc:"At most so many users must change their PIN at the next login: it was set under looser rules, or will have expired."`
	Unclaimed int             `json:"activation_code_required" doc:"So many tokens have an owner and no PIN, and could get one by a login: after the change each needs an activation code, which set-temporary-pin makes."`
	Before    []GuessBudget   `json:"guess_budgets_before"`
	After     []GuessBudget   `json:"guess_budgets_after"`
	Risky     []string        `json:"risky" doc:"Forms of tokens at which guesses would get in more often than max_guess_a_day: the change has to be forced."`
}

// PolicySettings are the settings that a request changes, previews or simulates.
type PolicySettings struct {
	Settings map[string]string `json:"settings" doc:"Those to be changed, all or none; profile: a name of settings that belong together, and the defaults for the rest." minProperties:"1" maxProperties:"256"`
}

// SetPolicyRequest changes the policy.
type SetPolicyRequest struct {
	CommandRequest
	PolicySettings
	Force bool `json:"force,omitempty" doc:"Also when it lets guesses in more often than max_guess_a_day."`
}

type setPolicyInput struct{ Body SetPolicyRequest }

type previewPolicyInput struct{ Body PolicySettings }

func (a *API) policy() {
	register(a, route{get, "/policy", "show-policy", "Show the numbers of the rules, and the chance of guessing that they leave", readers, 0}, a.showPolicy)
	register(a, route{patch, "/policy", "set-policy", "Change numbers of the rules, all or none", administrators, 0}, a.setPolicy)
	register(a, route{post, "/policy/preview", "preview-policy", "Say what a change of the rules would do, and change nothing", auditors, 0}, a.previewPolicy)
	a.simulation()
}

func (a *API) showPolicy(_ context.Context, _ *struct{}) (*answer[Policy], error) {
	now, usual := a.cfg.Node.State().Policy, engine.DefaultPolicy()
	p := Policy{Budgets: viewBudgets(engine.GuessBudgets(now)), Assumed: engine.GuessAssumptions(now), MaxGuess: engine.MaxGuess}
	for _, s := range engine.Settings() {
		p.Settings = append(p.Settings, Setting{
			Key: s.Key, Value: s.Read(now), Default: s.Read(usual), Unit: s.Unit, Bounds: s.Bounds, Doc: s.Doc,
		})
	}
	for _, name := range engine.Profiles() {
		settings, err := engine.Profile(name)
		if err != nil {
			return nil, err
		}
		for _, s := range p.Settings {
			maps.DeleteFunc(settings, func(key, value string) bool { return key == s.Key && value == s.Default })
		}
		p.Profiles = append(p.Profiles, Profile{Name: name, Settings: settings})
	}
	return answered(p), nil
}

func (a *API) setPolicy(ctx context.Context, in *setPolicyInput) (*answer[Policy], error) {
	reason := in.Body.Reason
	if in.Body.Force {
		reason += " (forced)"
	}
	if err := a.do(ctx, reason, engine.SetPolicy{Settings: in.Body.Settings, Force: in.Body.Force}); err != nil {
		return nil, err
	}
	return a.showPolicy(ctx, nil)
}

func (a *API) previewPolicy(_ context.Context, in *previewPolicyInput) (*answer[PolicyPreview], error) {
	preview, err := engine.PreviewPolicy(a.cfg.Node.State(), in.Body.Settings, events.At(a.cfg.Now()))
	if err != nil {
		return nil, err
	}
	v := PolicyPreview{
		Changes: []SettingChange{}, NewPIN: preview.NewPIN, Unclaimed: preview.Unclaimed, Risky: []string{},
		Before: viewBudgets(preview.Before), After: viewBudgets(preview.After),
	}
	for _, c := range preview.Changes {
		v.Changes = append(v.Changes, SettingChange(c))
	}
	for _, b := range preview.Risky() {
		v.Risky = append(v.Risky, b.Form)
	}
	return answered(v), nil
}

func viewBudgets(budgets []engine.Budget) []GuessBudget {
	views := make([]GuessBudget, 0, len(budgets))
	for _, b := range budgets {
		views = append(views, GuessBudget(b))
	}
	return views
}
