package engine

import (
	"net/netip"
	"path"
	"slices"
	"time"

	"keyfob/events"
)

// APIToken is a credential of a program.
type APIToken struct {
	Name    string      `cbor:"1,keyasint"`
	Digest  events.Hash `cbor:"2,keyasint"`
	Role    string      `cbor:"3,keyasint"`
	Expires events.Time `cbor:"4,keyasint,omitempty"` // zero only in states of older versions: until revoked
	Issued  events.Time `cbor:"5,keyasint,omitempty"`
	// What it is limited to; nil: everything that the role permits, everywhere.
	Commands []string    `cbor:"6,keyasint,omitempty"` // patterns of operations, as path.Match reads them
	Sites    []string    `cbor:"7,keyasint,omitempty"` // of the nodes that are asked
	Networks []string    `cbor:"8,keyasint,omitempty"` // CIDR that it is used from
	Used     events.Time `cbor:"9,keyasint,omitempty"` // recorded at most once an hour
	IssuedBy string      `cbor:"10,keyasint,omitempty"`
	Owner    string      `cbor:"11,keyasint,omitempty"` // the person that it is linked to
}

const (
	// DefaultAPITokenTTL is how long an API token is valid unless stated.
	DefaultAPITokenTTL = 90 * day
	// MinAPITokenTTL is the shortest lifetime of an API token.
	MinAPITokenTTL = time.Minute
	// MaxAPITokenTTL is the longest lifetime of an API token.
	MaxAPITokenTTL = 365 * day

	maxAPITokens    = 1000
	maxLimits       = 32       // patterns, sites and networks each
	maxLimit        = 64       // bytes of each
	apiTokenUse     = hour     // between two records of the use of an API token
	expiredTokenFor = 30 * day // that an expired API token is listed
)

// Commands on API tokens.
type (
	IssueAPIToken struct {
		Token events.APITokenIssued `cbor:"1,keyasint"`
	}
	RevokeAPIToken struct {
		Name string `cbor:"1,keyasint"`
	}
)

func (c IssueAPIToken) decide(s *State, now events.Time) ([]events.Event, error) {
	t := c.Token
	old := s.APIToken(t.Name)
	switch {
	case !nameForm.MatchString(t.Name):
		return nil, refuse(Invalid, "%.80q is not a valid name: use 1 to 64 letters, digits, dots, dashes or underscores", t.Name)
	case t.Expires < now.Add(MinAPITokenTTL-time.Minute) || t.Expires > now.Add(MaxAPITokenTTL+time.Minute): // clocks differ
		return nil, refuse(Invalid, "an API token must expire within %d days", int(MaxAPITokenTTL/day))
	case old != nil && s.APITokenEnd(old, now) != EndExpired:
		return nil, refuse(Exists, "API token %q already exists", t.Name)
	case old == nil && s.apiTokens.Len() >= maxAPITokens:
		return nil, refuse(Conflict, "there are %d API tokens already; revoke one first", maxAPITokens)
	}
	if err := checkLimits(t); err != nil {
		return nil, err
	}
	return one(t)
}

// checkLimits refuses limits that no request can be compared with.
func checkLimits(t events.APITokenIssued) error {
	for _, list := range [][]string{t.Commands, t.Sites, t.Networks} {
		if len(list) > maxLimits || slices.ContainsFunc(list, func(l string) bool { return l == "" || len(l) > maxLimit }) {
			return refuse(Invalid, "an API token has at most %d commands, sites and networks each, of 1 to %d characters", maxLimits, maxLimit)
		}
	}
	for _, pattern := range t.Commands {
		if _, err := path.Match(pattern, ""); err != nil {
			return refuse(Invalid, "%q is not a valid pattern of commands", pattern)
		}
	}
	for _, network := range t.Networks {
		if p, err := netip.ParsePrefix(network); err != nil || p != p.Masked() {
			return refuse(Invalid, "%q is not a valid network; use the form 192.0.2.0/24", network)
		}
	}
	return nil
}

func (c RevokeAPIToken) decide(s *State, _ events.Time) ([]events.Event, error) {
	if s.APIToken(c.Name) == nil {
		return nil, refuse(NotFound, "API token %.64q not found", c.Name)
	}
	return one(events.APITokenRevoked{Name: c.Name})
}

// APITokenEnd returns why an API token is not valid, or an empty string.
func (s *State) APITokenEnd(t *APIToken, now events.Time) string {
	if !t.Expires.IsZero() && now >= t.Expires {
		return EndExpired
	}
	if u := s.User(t.Owner); t.Owner != "" && (u == nil || !u.mayOwn(t)) {
		return EndUser
	}
	return ""
}

// APITokenUseDue reports whether the use of an API token now is to be recorded.
func APITokenUseDue(t *APIToken, now events.Time) bool { return now.Sub(t.Used) >= apiTokenUse }

// Permits reports whether the limits of an API token permit an operation.
func (t *APIToken) Permits(operation string) bool {
	return len(t.Commands) == 0 || slices.ContainsFunc(t.Commands, func(pattern string) bool {
		ok, err := path.Match(pattern, operation)
		return ok && err == nil
	})
}

// AcceptedAt reports whether nodes of a site accept an API token.
func (t *APIToken) AcceptedAt(site string) bool {
	return len(t.Sites) == 0 || slices.Contains(t.Sites, site)
}

// AcceptedFrom reports whether an API token can be used from an address.
func (t *APIToken) AcceptedFrom(address netip.Addr) bool {
	return len(t.Networks) == 0 || slices.ContainsFunc(t.Networks, func(network string) bool {
		p, err := netip.ParsePrefix(network)
		return err == nil && p.Contains(address.Unmap())
	})
}

// limited reports whether an API token permits less than its role.
func (t *APIToken) limited() bool { return len(t.Commands)+len(t.Sites)+len(t.Networks) > 0 }

// issueAPIToken adds an API token and drops those that expired long ago.
func (s *State) issueAPIToken(at events.Time, actor string, e events.APITokenIssued) {
	for _, t := range s.apiTokens.Values() {
		if !t.Expires.IsZero() && at.Sub(t.Expires) > expiredTokenFor {
			s.apiTokens.Delete(t.Name)
		}
	}
	s.apiTokens.Set(e.Name, &APIToken{
		Name: e.Name, Digest: e.Digest, Role: e.Role, Expires: e.Expires, Issued: at,
		Commands: e.Commands, Sites: e.Sites, Networks: e.Networks, IssuedBy: actor,
	})
}

// linkAPIToken makes an API token that of a person.
func (s *State) linkAPIToken(e events.APITokenLinked) {
	if old := s.APIToken(e.Name); old != nil {
		t := *old
		t.Owner = e.User
		s.apiTokens.Set(t.Name, &t)
	}
}

// applyAdmin folds the events on the policy, administrators, API tokens and approvals.
func (s *State) applyAdmin(at events.Time, o events.Origin, e events.AdminEvent) {
	switch e := e.(type) {
	case events.PolicyChanged:
		s.Policy = s.Policy.with(e.Key, e.After)
	case events.APITokenIssued:
		s.issueAPIToken(at, o.Actor, e)
	case events.APITokenRevoked:
		s.apiTokens.Delete(e.Name)
	case events.APITokenLinked:
		s.linkAPIToken(e)
	case events.AuditReaderIssued:
		s.issueAuditReader(at, o, e)
	case events.AuditReaderRevoked:
		s.auditReaders.Delete(e.Name)
	case events.RoleGranted:
		s.applyRole(e.User, e.Role)
	case events.RoleRevoked:
		s.applyRole(e.User, "")
	case events.SessionOpened:
		s.openSession(at, e)
	case events.SessionEnded:
		s.sessions.Delete(e.Session)
		s.withdrawApprovals(o, e)
	case events.CredentialUsed:
		s.used(at, e)
	case events.ApprovalRequested, events.ApprovalGiven, events.ApprovalRefused, events.ApprovalExpired, events.ApprovalUsed:
		s.applyApproval(at, o, e)
	case events.CommandDenied, events.APITokenRefused, events.SessionRefused, events.CommandRefused, events.RecordsRead: // change nothing
	}
}
