package admin

import (
	"crypto/rand"
	"net/http"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
)

func (e *commands) clientCommand() *cobra.Command {
	return e.Group("client", "RADIUS clients: the VPN gateways",
		e.clientAdd(),
		e.clientList(),
		e.clientShow(),
		e.removal("remove NAME", "Answer a RADIUS client no more", []string{"clients"}, "Forget client %s and its shared secret", "client %s removed"),
	)
}

func (e *commands) clientAdd() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var n cli.NewClient
	var secretFile string
	c := cli.Command("add NAME ADDRESS|CIDR", "Add a RADIUS client, or with --replace change it", func(c *cobra.Command, args []string) error {
		n.Name, n.Prefix, n.Reason = args[0], args[1], r.Why(c)
		secret, made, err := e.secretOrNew(secretFile)
		if err != nil {
			return err
		}
		n.Secret = secret
		var added api.Client
		if err := r.Call(c.Context(), http.MethodPost, "/clients", n, &added); err != nil {
			return err
		}
		e.Say("client %s added for %s", added.Name, added.Prefix)
		if made {
			e.Say("its shared secret, shown only this once:")
			return out.Show(e.Out, struct {
				api.Client
				Secret string `json:"secret"`
			}{added, secret}, func(tw *tabwriter.Writer) { cli.Row(tw, secret) })
		}
		return out.Shown(e.Environment, added)
	})
	f := c.Flags()
	f.StringVar(&secretFile, "secret-file", "", "`FILE` with the shared secret, - for standard input; default: one is made and shown")
	f.StringVar(&n.Site, "site", "", "where the client stands")
	f.StringVar(&n.Dialect, "dialect", "", "`DIALECT`: rsa, cisco-sdi, plain, or nochallenge for a VPN that cannot ask (default rsa)")
	f.StringVar(&n.MessageAuthenticator, "message-authenticator", "", "`WORD`: require, auto or allow (default auto)")
	f.BoolVar(&n.Trusted, "trusted", false, "a gateway of our own, whose failures are counted apart from strangers'")
	f.BoolVar(&n.Replace, "replace", false, "change the client of that name")
	return out.Flag(r.Because(c))
}

// secretOrNew reads a secret from a file, or makes one of 128 random bits.
func (e *commands) secretOrNew(file string) (secret string, made bool, err error) {
	if file == "" {
		return rand.Text(), true, nil
	}
	secret, err = e.ReadSecret(file)
	return secret, false, err
}

func (e *commands) clientList() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Flag(r.Flags(cli.Command("list", "List RADIUS clients", func(c *cobra.Command, _ []string) error {
		clients, err := cli.All[api.Client](c.Context(), r, "/clients", nil)
		if err != nil {
			return err
		}
		return out.Show(e.Out, clients, func(tw *tabwriter.Writer) { clientRows(tw, clients...) })
	})))
}

func (e *commands) clientShow() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Flag(r.Flags(cli.Command("show NAME", "Show a RADIUS client", func(c *cobra.Command, args []string) error {
		var one api.Client
		if err := r.Call(c.Context(), http.MethodGet, cli.At("clients", args[0]), nil, &one); err != nil {
			return err
		}
		return out.Show(e.Out, one, func(tw *tabwriter.Writer) { clientRows(tw, one) })
	})))
}

func clientRows(tw *tabwriter.Writer, clients ...api.Client) {
	cli.Row(tw, "NAME", "ADDRESSES", "DIALECT", "MESSAGE-AUTHENTICATOR", "SITE", "TRUSTED")
	for _, c := range clients {
		cli.Row(tw, c.Name, c.Prefix, c.Dialect, c.MessageAuthenticator, c.Site, c.Trusted)
	}
}
