package engine

import (
	"net/netip"
	"regexp"
	"slices"

	"keyfob/events"
)

// Commands on RADIUS clients.
type (
	// AddClient adds a client or, with Replace, changes it.
	AddClient struct {
		Client  events.ClientAdded `cbor:"1,keyasint"`
		Replace bool               `cbor:"2,keyasint,omitempty"`
	}
	RemoveClient struct {
		Client string `cbor:"1,keyasint"`
	}
	// LatchClient records that an address has sent a Message-Authenticator.
	LatchClient struct {
		Client  string `cbor:"1,keyasint"`
		Address string `cbor:"2,keyasint"`
	}
)

// Permitted settings of a RADIUS client.
var (
	dialects              = []string{"rsa", "cisco-sdi", "plain", "nochallenge"}
	messageAuthenticators = []string{"require", "auto", "allow"}
)

// nameForm is the form of the names of clients, nodes and API tokens.
var nameForm = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$`)

const maxSigned = 256 // addresses of one client that have sent a Message-Authenticator

func (c AddClient) decide(s *State, _ events.Time) ([]events.Event, error) {
	e := c.Client
	prefix, err := netip.ParsePrefix(e.Prefix)
	switch {
	case !nameForm.MatchString(e.Client):
		return nil, refuse(Invalid, "%.80q cannot be a client's name: want 1 to 64 letters, digits, dots, dashes", e.Client)
	case err != nil:
		return nil, refuse(Invalid, "client %s: %.80q is no address or CIDR", e.Client, e.Prefix)
	case !slices.Contains(dialects, e.Dialect):
		return nil, refuse(Invalid, "client %s: dialect %.20q, want one of %v", e.Client, e.Dialect, dialects)
	case !slices.Contains(messageAuthenticators, e.MessageAuthenticator):
		return nil, refuse(Invalid, "client %s: Message-Authenticator %.20q, want one of %v", e.Client, e.MessageAuthenticator, messageAuthenticators)
	case s.Client(e.Client) != nil && !c.Replace:
		return nil, refuse(Exists, "client %s exists already", e.Client)
	}
	e.Prefix = prefix.Masked().String()
	var taken string
	s.Clients(func(other *Client) bool {
		if other.Name != e.Client && other.Prefix == prefix.Masked() {
			taken = other.Name
		}
		return taken == ""
	})
	if taken != "" {
		return nil, refuse(Conflict, "client %s has the addresses %s already", taken, e.Prefix)
	}
	return one(e)
}

func (c RemoveClient) decide(s *State, _ events.Time) ([]events.Event, error) {
	if s.Client(c.Client) == nil {
		return nil, refuse(NotFound, "there is no client %.64q; see keyfob client list", c.Client)
	}
	return one(events.ClientRemoved(c))
}

func (c LatchClient) decide(s *State, _ events.Time) ([]events.Event, error) {
	old := s.Client(c.Client)
	address, err := netip.ParseAddr(c.Address)
	if err != nil || old == nil || slices.Contains(old.Signed, address) || len(old.Signed) >= maxSigned {
		return nil, nil
	}
	return one(events.ClientSigned{Client: c.Client, Address: address.String()})
}

func (s *State) applyClient(e events.ClientEvent) {
	switch e := e.(type) {
	case events.ClientAdded:
		prefix, err := netip.ParsePrefix(e.Prefix)
		if err != nil {
			return // Decide lets none through
		}
		c := &Client{
			Name: e.Client, Prefix: prefix, Secret: e.Sealed, Site: e.Site, Dialect: e.Dialect,
			MessageAuthenticator: e.MessageAuthenticator, Trusted: e.Trusted,
		}
		if old := s.Client(e.Client); old != nil {
			c.Signed = old.Signed
		}
		s.clients.Set(e.Client, c)
	case events.ClientRemoved:
		s.clients.Delete(e.Client)
	case events.ClientSigned:
		address, err := netip.ParseAddr(e.Address)
		old := s.Client(e.Client)
		if err != nil || old == nil || slices.Contains(old.Signed, address) {
			return
		}
		c := *old
		c.Signed = append(slices.Clone(c.Signed), address)
		s.clients.Set(e.Client, &c)
	}
}
