package main

import (
	"crypto/rand"
	"net/http"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"keyfob/api"
)

func (e *environment) clientCommand() *cobra.Command {
	return e.group("client", "RADIUS clients: the VPN gateways",
		e.clientAdd(),
		e.clientList(),
		e.clientShow(),
		e.removal("remove NAME", "Answer a RADIUS client no more", []string{"clients"}, "Forget client %s and its shared secret", "client %s removed"),
	)
}

func (e *environment) clientAdd() *cobra.Command {
	r, out := e.remote(), &output{}
	var n newClient
	var secretFile string
	c := command("add NAME ADDRESS|CIDR", "Add a RADIUS client, or with --replace change it", func(c *cobra.Command, args []string) error {
		n.Name, n.Prefix, n.Reason = args[0], args[1], r.why(c)
		secret, made, err := e.secretOrNew(secretFile)
		if err != nil {
			return err
		}
		n.Secret = secret
		var added api.Client
		if err := r.call(c.Context(), http.MethodPost, "/clients", n, &added); err != nil {
			return err
		}
		e.say("client %s added for %s", added.Name, added.Prefix)
		if made {
			e.say("its shared secret, shown only this once:")
			return out.show(e.Out, struct {
				api.Client
				Secret string `json:"secret"`
			}{added, secret}, func(tw *tabwriter.Writer) { row(tw, secret) })
		}
		return out.shown(e, added)
	})
	f := c.Flags()
	f.StringVar(&secretFile, "secret-file", "", "`FILE` with the shared secret, - for standard input; default: one is made and shown")
	f.StringVar(&n.Site, "site", "", "where the client stands")
	f.StringVar(&n.Dialect, "dialect", "", "`DIALECT`: rsa, cisco-sdi, plain, or nochallenge for a VPN that cannot ask (default rsa)")
	f.StringVar(&n.MessageAuthenticator, "message-authenticator", "", "`WORD`: require, auto or allow (default auto)")
	f.BoolVar(&n.Trusted, "trusted", false, "a gateway of our own, whose failures are counted apart from strangers'")
	f.BoolVar(&n.Replace, "replace", false, "change the client of that name")
	return out.flag(r.because(c))
}

// newClient is api.AddClientRequest with a secret that is really sent.
type newClient struct {
	Reason               string `json:"reason"`
	Name                 string `json:"name"`
	Prefix               string `json:"prefix"`
	Secret               string `json:"secret"`
	Site                 string `json:"site,omitempty"`
	Dialect              string `json:"dialect,omitempty"`
	MessageAuthenticator string `json:"message_authenticator,omitempty"`
	Trusted              bool   `json:"trusted,omitempty"`
	Replace              bool   `json:"replace,omitempty"`
}

// secretOrNew reads a secret from a file, or makes one of 128 random bits.
func (e *environment) secretOrNew(file string) (secret string, made bool, err error) {
	if file == "" {
		return rand.Text(), true, nil
	}
	secret, err = e.readSecret(file)
	return secret, false, err
}

func (e *environment) clientList() *cobra.Command {
	r, out := e.remote(), &output{}
	return out.flag(r.flags(command("list", "List RADIUS clients", func(c *cobra.Command, _ []string) error {
		clients, err := all[api.Client](c.Context(), r, "/clients", nil)
		if err != nil {
			return err
		}
		return out.show(e.Out, clients, func(tw *tabwriter.Writer) { clientRows(tw, clients...) })
	})))
}

func (e *environment) clientShow() *cobra.Command {
	r, out := e.remote(), &output{}
	return out.flag(r.flags(command("show NAME", "Show a RADIUS client", func(c *cobra.Command, args []string) error {
		var one api.Client
		if err := r.call(c.Context(), http.MethodGet, at("clients", args[0]), nil, &one); err != nil {
			return err
		}
		return out.show(e.Out, one, func(tw *tabwriter.Writer) { clientRows(tw, one) })
	})))
}

func clientRows(tw *tabwriter.Writer, clients ...api.Client) {
	row(tw, "NAME", "ADDRESSES", "DIALECT", "MESSAGE-AUTHENTICATOR", "SITE", "TRUSTED")
	for _, c := range clients {
		row(tw, c.Name, c.Prefix, c.Dialect, c.MessageAuthenticator, c.Site, c.Trusted)
	}
}
