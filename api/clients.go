package api

import (
	"context"
	"net/netip"

	"keyfob/engine"
	"keyfob/events"
)

// Client is a RADIUS client. Its secret is never shown.
type Client struct {
	Name                 string   `json:"name"`
	Prefix               string   `json:"prefix" doc:"Addresses it may ask from."`
	Site                 string   `json:"site,omitempty"`
	Dialect              string   `json:"dialect"`
	MessageAuthenticator string   `json:"message_authenticator"`
	Trusted              bool     `json:"trusted"`
	Signed               []string `json:"signed" doc:"Addresses from which Message-Authenticator is demanded, since they have sent it once."`
}

func viewClient(c *engine.Client) Client {
	v := Client{
		Name:                 c.Name,
		Prefix:               c.Prefix.String(),
		Site:                 c.Site,
		Dialect:              c.Dialect,
		MessageAuthenticator: c.MessageAuthenticator,
		Trusted:              c.Trusted,
		Signed:               []string{},
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
	Prefix               string `json:"prefix" minLength:"2" maxLength:"64" doc:"An address or a CIDR; the longest that fits a packet's source wins."`
	Secret               Secret `json:"secret" minLength:"8" maxLength:"128" doc:"Shared with the client; 16 characters or more, drawn at random, for anything real."`
	Site                 string `json:"site,omitempty" maxLength:"64"`
	Dialect              string `json:"dialect,omitempty" enum:"rsa,cisco-sdi,plain,nochallenge" doc:"How prompts are worded; default rsa."`
	MessageAuthenticator string `json:"message_authenticator,omitempty" enum:"require,auto,allow" doc:"In requests; default auto."`
	Trusted              bool   `json:"trusted,omitempty" doc:"A gateway of our own, whose failures are counted apart from strangers'."`
	Replace              bool   `json:"replace,omitempty" doc:"Change the client of that name."`
}

type addClientInput struct{ Body AddClientRequest }

type clientRemoval struct {
	ClientPath
	RemovalQuery
}

func (a *API) clients() {
	register(a, route{get, "/clients", "list-clients", "List RADIUS clients, in order of name", auditors, 0}, a.listClients)
	register(a, route{post, "/clients", "add-client", "Add a RADIUS client, or change it", administrators, 201}, a.addClient)
	register(a, route{get, "/clients/{name}", "show-client", "Show a RADIUS client", auditors, 0}, a.showClient)
	register(a, route{remove, "/clients/{name}", "remove-client", "Answer a RADIUS client no more", administrators, 0}, a.removeClient)
}

func (a *API) listClients(_ context.Context, in *Page) (*answer[List[Client]], error) {
	return answered(page(*in, a.cfg.Node.State().Clients,
		func(c *engine.Client) string { return c.Name },
		func(c *engine.Client) (Client, bool) { return viewClient(c), true })), nil
}

func (a *API) addClient(ctx context.Context, in *addClientInput) (*answer[Client], error) {
	n := in.Body
	prefix, err := parsePrefix(n.Prefix)
	if err != nil {
		return nil, invalid("prefix " + n.Prefix + " is neither an address nor a CIDR, like 192.0.2.7 or 192.0.2.0/24")
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
	err = a.do(ctx, n.Reason, engine.AddClient{
		Client: events.ClientAdded{
			Client: n.Name, Prefix: prefix.String(), Sealed: sealed, Site: n.Site,
			Dialect: n.Dialect, MessageAuthenticator: n.MessageAuthenticator, Trusted: n.Trusted,
		},
		Replace: n.Replace,
	})
	if err != nil {
		return nil, err
	}
	return a.clientNow(n.Name)
}

// parsePrefix reads a CIDR, or an address that stands for itself alone.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr.WithZone(""), addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	return prefix.Masked(), err
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
		return nil, notFound("client", name)
	}
	return answered(viewClient(c)), nil
}
