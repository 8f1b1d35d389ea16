package admin

import (
	"fmt"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
	"keyfob/engine"
)

// given says what became of a token that was left to its user, and shows the
// activation code, where one was made.
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

// showActivation shows an activation code, the one time that it is known.
func (e *commands) showActivation(user, code string) error {
	if code == "" {
		return nil
	}
	e.Say("the activation code, shown only this once; tell it to %s by another way than the token comes:", user)
	_, err := fmt.Fprintln(e.Out, code)
	return err
}

// nextLogin says what the owner will be asked for.
func nextLogin(t api.GivenToken) string {
	sent := t.Kind == engine.KindOnDemand
	switch {
	case t.Unclaimed && sent:
		return "it needs a PIN before anything is sent: keyfob token set-temporary-pin " + t.Serial
	case t.Unclaimed:
		return "it has no PIN, and pin.first demands an activation code for the first one: keyfob token set-temporary-pin " + t.Serial
	case t.ActivationCode != "":
		return "the next login, with the activation code as its PIN, asks for a new one"
	case t.Mode == api.ModeNextTokencode:
		return "the next login asks for the next tokencode"
	case t.Mode == api.ModeNewPIN && t.HasPIN:
		return "the next login, with the PIN that it has, asks for a new one"
	case t.Mode == api.ModeNewPIN:
		return "the next login, with the tokencode alone, sets its PIN"
	default:
		return "it is ready"
	}
}
