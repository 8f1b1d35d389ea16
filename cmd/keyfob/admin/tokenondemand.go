package admin

import (
	"context"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
	"keyfob/cmd/keyfob/fob"
)

// onDemandFlags are the flags of token add for tokens of kind ondemand.
type onDemandFlags struct {
	mail, phone  string
	temporaryPIN bool
}

func (o *onDemandFlags) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.mail, "mail", "", "ondemand: `ADDRESS` that tokencodes are sent to")
	f.StringVar(&o.phone, "phone", "", "ondemand: or `NUMBER`, with + and country code")
	f.BoolVar(&o.temporaryPIN, "pin-temporary", false, "ondemand: set a random PIN that must be changed at the first login")
}

// given reports whether any of them is set.
func (o *onDemandFlags) given() bool { return o.mail != "" || o.phone != "" || o.temporaryPIN }

// addOnDemand adds a token whose tokencodes are sent.
func (e *commands) addOnDemand(ctx context.Context, r *cli.Remote, out *cli.Output, n api.AddTokenRequest, o onDemandFlags) error {
	if n.User == "" || (o.mail == "") == (o.phone == "") {
		return cli.Usagef("--kind ondemand needs --user, and --mail or --phone")
	}
	if n.Serial == "" {
		var err error
		if n.Serial, err = fob.NewSerial(); err != nil {
			return err
		}
	}
	t, err := r.AddOnDemandToken(ctx, api.AddOnDemandTokenRequest{
		CommandRequest: n.CommandRequest, Serial: n.Serial, User: n.User,
		Mail: api.Secret(o.mail), Phone: api.Secret(o.phone), Digits: n.Digits,
	})
	if err != nil {
		return err
	}
	if o.temporaryPIN && t.ActivationCode == "" { // which serves as one
		if t.Warning != "" {
			e.Say("warning: %s", t.Warning)
		}
		return e.makeTemporaryPIN(ctx, r, out, t.Serial, n.CommandRequest)
	}
	return e.given(out, t, "token %s added and assigned to %s; %s", t.Serial, t.User, nextLogin(t))
}

// makeTemporaryPIN sets a temporary PIN and shows it.
func (e *commands) makeTemporaryPIN(ctx context.Context, r *cli.Remote, out *cli.Output, token string, reason api.CommandRequest) error {
	p, err := onToken(ctx, r, token, func(serial string) (api.TemporaryPIN, error) {
		return r.SetTemporaryPIN(ctx, serial, reason)
	})
	if err != nil {
		return err
	}
	e.Say("temporary PIN of token %s, shown only once; the first login with it asks for a new one:", p.Serial)
	return out.Show(e.Out, p, func(t *cli.Table) { t.Row(p.PIN) })
}
