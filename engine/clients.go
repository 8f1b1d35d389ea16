package engine

import (
	"net/netip"
	"regexp"
	"slices"
	"time"

	"keyfob/events"
)

// Commands on RADIUS clients.
type (
	AddClient struct {
		Client events.ClientAdded `cbor:"1,keyasint"`
	}
	// SetClient changes the settings that are not nil.
	SetClient struct {
		Change events.ClientChanged `cbor:"1,keyasint"`
	}
	// RotateClientSecret replaces the shared secret. The old one stays valid for
	// Overlap, but only until the new one is seen.
	RotateClientSecret struct {
		Client  string        `cbor:"1,keyasint"`
		Sealed  []byte        `cbor:"2,keyasint"`
		Overlap time.Duration `cbor:"3,keyasint,omitempty"`
	}
	// RecordSecretSeen records that a client has used its new shared secret.
	RecordSecretSeen struct {
		Client   string `cbor:"1,keyasint"`
		Revision uint64 `cbor:"2,keyasint"` // of the secret that was used
		Address  string `cbor:"3,keyasint"`
	}
	// RecordSigned records that an address has sent a Message-Authenticator.
	RecordSigned struct {
		Client  string `cbor:"1,keyasint"`
		Address string `cbor:"2,keyasint"`
	}
	// ClearSigned lets an address send requests without a Message-Authenticator again,
	// until it sends one.
	ClearSigned struct {
		Client  string `cbor:"1,keyasint"`
		Address string `cbor:"2,keyasint,omitempty"` // empty: all addresses
	}
	RemoveClient struct {
		Client string `cbor:"1,keyasint"`
	}
)

// How long an old shared secret stays valid.
const (
	DefaultOverlap = day
	MaxOverlap     = 30 * day
)

// Permitted settings of a RADIUS client.
var (
	dialects              = []string{"rsa", "cisco-sdi", "plain", "nochallenge"}
	messageAuthenticators = []string{"require", "auto", "allow"}
)

// nameForm is the form of the names of clients, nodes and API tokens.
var nameForm = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$`)

// maxSigned bounds the addresses of one client that are kept because they have sent
// a Message-Authenticator. With the next one, all addresses of the client must.
const maxSigned = 256

func (c AddClient) decide(s *State, _ events.Time) ([]events.Event, error) {
	e := c.Client
	switch {
	case !nameForm.MatchString(e.Client):
		return nil, refuse(Invalid, "%.80q is not a valid client name: use 1 to 64 letters, digits, dots, dashes or underscores", e.Client)
	case s.Client(e.Client) != nil:
		return nil, refuseHelp(Exists, HelpSetClient, "client %q already exists", e.Client)
	case len(e.Sealed) == 0:
		return nil, refuse(Invalid, "client %s: no shared secret", e.Client)
	}
	prefix, err := s.validClient(e.Client, e.Prefix, e.Dialect, e.MessageAuthenticator)
	if err != nil {
		return nil, err
	}
	e.Prefix = prefix.String()
	return one(e)
}

// validClient checks the settings of a client and returns its prefix.
func (s *State) validClient(name, prefix, dialect, messageAuthenticator string) (netip.Prefix, error) {
	parsed, err := netip.ParsePrefix(prefix)
	switch {
	case err != nil:
		return parsed, refuse(Invalid, "client %s: %.80q is not an address or CIDR", name, prefix)
	case !slices.Contains(dialects, dialect):
		return parsed, refuse(Invalid, "client %s: dialect %.20q, want one of %v", name, dialect, dialects)
	case !slices.Contains(messageAuthenticators, messageAuthenticator):
		return parsed, refuse(Invalid, "client %s: Message-Authenticator %.20q, want one of %v", name, messageAuthenticator, messageAuthenticators)
	}
	parsed = plainPrefix(parsed)
	if parsed.Bits() == 0 {
		return parsed, refuse(Invalid, "client %s: %s is every address; name the addresses of the gateway, and add one client for each gateway", name, parsed)
	}
	for other := range s.Clients {
		if other.Name != name && plainPrefix(other.Prefix) == parsed {
			return parsed, refuse(Conflict, "client %s already has the addresses %s", other.Name, parsed)
		}
	}
	return parsed, nil
}

// plainPrefix returns the one form of a prefix: without host bits, and IPv4 as
// IPv4. Packets over IPv4 never come from a mapped address.
func plainPrefix(p netip.Prefix) netip.Prefix {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

func (c SetClient) decide(s *State, _ events.Time) ([]events.Event, error) {
	old, err := s.mustClient(c.Change.Client)
	if err != nil {
		return nil, err
	}
	want := old.with(c.Change)
	prefix := old.Prefix.String()
	if c.Change.Prefix != nil {
		prefix = *c.Change.Prefix
	}
	if want.Prefix, err = s.validClient(old.Name, prefix, want.Dialect, want.MessageAuthenticator); err != nil {
		return nil, err
	}
	e := events.ClientChanged{
		Client:               old.Name,
		Prefix:               changed(old.Prefix.String(), want.Prefix.String()),
		Site:                 changed(old.Site, want.Site),
		Dialect:              changed(old.Dialect, want.Dialect),
		MessageAuthenticator: changed(old.MessageAuthenticator, want.MessageAuthenticator),
		Trusted:              changed(old.Trusted, want.Trusted),
	}
	return unless(e == events.ClientChanged{Client: old.Name}, e)
}

// changed returns the new value if it differs from the old one, or nil.
func changed[T comparable](old, want T) *T {
	if old == want {
		return nil
	}
	return &want
}

func (c RotateClientSecret) decide(s *State, now events.Time) ([]events.Event, error) {
	old, err := s.mustClient(c.Client)
	switch {
	case err != nil:
		return nil, err
	case len(c.Sealed) == 0:
		return nil, refuse(Invalid, "client %s: no shared secret", c.Client)
	case c.Overlap < 0 || c.Overlap > MaxOverlap:
		return nil, refuse(Invalid, "client %s: the old secret can stay valid for 0s to %v", c.Client, MaxOverlap)
	}
	e := events.ClientSecretRotated{Client: old.Name, Sealed: c.Sealed, Revision: old.Revision + 1}
	if c.Overlap > 0 {
		e.OldUntil = now.Add(c.Overlap)
		e.KeepsOld = old.SecretInUse(now) == OldSecret
	}
	return one(e)
}

func (c RecordSecretSeen) decide(s *State, _ events.Time) ([]events.Event, error) {
	old := s.Client(c.Client)
	address, err := netip.ParseAddr(c.Address)
	if err != nil || old == nil || old.Revision != c.Revision || !old.AwaitsSecret() {
		return nil, nil
	}
	return one(events.ClientSecretSeen{Client: old.Name, Revision: old.Revision, Address: address.String()})
}

func (c RecordSigned) decide(s *State, _ events.Time) ([]events.Event, error) {
	old := s.Client(c.Client)
	address, err := netip.ParseAddr(c.Address)
	if err != nil || old == nil || old.MustSign(address) {
		return nil, nil
	}
	return one(events.ClientSigned{Client: c.Client, Address: address.String(), All: len(old.Signed) >= maxSigned})
}

// MustSign reports whether an address counts as one that has sent a
// Message-Authenticator.
func (c *Client) MustSign(a netip.Addr) bool { return c.SignedAll || slices.Contains(c.Signed, a) }

func (c ClearSigned) decide(s *State, _ events.Time) ([]events.Event, error) {
	old, err := s.mustClient(c.Client)
	if err != nil {
		return nil, err
	}
	if c.Address == "" {
		return unless(len(old.Signed) == 0 && !old.SignedAll, events.ClientSignedCleared{Client: old.Name})
	}
	address, err := netip.ParseAddr(c.Address)
	switch {
	case err != nil:
		return nil, refuse(Invalid, "client %s: %.80q is not an address", old.Name, c.Address)
	case old.SignedAll:
		return nil, refuse(Conflict, "client %s: so many of its addresses have sent a Message-Authenticator that all must; clear all of them", old.Name)
	case !old.MustSign(address.Unmap()):
		return nil, refuseHelp(NotFound, HelpListClients, "client %s: address %s has sent no Message-Authenticator", old.Name, address)
	}
	return one(events.ClientSignedCleared{Client: old.Name, Address: address.Unmap().String()})
}

func (c RemoveClient) decide(s *State, _ events.Time) ([]events.Event, error) {
	if _, err := s.mustClient(c.Client); err != nil {
		return nil, err
	}
	return one(events.ClientRemoved(c))
}

func (s *State) mustClient(name string) (*Client, error) {
	if c := s.Client(name); c != nil {
		return c, nil
	}
	return nil, refuseHelp(NotFound, HelpListClients, "client %.64q not found", name)
}

// SecretUse says which of a client's shared secrets is in use.
type SecretUse string

// The shared secrets that can be in use.
const (
	CurrentSecret SecretUse = "current" // it was never rotated, or the new one has been seen
	OldSecret     SecretUse = "old"     // the new one has not been seen, and the old one is still valid
	NoSecret      SecretUse = "none"    // the new one has not been seen, and the old one is over
)

// AwaitsSecret reports whether the client has a new shared secret that has not
// been seen yet.
func (c *Client) AwaitsSecret() bool { return !c.Rotated.IsZero() && c.Seen.IsZero() }

// SecretInUse returns which shared secret the client uses, as far as is known.
func (c *Client) SecretInUse(now events.Time) SecretUse {
	switch {
	case !c.AwaitsSecret():
		return CurrentSecret
	case len(c.OldSecret) > 0 && now < c.OldUntil:
		return OldSecret
	default:
		return NoSecret
	}
}

// with returns a copy with changed settings.
func (c *Client) with(e events.ClientChanged) *Client {
	changed := *c
	set(&changed.Site, e.Site)
	set(&changed.Dialect, e.Dialect)
	set(&changed.MessageAuthenticator, e.MessageAuthenticator)
	set(&changed.Trusted, e.Trusted)
	if e.Prefix != nil {
		if prefix, err := netip.ParsePrefix(*e.Prefix); err == nil { // decide admits no other
			changed.Prefix = prefix
		}
	}
	return &changed
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

func (s *State) applyClient(at events.Time, e events.ClientEvent) {
	switch e := e.(type) {
	case events.ClientAdded:
		prefix, err := netip.ParsePrefix(e.Prefix)
		if err != nil {
			return // decide admits no such prefix
		}
		c := &Client{
			Name: e.Client, Prefix: prefix, Secret: e.Sealed, Site: e.Site, Dialect: e.Dialect,
			MessageAuthenticator: e.MessageAuthenticator, Trusted: e.Trusted,
		}
		if old := s.Client(e.Client); old != nil { // older versions changed clients in this way
			c.Signed, c.SignedAll = old.Signed, old.SignedAll
		}
		s.clients.Set(e.Client, c)
	case events.ClientRemoved:
		s.clients.Delete(e.Client)
	case events.ClientChanged:
		if old := s.Client(e.Client); old != nil {
			s.clients.Set(e.Client, old.with(e))
		}
	case events.ClientSigned:
		address, err := netip.ParseAddr(e.Address)
		if err != nil {
			return
		}
		s.changeClient(e.Client, func(c *Client) {
			if c.SignedAll = c.SignedAll || e.All; !c.MustSign(address) {
				c.Signed = append(slices.Clone(c.Signed), address)
			}
		})
	case events.ClientSignedCleared:
		s.changeClient(e.Client, func(c *Client) {
			c.Cleared++
			if e.Address == "" {
				c.Signed, c.SignedAll = nil, false
				return
			}
			c.Signed = slices.DeleteFunc(slices.Clone(c.Signed), func(a netip.Addr) bool { return a.String() == e.Address })
		})
	case events.ClientSecretRotated:
		s.changeClient(e.Client, func(c *Client) { c.rotate(at, e) })
	case events.ClientSecretSeen:
		s.changeClient(e.Client, func(c *Client) {
			if c.Revision == e.Revision {
				c.Seen, c.OldSecret, c.OldUntil = at, nil, 0
			}
		})
	}
}

func (c *Client) rotate(at events.Time, e events.ClientSecretRotated) {
	if !e.KeepsOld {
		c.OldSecret = c.Secret
	}
	if e.OldUntil.IsZero() {
		c.OldSecret = nil
	}
	c.Secret, c.Revision, c.OldUntil = e.Sealed, e.Revision, e.OldUntil
	c.Rotated, c.Seen = at, 0
}

func (s *State) changeClient(name string, change func(*Client)) {
	if old := s.Client(name); old != nil {
		c := *old
		change(&c)
		s.clients.Set(name, &c)
	}
}
