package admin

import (
	"fmt"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
	"keyfob/engine"
)

// given reports on a token that was given to its user, and shows the activation
// code if there is one.
func (e *commands) given(out *cli.Output, t api.GivenToken, format string, args ...any) error {
	e.Say(format, args...)
	if t.Warning != "" {
		e.Say("warning: %s", t.Warning)
	}
	if out.JSON() {
		return out.Shown(e.Environment, t)
	}
	return e.showActivation(t.User, t.ActivationCode)
}

// showActivation shows an activation code. It is not stored.
func (e *commands) showActivation(user, code string) error {
	if code == "" {
		return nil
	}
	e.Say("activation code for %s, shown only once; deliver it separately from the token:", user)
	_, err := fmt.Fprintln(e.Out, code)
	return err
}

// nextLogin describes what the next login asks for.
func nextLogin(t api.GivenToken) string {
	sent := t.Kind == engine.KindOnDemand
	switch {
	case t.Unclaimed && sent:
		return "it needs a PIN before tokencodes are sent: keyfob token set-temporary-pin " + t.Serial
	case t.Unclaimed:
		return "it has no PIN, and pin.first requires an activation code to set one: keyfob token set-temporary-pin " + t.Serial
	case t.ActivationCode != "":
		return "the next login, with the activation code as the PIN, asks for a new PIN"
	case t.Mode == api.ModeNextTokencode:
		return "the next login asks for the next tokencode"
	case t.Mode == api.ModeNewPIN && t.HasPIN:
		return "the next login, with the present PIN, asks for a new one"
	case t.Mode == api.ModeNewPIN:
		return "the next login, with the tokencode alone, sets a PIN"
	default:
		return "it is ready"
	}
}
