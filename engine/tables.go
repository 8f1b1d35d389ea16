package engine

import (
	"fmt"

	"keyfob/events"
)

// Table identifies a kind of record in a state. The numbers are part of
// snapshots and digests and are never reused.
type Table uint8

// The tables, in the order of Records.
const (
	TableHead         Table = 1 // one record
	TableUsers        Table = 2
	TableTokens       Table = 3
	TableClients      Table = 4
	TableAPITokens    Table = 5
	TableNodes        Table = 6
	TableInvitations  Table = 7
	TableDeleted      Table = 8
	TableAuditReaders Table = 9
	TableSessions     Table = 15
	TableApprovals    Table = 20
)

// headRecord holds the parts of a state that are not tables.
type headRecord struct {
	Cluster Cluster          `cbor:"1,keyasint"`
	Policy  Policy           `cbor:"2,keyasint"`
	Time    events.Time      `cbor:"3,keyasint,omitempty"`
	Done    []events.Request `cbor:"4,keyasint,omitempty"`
}

type deletedRecord struct {
	Serial string `cbor:"1,keyasint"`
	Last   int64  `cbor:"2,keyasint"`
}

// Records calls yield for every record of the state, with its table. Equal
// states yield the same records in the same order. A record is a pointer to a
// struct with cbor tags and must not be changed.
func (s *State) Records(yield func(Table, any) bool) {
	more := yield(TableHead, &headRecord{Cluster: s.Cluster, Policy: s.Policy, Time: s.Time, Done: s.done})
	each := func(t Table, r any) bool {
		more = more && yield(t, r)
		return more
	}
	s.Users(func(u *User) bool { return each(TableUsers, u) })
	s.Tokens(func(t *Token) bool { return each(TableTokens, t) })
	s.Clients(func(c *Client) bool { return each(TableClients, c) })
	s.APITokens(func(t *APIToken) bool { return each(TableAPITokens, t) })
	s.Nodes(func(n *NodeRecord) bool { return each(TableNodes, n) })
	s.invitations.Scan(func(_ string, i *Invitation) bool { return each(TableInvitations, i) })
	s.deleted.Scan(func(serial string, last int64) bool {
		return each(TableDeleted, &deletedRecord{Serial: serial, Last: last})
	})
	s.AuditReaders(func(r *AuditReader) bool { return each(TableAuditReaders, r) })
	s.Sessions(func(x *Session) bool { return each(TableSessions, x) })
	s.approvals.Scan(func(_ string, a *Approval) bool { return each(TableApprovals, a) })
}

// Size returns the number of users and tokens.
func (s *State) Size() int { return s.users.Len() + s.tokens.Len() }

// PutRecord adds a record to a table. fill must write it into the pointer that
// it is given.
func (s *State) PutRecord(t Table, fill func(any) error) error {
	switch t {
	case TableHead:
		h := headRecord{Policy: unsaid()}
		if err := fill(&h); err != nil {
			return err
		}
		if key := h.Cluster.OnlyRecoveryKey; key != nil {
			h.Cluster.RecoveryKeys, h.Cluster.OnlyRecoveryKey = []RecoveryKey{{Key: key}}, nil
		}
		s.Cluster, s.Policy, s.Time, s.done = h.Cluster, h.Policy, h.Time, h.Done
		return nil
	case TableUsers:
		return put(fill, func(u *User) { s.users.Set(u.Name, u) })
	case TableTokens:
		return put(fill, func(t *Token) { s.tokens.Set(t.Serial, t) })
	case TableClients:
		return put(fill, func(c *Client) { s.clients.Set(c.Name, c) })
	case TableAPITokens:
		return put(fill, func(t *APIToken) { s.apiTokens.Set(t.Name, t) })
	case TableNodes:
		return put(fill, func(n *NodeRecord) { s.nodes.Set(n.Name, n) })
	case TableInvitations:
		return put(fill, func(i *Invitation) { s.invitations.Set(i.Digest.String(), i) })
	case TableDeleted:
		return put(fill, func(m *deletedRecord) { s.deleted.Set(m.Serial, m.Last) })
	case TableAuditReaders:
		return put(fill, func(r *AuditReader) { s.auditReaders.Set(r.Name, r) })
	case TableSessions:
		return put(fill, func(x *Session) { s.sessions.Set(x.Name, x) })
	case TableApprovals:
		return put(fill, s.putApproval)
	default:
		return fmt.Errorf("table %d is unknown: a newer version wrote it", t)
	}
}

func put[T any](fill func(any) error, set func(*T)) error {
	r := new(T)
	if err := fill(r); err != nil {
		return err
	}
	set(r)
	return nil
}
