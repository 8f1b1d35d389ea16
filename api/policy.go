package api

import (
	"context"

	"keyfob/engine"
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

// Policy is all numbers of the rules, in order of key.
type Policy struct {
	Settings []Setting `json:"settings"`
}

type policyChange struct {
	Body struct {
		Because
		Settings map[string]string `json:"settings" doc:"Those to be changed, all or none." minProperties:"1" maxProperties:"64"`
	}
}

func (a *API) policy() {
	register(a, route{get, "/policy", "show-policy", "Show the numbers of the rules", readers, 0}, a.showPolicy)
	register(a, route{patch, "/policy", "set-policy", "Change numbers of the rules, all or none", administrators, 0}, a.setPolicy)
}

func (a *API) showPolicy(_ context.Context, _ *struct{}) (*answer[Policy], error) {
	now, usual := a.cfg.Node.State().Policy, engine.DefaultPolicy()
	var p Policy
	for _, s := range engine.Settings() {
		p.Settings = append(p.Settings, Setting{
			Key: s.Key, Value: s.Read(now), Default: s.Read(usual), Unit: s.Unit, Bounds: s.Bounds, Doc: s.Doc,
		})
	}
	return answered(p), nil
}

func (a *API) setPolicy(ctx context.Context, in *policyChange) (*answer[Policy], error) {
	if err := a.do(ctx, in.Body.Reason, engine.SetPolicy{Settings: in.Body.Settings}); err != nil {
		return nil, err
	}
	return a.showPolicy(ctx, nil)
}
