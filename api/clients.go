package api

import (
	"context"
	"net/netip"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// Client is a RADIUS client. Its secret is never shown.
type Client struct {
	Name                 string           `json:"name"`
	Prefix               string           `json:"prefix" doc:"Addresses that the client may send from."`
	Site                 string           `json:"site,omitempty"`
	Dialect              string           `json:"dialect"`
	MessageAuthenticator string           `json:"message_authenticator"`
	Trusted              bool             `json:"trusted"`
	Signed               []string         `json:"signed" doc:"Addresses that must send a Message-Authenticator, because they have sent one before."`
	SignedAll            bool             `json:"signed_all" doc:"All addresses must send a Message-Authenticator, because more have sent one than are listed."`
	SecretInUse          engine.SecretUse `json:"secret_in_use" enum:"current,old,none" doc:"current: never rotated, or the new secret has been used. old: the new secret has not been used yet and the old one is still valid. none: the new secret has not been used yet and the old one is no longer valid."`
	SecretRotated        *time.Time       `json:"secret_rotated,omitempty" doc:"When the secret was last rotated."`
	SecretFirstSeen      *time.Time       `json:"secret_first_seen,omitempty" doc:"When the new secret was first used."`
	OldSecretUntil       *time.Time       `json:"old_secret_until,omitempty" doc:"When the old secret ends or ended. It ends earlier if the new one is used."`
}

func viewClient(c *engine.Client, now events.Time) Client {
	v := Client{
		Name:                 c.Name,
		Prefix:               c.Prefix.String(),
		Site:                 c.Site,
		Dialect:              c.Dialect,
		MessageAuthenticator: c.MessageAuthenticator,
		Trusted:              c.Trusted,
		Signed:               []string{},
		SignedAll:            c.SignedAll,
		SecretInUse:          c.SecretInUse(now),
		SecretRotated:        instant(c.Rotated),
		SecretFirstSeen:      instant(c.Seen),
		OldSecretUntil:       instant(c.OldUntil),
	}
	for _, addr := range c.Signed {
		v.Signed = append(v.Signed, addr.String())
	}
	return v
}

// ClientPath names a client in a path.
type ClientPath struct {
	Name string `path:"name" maxLength:"64"`
}

// AddClientRequest adds a RADIUS client.
type AddClientRequest struct {
	CommandRequest
	Name                 string `json:"name" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9._-]+$"`
	Prefix               string `json:"prefix" minLength:"2" maxLength:"64" doc:"An address or a CIDR. The longest match for a packet's source applies."`
	Secret               Secret `json:"secret" minLength:"16" maxLength:"128" doc:"Shared secret; use random characters."`
	Site                 string `json:"site,omitempty" maxLength:"64"`
	Dialect              string `json:"dialect,omitempty" enum:"rsa,cisco-sdi,plain,nochallenge" doc:"How prompts are worded; default rsa."`
	MessageAuthenticator string `json:"message_authenticator,omitempty" enum:"require,auto,allow" doc:"In requests; default auto."`
	Trusted              bool   `json:"trusted,omitempty" doc:"Failures at this client have a budget of their own, apart from strangers'."`
}

type addClientInput struct{ Body AddClientRequest }

// SetClientRequest changes the settings of a RADIUS client that it names.
type SetClientRequest struct {
	CommandRequest
	Prefix               *string `json:"prefix,omitempty" minLength:"2" maxLength:"64" doc:"An address or a CIDR."`
	Site                 *string `json:"site,omitempty" maxLength:"64" doc:"Empty: that of the node."`
	Dialect              *string `json:"dialect,omitempty" enum:"rsa,cisco-sdi,plain,nochallenge"`
	MessageAuthenticator *string `json:"message_authenticator,omitempty" enum:"require,auto,allow"`
	Trusted              *bool   `json:"trusted,omitempty"`
}

type setClientInput struct {
	ClientPath
	Body SetClientRequest
}

// RotateClientSecretRequest sets a new shared secret of a RADIUS client.
type RotateClientSecretRequest struct {
	CommandRequest
	Secret         Secret `json:"secret" minLength:"16" maxLength:"128" doc:"The new secret."`
	OverlapSeconds *int   `json:"overlap_seconds,omitempty" minimum:"0" maximum:"2592000" doc:"How long the old secret stays valid at most; it ends when the new one is first used. 0 ends it at once. Default 86400."`
}

type rotateClientSecretInput struct {
	ClientPath
	Body RotateClientSecretRequest
}

// ClearSignedRequest lets addresses of a RADIUS client send requests without a
// Message-Authenticator again.
type ClearSignedRequest struct {
	CommandRequest
	Address string `json:"address,omitempty" maxLength:"64" doc:"Only this address; absent: all. An address that sends a Message-Authenticator must send it from then on, as before."`
}

type clearSignedInput struct {
	ClientPath
	Body ClearSignedRequest
}

type clientRemoval struct {
	ClientPath
	RemovalQuery
}

func (a *API) clients() {
	register(a, route{get, "/clients", "list-clients", "List RADIUS clients by name", auditors, 0}, a.listClients)
	register(a, route{post, "/clients", "add-client", "Add a RADIUS client", administrators, 201}, a.addClient)
	register(a, route{get, "/clients/{name}", "show-client", "Show a RADIUS client", auditors, 0}, a.showClient)
	register(a, route{patch, "/clients/{name}", "set-client", "Change settings of a RADIUS client", administrators, 0}, a.setClient)
	register(a, route{post, "/clients/{name}/rotate-secret", "rotate-client-secret", "Rotate the shared secret of a RADIUS client", administrators, 0}, a.rotateClientSecret)
	register(a, route{post, "/clients/{name}/clear-signed", "clear-client-signed", "Let addresses of a RADIUS client send requests without a Message-Authenticator again", administrators, 0}, a.clearSigned)
	register(a, route{remove, "/clients/{name}", "remove-client", "Remove a RADIUS client", administrators, 0}, a.removeClient)
}

func (a *API) listClients(_ context.Context, in *Page) (*answer[List[Client]], error) {
	now := events.At(a.cfg.Now())
	return answered(page(*in, a.cfg.Node.State().Clients,
		func(c *engine.Client) string { return c.Name },
		func(c *engine.Client) (Client, bool) { return viewClient(c, now), true })), nil
}

func (a *API) addClient(ctx context.Context, in *addClientInput) (*answer[Client], error) {
	n := in.Body
	prefix, err := parsePrefix(n.Prefix)
	if err != nil {
		return nil, err
	}
	if n.Dialect == "" {
		n.Dialect = "rsa"
	}
	if n.MessageAuthenticator == "" {
		n.MessageAuthenticator = "auto"
	}
	sealed, err := a.cfg.Seal.SealClientSecret(n.Name, engine.Secret(n.Secret))
	if err != nil {
		return nil, err
	}
	err = a.do(ctx, n.Reason, engine.AddClient{Client: events.ClientAdded{
		Client: n.Name, Prefix: prefix.String(), Sealed: sealed, Site: n.Site,
		Dialect: n.Dialect, MessageAuthenticator: n.MessageAuthenticator, Trusted: n.Trusted,
	}})
	if err != nil {
		return nil, err
	}
	return a.clientNow(n.Name)
}

// parsePrefix reads a CIDR, or an address as the prefix that holds it alone.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr.WithZone(""), addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return prefix, invalid("prefix " + text + " is neither an address nor a CIDR, like 192.0.2.7 or 192.0.2.0/24")
	}
	return prefix.Masked(), nil
}

func (a *API) setClient(ctx context.Context, in *setClientInput) (*answer[Client], error) {
	n := in.Body
	if n.Prefix != nil {
		prefix, err := parsePrefix(*n.Prefix)
		if err != nil {
			return nil, err
		}
		text := prefix.String()
		n.Prefix = &text
	}
	err := a.do(ctx, n.Reason, engine.SetClient{Change: events.ClientChanged{
		Client: in.Name, Prefix: n.Prefix, Site: n.Site, Dialect: n.Dialect,
		MessageAuthenticator: n.MessageAuthenticator, Trusted: n.Trusted,
	}})
	if err != nil {
		return nil, err
	}
	return a.clientNow(in.Name)
}

func (a *API) rotateClientSecret(ctx context.Context, in *rotateClientSecretInput) (*answer[Client], error) {
	overlap := engine.DefaultOverlap
	if s := in.Body.OverlapSeconds; s != nil {
		overlap = time.Duration(*s) * time.Second
	}
	sealed, err := a.cfg.Seal.SealClientSecret(in.Name, engine.Secret(in.Body.Secret))
	if err != nil {
		return nil, err
	}
	if err := a.do(ctx, in.Body.Reason, engine.RotateClientSecret{Client: in.Name, Sealed: sealed, Overlap: overlap}); err != nil {
		return nil, err
	}
	return a.clientNow(in.Name)
}

func (a *API) clearSigned(ctx context.Context, in *clearSignedInput) (*answer[Client], error) {
	if err := a.do(ctx, in.Body.Reason, engine.ClearSigned{Client: in.Name, Address: in.Body.Address}); err != nil {
		return nil, err
	}
	return a.clientNow(in.Name)
}

func (a *API) showClient(_ context.Context, in *ClientPath) (*answer[Client], error) {
	return a.clientNow(in.Name)
}

func (a *API) removeClient(ctx context.Context, in *clientRemoval) (*none, error) {
	return nil, a.do(ctx, in.Reason, engine.RemoveClient{Client: in.Name})
}

func (a *API) clientNow(name string) (*answer[Client], error) {
	c := a.cfg.Node.State().Client(name)
	if c == nil {
		return nil, notFound("client", name, engine.HelpListClients)
	}
	return answered(viewClient(c, events.At(a.cfg.Now()))), nil
}
