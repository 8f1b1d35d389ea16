package admin

import (
	"context"
	"net/http"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
	"keyfob/cmd/keyfob/fob"
)

// newOnDemandToken is api.AddOnDemandTokenRequest with an address that is really sent.
type newOnDemandToken struct {
	Reason string `json:"reason"`
	Serial string `json:"serial"`
	User   string `json:"user"`
	Mail   string `json:"mail,omitempty"`
	Phone  string `json:"phone,omitempty"`
	Digits int    `json:"digits,omitempty"`
}

// onDemandFlags are those of token add that are for tokens whose tokencodes are
// sent.
type onDemandFlags struct {
	mail, phone  string
	temporaryPIN bool
}

func (o *onDemandFlags) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.mail, "mail", "", "ondemand: `ADDRESS` that tokencodes are sent to")
	f.StringVar(&o.phone, "phone", "", "ondemand: or `NUMBER`, with + and country code")
	f.BoolVar(&o.temporaryPIN, "pin-temporary", false, "ondemand: make a PIN that its owner must change at the first use")
}

// given reports whether any of them is set.
func (o *onDemandFlags) given() bool { return o.mail != "" || o.phone != "" || o.temporaryPIN }

// addOnDemand gives a user a token that displays nothing.
func (e *commands) addOnDemand(ctx context.Context, r *cli.Remote, out *cli.Output, n cli.NewToken, o onDemandFlags) error {
	if n.User == "" || (o.mail == "") == (o.phone == "") {
		return cli.Usagef("--kind ondemand wants --user, and --mail or --phone")
	}
	if n.Serial == "" {
		var err error
		if n.Serial, err = fob.NewSerial(); err != nil {
			return err
		}
	}
	in := newOnDemandToken{Reason: n.Reason, Serial: n.Serial, User: n.User, Mail: o.mail, Phone: o.phone, Digits: n.Digits}
	var t api.GivenToken
	if err := r.Call(ctx, http.MethodPost, "/tokens/ondemand", in, &t); err != nil {
		return err
	}
	if o.temporaryPIN && t.ActivationCode == "" { // which is one
		if t.Warning != "" {
			e.Say("warning: %s", t.Warning)
		}
		return e.makeTemporaryPIN(ctx, r, out, t.Serial, n.Reason)
	}
	return e.given(out, t, "token %s added, belongs to %s; %s", t.Serial, t.User, nextLogin(t))
}

// makeTemporaryPIN has a node make a PIN, and shows it.
func (e *commands) makeTemporaryPIN(ctx context.Context, r *cli.Remote, out *cli.Output, serial, reason string) error {
	var p api.TemporaryPIN
	in := map[string]string{"reason": reason}
	if err := r.Call(ctx, http.MethodPost, cli.At("tokens", serial, "temporary-pin"), in, &p); err != nil {
		return err
	}
	e.Say("the temporary PIN of token %s, shown only this once; the first login with it asks for a new one:", p.Serial)
	return out.Show(e.Out, p, func(tw *tabwriter.Writer) { cli.Row(tw, p.PIN) })
}
