package api

import (
	"context"
	"maps"

	"keyfob/engine"
	"keyfob/events"
)

// Setting is a setting of the policy.
type Setting struct {
	Key     string `json:"key"`
	Value   string `json:"value"`
	Default string `json:"default"`
	Unit    string `json:"unit"`
	Bounds  string `json:"bounds"`
	Doc     string `json:"doc"`
}

// GuessBudget is the probability that guessing succeeds.
type GuessBudget struct {
	Form       string  `json:"form" doc:"Form of the token, as in window.FORM; ondemand: a tokencode that was sent; emergency: the fixed emergency tokencode."`
	Digits     int     `json:"digits" doc:"Digits of a tokencode."`
	Tries      int     `json:"tries_a_day" doc:"Attempts that are checked on the worst day."`
	Day        float64 `json:"day" doc:"Probability per day for someone who knows the PIN."`
	Year       float64 `json:"year" doc:"The same for a year of such days."`
	DayNoPIN   float64 `json:"day_without_pin" doc:"Probability per day for someone who does not know the PIN."`
	Arithmetic string  `json:"arithmetic"`
}

// Profile is a named set of settings. The setting profile=NAME applies it.
type Profile struct {
	Name     string            `json:"name"`
	Settings map[string]string `json:"settings" doc:"Settings that differ from the defaults."`
}

// Policy is all settings by key, with the probability of guessing that results.
type Policy struct {
	Settings []Setting     `json:"settings"`
	Budgets  []GuessBudget `json:"guess_budgets"`
	Assumed  []string      `json:"guess_assumptions" doc:"Assumptions of the calculation."`
	MaxGuess float64       `json:"max_guess_a_day" doc:"A change with a higher probability per day must be forced."`
	Profiles []Profile     `json:"profiles"`
}

// SettingChange is a setting before and after a change.
type SettingChange struct {
	Key    string `json:"key"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// PolicyPreview is the effect of a change of the policy.
type PolicyPreview struct {
	Changes   []SettingChange `json:"changes"`
	NewPIN    int             `json:"new_pin_required" doc:"Maximum number of users who must change their PIN at the next login, because it was set under less strict rules or has expired."`
	Unclaimed int             `json:"activation_code_required" doc:"Number of assigned tokens without a PIN that a login could set so far. After the change each needs an activation code, which set-temporary-pin makes."`
	Before    []GuessBudget   `json:"guess_budgets_before"`
	After     []GuessBudget   `json:"guess_budgets_after"`
	Risky     []string        `json:"risky" doc:"Forms of tokens for which guessing would succeed more often than max_guess_a_day. The change must be forced."`
}

// PolicySettings are the settings that a request changes, previews or simulates.
type PolicySettings struct {
	Settings map[string]string `json:"settings" doc:"Settings to change, all or none. The key profile sets a profile, and the defaults for the rest." minProperties:"1" maxProperties:"256"`
}

// SetPolicyRequest changes the policy.
type SetPolicyRequest struct {
	CommandRequest
	PolicySettings
	Force bool `json:"force,omitempty" doc:"Accept a change that exceeds max_guess_a_day."`
}

type setPolicyInput struct{ Body SetPolicyRequest }

type previewPolicyInput struct{ Body PolicySettings }

func (a *API) policy() {
	register(a, route{get, "/policy", "show-policy", "Show the policy, and the probability of guessing under it", readers, 0}, a.showPolicy)
	register(a, route{patch, "/policy", "set-policy", "Change settings of the policy, all or none", administrators, 0}, a.setPolicy)
	register(a, route{post, "/policy/preview", "preview-policy", "Preview a change of the policy, without changing it", auditors, 0}, a.previewPolicy)
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
