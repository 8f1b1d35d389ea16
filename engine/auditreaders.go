package engine

import (
	"time"

	"keyfob/events"
)

// AuditReader is a consumer of the audit stream. Servers accept the credentials
// signed with its key, and no others.
type AuditReader struct {
	Name     string      `cbor:"1,keyasint"`
	Key      string      `cbor:"2,keyasint"`
	Issued   events.Time `cbor:"3,keyasint"`
	Expires  events.Time `cbor:"4,keyasint"`
	IssuedBy string      `cbor:"5,keyasint,omitempty"`
	Node     string      `cbor:"6,keyasint,omitempty"` // that issued the credentials, and so has seen them
}

const (
	maxAuditReaders   = 100
	maxAuditReaderKey = 64 // bytes

	// DefaultAuditReaderTTL is how long credentials are valid unless stated.
	DefaultAuditReaderTTL = 365 * 24 * time.Hour
	// MinAuditReaderTTL is the shortest lifetime of credentials.
	MinAuditReaderTTL = time.Minute
	// MaxAuditReaderTTL is the longest lifetime of credentials.
	MaxAuditReaderTTL = 5 * 365 * 24 * time.Hour
)

// Commands on the readers of the audit stream.
type (
	IssueAuditReader struct {
		Reader events.AuditReaderIssued `cbor:"1,keyasint"`
	}
	RevokeAuditReader struct {
		Name string `cbor:"1,keyasint"`
	}
)

func (c IssueAuditReader) decide(s *State, now events.Time) ([]events.Event, error) {
	r := c.Reader
	valid := 0
	s.AuditReaders(func(r *AuditReader) bool {
		if r.Expires > now {
			valid++
		}
		return true
	})
	old := s.AuditReader(r.Name)
	switch {
	case !nameForm.MatchString(r.Name):
		return nil, refuse(Invalid, "%.80q cannot be a name: want 1 to 64 letters, digits, dots, dashes", r.Name)
	case r.Key == "" || len(r.Key) > maxAuditReaderKey:
		return nil, refuse(Invalid, "the public key is empty or longer than %d bytes", maxAuditReaderKey)
	case r.Expires <= now || r.Expires > now.Add(MaxAuditReaderTTL+time.Minute): // clocks differ
		return nil, refuse(Invalid, "credentials must expire within %d days", int(MaxAuditReaderTTL.Hours()/24))
	case old != nil && old.Expires > now:
		return nil, refuse(Exists, "audit reader %q already exists; revoke it or choose another name", r.Name)
	case valid >= maxAuditReaders:
		return nil, refuse(Conflict, "there are %d audit readers already; revoke one first", valid)
	}
	return one(r)
}

func (c RevokeAuditReader) decide(s *State, _ events.Time) ([]events.Event, error) {
	r := s.AuditReader(c.Name)
	if r == nil {
		return nil, refuse(NotFound, "audit reader %.64q not found", c.Name)
	}
	return one(events.AuditReaderRevoked{Name: r.Name, Key: r.Key})
}

// issueAuditReader adds a reader and drops those that have expired.
func (s *State) issueAuditReader(at events.Time, o events.Origin, e events.AuditReaderIssued) {
	var expired []string
	s.AuditReaders(func(r *AuditReader) bool {
		if r.Expires <= at {
			expired = append(expired, r.Name)
		}
		return true
	})
	for _, name := range expired {
		s.auditReaders.Delete(name)
	}
	s.auditReaders.Set(e.Name, &AuditReader{Name: e.Name, Key: e.Key, Issued: at, Expires: e.Expires, IssuedBy: o.Actor, Node: o.Node})
}

// AuditReader returns the reader of that name, or nil.
func (s *State) AuditReader(name string) *AuditReader { r, _ := s.auditReaders.Get(name); return r }

// AuditReaders calls yield for each reader of the audit stream, by name.
func (s *State) AuditReaders(yield func(*AuditReader) bool) {
	s.auditReaders.Scan(func(_ string, r *AuditReader) bool { return yield(r) })
}
