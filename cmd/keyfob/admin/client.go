package admin

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/api/client"
	"keyfob/cmd/keyfob/cli"
	"keyfob/engine"
)

func (e *commands) clientCommand() *cobra.Command {
	return e.Group("client", "Manage RADIUS clients: the VPN gateways",
		e.clientAdd(),
		e.clientSet(),
		e.clientRotateSecret(),
		e.clientClearSigned(),
		e.clientList(),
		e.clientShow(),
		e.removal(removal{
			use: "remove NAME", short: "Remove a RADIUS client; its packets are no longer answered",
			question: "Remove client %s and its shared secret", done: "client %s removed",
			remove: (*client.Client).RemoveClient, names: cli.Clients,
		}),
	)
}

// Help of the flags that add and set have in common.
const (
	siteUsage    = "site of the client, for the audit trail"
	dialectUsage = "`DIALECT`: rsa, cisco-sdi, plain, or nochallenge for a VPN that cannot show a prompt"
	signedUsage  = "`POLICY` on Message-Authenticator: require, auto or allow"
	trustedUsage = "count failures through this client separately from those of strangers"
	secretUsage  = "`FILE` with the shared secret, - for standard input (default: generate one and show it)"
)

func (e *commands) clientAdd() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var n api.AddClientRequest
	var secretFile string
	c := cli.Command("add NAME ADDRESS|CIDR", "Add a RADIUS client", func(c *cobra.Command, args []string) error {
		n.CommandRequest, n.Name, n.Prefix = r.Reason(c), args[0], args[1]
		secret, made, err := e.secretOrNew(secretFile)
		if err != nil {
			return err
		}
		n.Secret = secret
		added, err := r.AddClient(c.Context(), n)
		if err != nil {
			return err
		}
		e.Say("client %s added for %s", added.Name, added.Prefix)
		return e.shownWithSecret(out, added, secret, made)
	})
	f := c.Flags()
	f.StringVar(&secretFile, "secret-file", "", secretUsage)
	f.StringVar(&n.Site, "site", "", siteUsage)
	f.StringVar(&n.Dialect, "dialect", "", dialectUsage+" (default rsa)")
	f.StringVar(&n.MessageAuthenticator, "message-authenticator", "", signedUsage+" (default auto)")
	f.BoolVar(&n.Trusted, "trusted", false, trustedUsage)
	return out.Flag(r.Because(r.Completes(c)))
}

func (e *commands) clientSet() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var prefix, site, dialect, signed string
	var trusted bool
	c := cli.Command("set NAME", "Change settings of a RADIUS client; those not named stay as they are", func(c *cobra.Command, args []string) error {
		n := api.SetClientRequest{
			CommandRequest:       r.Reason(c),
			Prefix:               given(c, "address", prefix),
			Site:                 given(c, "site", site),
			Dialect:              given(c, "dialect", dialect),
			MessageAuthenticator: given(c, "message-authenticator", signed),
			Trusted:              given(c, "trusted", trusted),
		}
		if n == (api.SetClientRequest{CommandRequest: n.CommandRequest}) {
			return cli.Usagef("nothing to change: give --address, --site, --dialect, --message-authenticator or --trusted")
		}
		changed, err := r.SetClient(c.Context(), args[0], n)
		if err != nil {
			return err
		}
		e.Say("client %s changed", changed.Name)
		return out.Shown(e.Environment, changed)
	})
	f := c.Flags()
	f.StringVar(&prefix, "address", "", "`ADDRESS` or CIDR of the client")
	f.StringVar(&site, "site", "", siteUsage)
	f.StringVar(&dialect, "dialect", "", dialectUsage)
	f.StringVar(&signed, "message-authenticator", "", signedUsage)
	f.BoolVar(&trusted, "trusted", false, trustedUsage+"; =false turns it off")
	return out.Flag(r.Because(r.Completes(c, cli.Clients)))
}

// given returns the value of a flag, or nil if the flag was not given.
func given[T any](c *cobra.Command, name string, value T) *T {
	if !c.Flags().Changed(name) {
		return nil
	}
	return &value
}

func (e *commands) clientRotateSecret() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	var secretFile string
	var overlap time.Duration
	c := cli.Command("rotate-secret NAME", "Give a RADIUS client a new shared secret; the old one stays valid until the new one is used", func(c *cobra.Command, args []string) error {
		if overlap < 0 || overlap > engine.MaxOverlap {
			return cli.Usagef("--overlap must be from 0s to %s", engine.SpellDuration(engine.MaxOverlap))
		}
		secret, made, err := e.secretOrNew(secretFile)
		if err != nil {
			return err
		}
		seconds := int(overlap / time.Second)
		n := api.RotateClientSecretRequest{CommandRequest: r.Reason(c), Secret: secret, OverlapSeconds: &seconds}
		rotated, err := r.RotateClientSecret(c.Context(), args[0], n)
		if err != nil {
			return err
		}
		if until := rotated.OldSecretUntil; until != nil {
			e.Say("client %s has a new shared secret; the old one is valid until the new one is used, at most until %s", rotated.Name, shortTime(*until))
		} else {
			e.Say("client %s has a new shared secret; the old one is no longer valid", rotated.Name)
		}
		return e.shownWithSecret(out, rotated, secret, made)
	})
	f := c.Flags()
	f.StringVar(&secretFile, "secret-file", "", secretUsage)
	cli.DurationVar(f, &overlap, "overlap", engine.DefaultOverlap, "how long the old secret stays valid at most; 0s ends it at once")
	return out.Flag(r.Because(r.Completes(c, cli.Clients)))
}

func (e *commands) clientClearSigned() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	c := cli.Command("clear-signed NAME [ADDRESS]", "Let an address of a RADIUS client, or all, send requests without a Message-Authenticator again", func(c *cobra.Command, args []string) error {
		n := api.ClearSignedRequest{CommandRequest: r.Reason(c)}
		if len(args) > 1 {
			n.Address = args[1]
		}
		changed, err := r.ClearSigned(c.Context(), args[0], n)
		if err != nil {
			return err
		}
		e.Say("client %s may send requests without a Message-Authenticator until an address sends one again", changed.Name)
		return out.Shown(e.Environment, changed)
	})
	return out.Flag(r.Because(r.Completes(c, cli.Clients)))
}

// secretOrNew reads a secret from a file, or generates one of 128 bits.
func (e *commands) secretOrNew(file string) (secret api.Secret, made bool, err error) {
	if file == "" {
		return api.Secret(rand.Text()), true, nil
	}
	text, err := e.ReadSecret(file)
	if n := utf8.RuneCountInString(text); err == nil && n < minSecret {
		err = fmt.Errorf("the shared secret in %s has %d characters, want at least %d: short ones can be guessed from a recorded login; omit --secret-file to generate one", file, n, minSecret)
	}
	return api.Secret(text), false, err
}

// minSecret is the length of the shortest shared secret that the API takes
// (RFC 2865, section 3).
const minSecret = 16

// shownWithSecret shows a client, and its secret if it was generated here.
func (e *commands) shownWithSecret(out *cli.Output, one api.Client, secret api.Secret, made bool) error {
	if !made {
		return out.Shown(e.Environment, one)
	}
	e.Say("shared secret, shown only once:")
	return out.Show(e.Out, struct {
		api.Client
		Secret string `json:"secret"`
	}{one, secret.Reveal()}, func(tw *cli.Table) { tw.Row(secret.Reveal()) })
}

func (e *commands) clientList() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	return out.Listing(r.Flags(cli.Command("list", "List RADIUS clients", func(c *cobra.Command, _ []string) error {
		clients, err := r.ListClients(c.Context())
		if err != nil {
			return err
		}
		return out.Show(e.Out, clients, func(tw *cli.Table) { clientRows(tw, clients...) })
	})))
}

func (e *commands) clientShow() *cobra.Command {
	r, out := e.Remote(), &cli.Output{}
	c := cli.Command("show NAME", "Show a RADIUS client", func(c *cobra.Command, args []string) error {
		one, err := r.ShowClient(c.Context(), args[0])
		if err != nil {
			return err
		}
		return out.Show(e.Out, one, func(t *cli.Table) { clientRows(t, one) })
	})
	return out.Flag(r.Flags(r.Completes(c, cli.Clients)))
}

func clientRows(tw *cli.Table, clients ...api.Client) {
	tw.Row("NAME", "ADDRESSES", "DIALECT", "MESSAGE-AUTHENTICATOR", "MUST SIGN", "SITE", "TRUSTED", "SECRET IN USE")
	for _, c := range clients {
		tw.Row(c.Name, c.Prefix, c.Dialect, c.MessageAuthenticator, mustSign(c), c.Site, c.Trusted, secretInUse(c))
	}
}

// shownAddresses is how many addresses a line of a table has room for.
const shownAddresses = 4

// mustSign says which addresses must send a Message-Authenticator.
func mustSign(c api.Client) string {
	switch {
	case c.MessageAuthenticator == "require", c.MessageAuthenticator == "auto" && c.SignedAll:
		return "all"
	case c.MessageAuthenticator != "auto" || len(c.Signed) == 0:
		return "none"
	case len(c.Signed) > shownAddresses:
		return fmt.Sprintf("%s and %d more", strings.Join(c.Signed[:shownAddresses], ", "), len(c.Signed)-shownAddresses)
	default:
		return strings.Join(c.Signed, ", ")
	}
}

// secretInUse says which shared secret a client uses, and since or until when.
func secretInUse(c api.Client) string {
	switch {
	case c.SecretInUse == engine.OldSecret:
		return "old, valid until " + shortTime(*c.OldSecretUntil)
	case c.SecretInUse == engine.NoSecret:
		return "none: new secret not used yet"
	case c.SecretFirstSeen != nil:
		return "new, since " + shortTime(*c.SecretFirstSeen)
	default:
		return "current"
	}
}

func shortTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }
