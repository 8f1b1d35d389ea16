package engine

import (
	"bytes"
	"fmt"
	"net/netip"
	"regexp"
	"slices"

	"keyfob/engine/tokencode"
	"keyfob/events"
)

const (
	// Bounds of the windows that a token's own record may ask for.
	maxOwnSmall = 20
	maxOwnLarge = 1000

	maxCounter = 1 << 62 // of an event token: windows reach beyond it
)

// Refusal codes.
const (
	NotFound = "not_found"
	Exists   = "exists"
	Invalid  = "invalid"
	Conflict = "conflict"
	Risky    = "risky" // a policy that has to be forced
)

func refuse(code, format string, args ...any) error {
	return &Refusal{Code: code, Text: fmt.Sprintf(format, args...)}
}

// remedy decides an administrator's command, or the cluster's own: the events
// that carry it out, none when all is as it should be already.
func (s *State) remedy(c Command, now events.Time) ([]events.Event, error) {
	switch c := c.(type) {
	case AddUser, DisableUser, EnableUser, UnlockUser, DeleteUser:
		return s.remedyUser(c)
	case ImportToken:
		return s.importToken(c)
	case AssignToken:
		return s.assign(c)
	case ClearPIN:
		return s.clearPIN(c)
	case UnassignToken, EnableToken, DisableToken, DeleteToken, RequireNewPIN, RequireNextTokencode, ZeroDrift:
		return s.remedyToken(c)
	case SetTemporaryPIN:
		return s.setTemporaryPIN(c)
	case ResynchronizeToken:
		return s.resynchronizeToken(c.Evidence, now)
	case LoseToken:
		return s.loseToken(c.Lost, now)
	case FindToken:
		return s.findToken(c.Serial)
	case ReplaceToken:
		return s.replaceToken(c, now)
	case AddClient, RemoveClient, LatchClient:
		return s.remedyClient(c)
	case SetPolicy:
		return s.changePolicy(c)
	case IssueAPIToken, RevokeAPIToken:
		return s.remedyAPIToken(c)
	case Invite, AdmitNode, RemoveNode:
		return s.remedyNode(c, now)
	case SetRecoveryKey, TakeBackup:
		return s.recovery(c)
	case Note:
		return s.note(c.Event), nil
	case Authenticate: // Decide's own
	}
	return nil, refuse(Invalid, "unknown command %T", c)
}

func one(e events.Event) ([]events.Event, error) { return []events.Event{e}, nil }

// unless is one event, or none where all is so already.
func unless(already bool, e events.Event) ([]events.Event, error) {
	if already {
		return nil, nil
	}
	return one(e)
}

// spotless reports whether nothing counts against a user.
func (u *User) spotless() bool {
	for _, l := range []Lock{u.Strangers, u.Trusted} {
		if l.Failures != 0 || l.Count != 0 || l.Stopped || l.Until != 0 || l.Wait != 0 {
			return false
		}
	}
	return u.Failures == 0
}

func (s *State) remedyUser(c Command) ([]events.Event, error) {
	if add, ok := c.(AddUser); ok {
		name, err := Canonical(add.User)
		if err != nil {
			return nil, refuse(Invalid, "%q cannot be a user: %v", add.User, err)
		}
		if s.User(name) != nil {
			return nil, refuse(Exists, "user %s exists already", name)
		}
		return one(events.UserAdded{User: name})
	}
	var typed string
	switch c := c.(type) {
	case DisableUser:
		typed = c.User
	case EnableUser:
		typed = c.User
	case UnlockUser:
		typed = c.User
	case DeleteUser:
		typed = c.User
	}
	u, err := s.mustUser(typed)
	if err != nil {
		return nil, err
	}
	switch c.(type) {
	case DisableUser:
		return unless(u.Disabled, events.UserDisabled{User: u.Name})
	case EnableUser:
		return unless(!u.Disabled, events.UserEnabled{User: u.Name})
	case UnlockUser:
		return unless(u.spotless(), events.UserUnlocked{User: u.Name})
	}
	var facts []events.Event
	for _, serial := range u.Tokens {
		facts = append(facts, events.TokenUnassigned{Serial: serial, User: u.Name})
	}
	return append(facts, events.UserDeleted{User: u.Name}), nil
}

// mustUser is the user of a name as typed, or a refusal.
func (s *State) mustUser(typed string) (*User, error) {
	name, err := Canonical(typed)
	if err != nil {
		return nil, refuse(Invalid, "%q cannot be a user: %v", typed, err)
	}
	if u := s.User(name); u != nil {
		return u, nil
	}
	return nil, refuse(NotFound, "there is no user %s; see keyfob user list", name)
}

func (s *State) mustToken(serial string) (*Token, error) {
	if t := s.Token(serial); t != nil {
		return t, nil
	}
	return nil, refuse(NotFound, "there is no token %.64q; see keyfob token list", serial)
}

var serialForm = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$`)

func (s *State) importToken(c ImportToken) ([]events.Event, error) {
	e := c.Token
	if old := s.Token(e.Serial); old != nil {
		if bytes.Equal(old.Seed, e.Sealed) {
			return nil, nil // the same import once more
		}
		return nil, refuse(Exists, "token %s exists already", e.Serial)
	}
	t := newToken(0, e)
	if !serialForm.MatchString(e.Serial) {
		return nil, refuse(Invalid, "%.80q cannot be a serial: want 1 to 64 letters, digits, dots, dashes", e.Serial)
	}
	if t.onDemand() {
		if err := badOnDemand(e); err != nil {
			return nil, err
		}
	} else if err := t.params().Validate(); err != nil {
		return nil, refuse(Invalid, "token %s: %v", e.Serial, err)
	}
	style := t.pinStyle()
	if style != tokencode.Fob && style != tokencode.NoPIN && style != tokencode.PINpad || style == tokencode.PINpad && t.Kind != string(tokencode.SecurID) {
		return nil, refuse(Invalid, "token %s: a %s token cannot have the PIN style %.20q", e.Serial, e.Kind, e.PINStyle)
	}
	if w := t.Window; w != (Window{}) && (w.Small < 0 || w.Small > w.Medium || w.Medium > w.Large || w.Small > maxOwnSmall || w.Large > maxOwnLarge) {
		return nil, refuse(Invalid, "token %s: its record asks for the windows %d, %d, %d; want small <= medium <= large, at most %d and %d",
			e.Serial, w.Small, w.Medium, w.Large, maxOwnSmall, maxOwnLarge)
	}
	if len(e.Sealed) == 0 || e.Counter < 0 || e.Counter > maxCounter {
		return nil, refuse(Invalid, "token %s: without a seed, or with a counter that is negative or more than %d", e.Serial, int64(maxCounter))
	}
	facts := []events.Event{e}
	if c.User != "" {
		assigned, err := s.assignNew(t, c.User, s.Policy.TokensPerUser)
		if err != nil {
			return nil, err
		}
		facts = append(facts, assigned...)
	}
	owner, _ := Canonical(c.User)
	if len(c.PIN) != 0 {
		return append(facts, events.PINSet{Serial: e.Serial, User: owner, Revision: 1, Sealed: c.PIN}), nil
	}
	return t.activate(facts, owner, c.Activation)
}

func (s *State) assign(c AssignToken) ([]events.Event, error) {
	t, err := s.mustToken(c.Serial)
	if err != nil {
		return nil, err
	}
	facts, err := s.assignNew(t, c.User, s.Policy.TokensPerUser)
	if err != nil || len(facts) == 0 && (c.Activation == nil || t.has(c.Activation)) {
		return nil, err
	}
	user, _ := Canonical(c.User) // as assignNew knows it
	return t.activate(facts, user, c.Activation)
}

// assignNew gives a token to a user, who may then have so many.
func (s *State) assignNew(t *Token, user string, most int) ([]events.Event, error) {
	u, err := s.mustUser(user)
	switch {
	case err != nil:
		return nil, err
	case t.User == u.Name:
		return nil, nil
	case t.User != "":
		return nil, refuse(Conflict, "token %s belongs to %s; unassign it first", t.Serial, t.User)
	case len(u.Tokens) >= most:
		return nil, refuse(Conflict, "user %s has %d tokens already, which is the most; unassign one first, or set tokens.per_user", u.Name, len(u.Tokens))
	}
	return one(events.TokenAssigned{Serial: t.Serial, User: u.Name})
}

func (s *State) remedyToken(c Command) ([]events.Event, error) {
	var serial string
	switch c := c.(type) {
	case UnassignToken:
		serial = c.Serial
	case EnableToken:
		serial = c.Serial
	case DisableToken:
		serial = c.Serial
	case DeleteToken:
		serial = c.Serial
	case RequireNewPIN:
		serial = c.Serial
	case RequireNextTokencode:
		serial = c.Serial
	case ZeroDrift:
		serial = c.Serial
	}
	t, err := s.mustToken(serial)
	if err != nil {
		return nil, err
	}
	switch c.(type) {
	case UnassignToken:
		if t.User == "" {
			return nil, nil
		}
		return one(events.TokenUnassigned{Serial: t.Serial, User: t.User})
	case EnableToken:
		return unless(!t.Disabled, events.TokenEnabled{Serial: t.Serial, User: t.User})
	case DisableToken:
		return unless(t.Disabled, events.TokenDisabled{Serial: t.Serial, User: t.User})
	case DeleteToken:
		return one(events.TokenDeleted{Serial: t.Serial, User: t.User})
	case RequireNewPIN:
		if t.pinStyle() == tokencode.NoPIN {
			return nil, worksWithoutPIN(t)
		}
		return one(events.NewPINRequired{Serial: t.Serial, User: t.User, Reason: events.ReasonPINChangeRequired})
	}
	if _, zero := c.(ZeroDrift); zero {
		return one(events.DriftAdjusted{Serial: t.Serial, User: t.User, From: t.Drift, Forgot: true})
	}
	return one(events.NextTokencodeRequired{Serial: t.Serial, User: t.User})
}

func worksWithoutPIN(t *Token) error {
	return refuse(Conflict, "token %s works without a PIN", t.Serial)
}

func (s *State) clearPIN(c ClearPIN) ([]events.Event, error) {
	t, err := s.mustToken(c.Serial)
	switch {
	case err != nil || t.has(c.Activation):
		return nil, err
	case t.pinStyle() == tokencode.NoPIN:
		return nil, worksWithoutPIN(t)
	}
	return t.activate([]events.Event{events.PINCleared{Serial: t.Serial, User: t.User}}, t.User, c.Activation)
}

func (s *State) setTemporaryPIN(c SetTemporaryPIN) ([]events.Event, error) {
	t, err := s.mustToken(c.Serial)
	switch {
	case err != nil:
		return nil, err
	case t.pinStyle() == tokencode.NoPIN:
		return nil, worksWithoutPIN(t)
	case c.Revision != t.PINRevision+1 || len(c.Sealed) == 0:
		return nil, refuse(Conflict, "token %s was changed meanwhile; try again", t.Serial)
	}
	return one(events.PINSet{Serial: t.Serial, User: t.User, Revision: c.Revision, Sealed: c.Sealed, Temporary: true})
}

// What a RADIUS client may be told to be.
var (
	dialects              = []string{"rsa", "cisco-sdi", "plain", "nochallenge"}
	messageAuthenticators = []string{"require", "auto", "allow"}
	nameForm              = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$`)
)

const maxSigned = 256 // addresses of one client that latched

func (s *State) remedyClient(c Command) ([]events.Event, error) {
	switch c := c.(type) {
	case AddClient:
		return s.addClient(c)
	case RemoveClient:
		if s.Client(c.Client) == nil {
			return nil, refuse(NotFound, "there is no client %.64q; see keyfob client list", c.Client)
		}
		return one(events.ClientRemoved(c))
	case LatchClient:
		old := s.Client(c.Client)
		address, err := netip.ParseAddr(c.Address)
		if err != nil || old == nil || slices.Contains(old.Signed, address) || len(old.Signed) >= maxSigned {
			return nil, nil
		}
		return one(events.ClientSigned{Client: c.Client, Address: address.String()})
	}
	return nil, nil
}

func (s *State) addClient(c AddClient) ([]events.Event, error) {
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

func (s *State) remedyAPIToken(c Command) ([]events.Event, error) {
	switch c := c.(type) {
	case IssueAPIToken:
		if !nameForm.MatchString(c.Token.Name) {
			return nil, refuse(Invalid, "%.80q cannot be a name: want 1 to 64 letters, digits, dots, dashes", c.Token.Name)
		}
		if s.APIToken(c.Token.Name) != nil {
			return nil, refuse(Exists, "an API token named %s exists already", c.Token.Name)
		}
		return one(c.Token)
	case RevokeAPIToken:
		if s.APIToken(c.Name) == nil {
			return nil, refuse(NotFound, "there is no API token named %.64q", c.Name)
		}
		return one(events.APITokenRevoked{Name: c.Name})
	}
	return nil, nil
}

func (s *State) remedyNode(c Command, now events.Time) ([]events.Event, error) {
	switch c := c.(type) {
	case Invite:
		return one(events.InvitationIssued{Digest: c.Digest, Expires: c.Expires})
	case AdmitNode:
		switch {
		case !nameForm.MatchString(c.Node):
			return nil, refuse(Invalid, "%.80q cannot be a node's name: want 1 to 64 letters, digits, dots, dashes", c.Node)
		case s.invitation(c.Invitation) <= now:
			return nil, refuse(Invalid, "the invitation is unknown, used or over; make a new one with keyfob cluster invite")
		case s.Node(c.Node) != nil:
			return nil, refuse(Exists, "a node named %s is a member already; choose another name, or remove it first", c.Node)
		}
		return one(events.NodeJoined{Node: c.Node, Address: c.Address, Invitation: c.Invitation})
	case RemoveNode:
		if s.Node(c.Node) == nil {
			return nil, refuse(NotFound, "there is no node %.64q; see keyfob cluster status", c.Node)
		}
		return one(events.NodeRemoved{Node: c.Node})
	}
	return nil, nil
}

// note is what the cluster observed, when it is news.
func (s *State) note(e events.Event) []events.Event {
	switch e := e.(type) {
	case events.NodeLost:
		if n := s.Node(e.Node); n == nil || n.Lost {
			return nil
		}
	case events.NodeReturned:
		if n := s.Node(e.Node); n == nil || !n.Lost {
			return nil
		}
	case events.TokencodeNotSent:
		if t := s.Token(e.Serial); t == nil || !t.onDemand() || t.User != e.User {
			return nil
		}
	}
	return []events.Event{e}
}
