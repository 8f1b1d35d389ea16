package engine

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/tidwall/btree"

	"keyfob/events"
)

// State is everything that the rules know. It is the same on every node.
// Records in it are immutable: Apply replaces a record by a changed copy, so
// Copy is cheap and readers of a copy are not disturbed.
type State struct {
	Cluster      Cluster
	Policy       Policy
	Time         events.Time // of the last batch
	users        btree.Map[string, *User]
	tokens       btree.Map[string, *Token]
	clients      btree.Map[string, *Client]
	apiTokens    btree.Map[string, *APIToken]
	auditReaders btree.Map[string, *AuditReader]
	sessions     btree.Map[string, *Session] // of administrators, by public name
	nodes        btree.Map[string, *NodeRecord]
	invitations  btree.Map[string, *Invitation] // by hex digest
	deleted      btree.Map[string, int64]       // last used interval of deleted tokens, by serial
	approvals    btree.Map[string, *Approval]   // by canonical ID
	done         []events.Request               // the last commands of administrators, oldest first

	copying sync.Mutex // guards Copy, which modifies the tables that it copies
}

// Cluster identifies the cluster.
type Cluster struct {
	ID          string `cbor:"1,keyasint"`
	Certificate []byte `cbor:"2,keyasint"` // of its CA, DER
	CAKey       []byte `cbor:"3,keyasint"` // sealed
	Leader      string `cbor:"4,keyasint"`
	// Epoch is how often the cluster was restored from a backup.
	Epoch        uint64        `cbor:"5,keyasint,omitempty"`
	RecoveryKeys []RecoveryKey `cbor:"15,keyasint,omitempty"` // each opens backups
	// OnlyRecoveryKey is read from older snapshots and moved to RecoveryKeys.
	OnlyRecoveryKey []byte `cbor:"6,keyasint,omitempty"`

	Keys RootKeys `cbor:"7,keyasint,omitzero"`
	// Removed are the nodes that were removed last. Until Raft's configuration is
	// changed, they are needed for a majority.
	Removed []RemovedNode `cbor:"11,keyasint,omitempty"`
}

// RecoveryKey is the public half of a key that backups are sealed for.
type RecoveryKey struct {
	Key []byte `cbor:"1,keyasint"`
	// Shares is into how many parts the private half was split, and Threshold how
	// many of them it takes; zero: it is whole.
	Shares    uint8 `cbor:"2,keyasint,omitempty"`
	Threshold uint8 `cbor:"3,keyasint,omitempty"`
}

// User is a person who has tokens. Failures count for the user, over all tokens
// and front ends.
type User struct {
	Name         string               `cbor:"1,keyasint"`
	Disabled     bool                 `cbor:"2,keyasint,omitempty"`
	Tokens       []string             `cbor:"3,keyasint,omitempty"` // serials, in order of assignment
	Failures     uint32               `cbor:"4,keyasint,omitempty"` // since the last success
	Strangers    Lock                 `cbor:"5,keyasint,omitzero"`  // for the page, the API and clients that are not trusted
	Trusted      Lock                 `cbor:"6,keyasint,omitzero"`  // for trusted clients; strangers cannot use it up
	Unsigned     Lock                 `cbor:"20,keyasint,omitzero"` // for unsigned requests of trusted clients, which could be forged
	LastSuccess  events.Time          `cbor:"8,keyasint,omitempty"`
	QuietUntil   events.Time          `cbor:"9,keyasint,omitempty"` // when refusals that change nothing are recorded again
	Conversation *events.Conversation `cbor:"10,keyasint,omitempty"`
	Answers      []Answer             `cbor:"11,keyasint,omitempty"` // the last few, for retries
	Added        events.Time          `cbor:"12,keyasint,omitempty"`
	Role         string               `cbor:"15,keyasint,omitempty"` // of an administrator

	Proof         *CallerProof  `cbor:"20,keyasint,omitempty"` // the word that the user has for the help desk
	ProofFailures []events.Time `cbor:"21,keyasint,omitempty"` // refused attempts to get a word, in the last hour
	Caller        *Caller       `cbor:"22,keyasint,omitempty"` // who was last checked on the telephone
}

// Lock is a budget of failures and the locks that result from it.
type Lock struct {
	Failures uint32      `cbor:"1,keyasint,omitempty"` // since the last success
	Count    uint32      `cbor:"2,keyasint,omitempty"` // locks since the last success
	Until    events.Time `cbor:"3,keyasint,omitempty"`
	Stopped  bool        `cbor:"4,keyasint,omitempty"` // until an administrator unlocks
	Wait     events.Time `cbor:"5,keyasint,omitempty"` // until then attempts are not checked
	// Recent are the times of the failures that count towards the next lock. They
	// are kept while Policy.LockWithin lets them expire. A lock clears them, so
	// there are never more than a lock takes.
	Recent []events.Time `cbor:"6,keyasint,omitempty"`
}

// Locked reports whether everything is refused.
func (l Lock) Locked(now events.Time) bool { return l.Stopped || now < l.Until }

// succeed resets a budget after a login. A lock that is in force stays: the
// success came through the other budget, and an attacker who guesses at this
// one must not benefit.
func (l *Lock) succeed(at events.Time) {
	if !l.Locked(at) {
		*l = Lock{}
	}
}

// counting returns how many failures count towards the next lock.
func (l *Lock) counting(p *Policy, now events.Time) int {
	if p.LockWithin == 0 {
		return int(l.Failures) % p.LockAfter
	}
	return len(l.young(p, now))
}

// young returns the failures that have not expired, in order of time.
func (l *Lock) young(p *Policy, now events.Time) []events.Time {
	for i, at := range l.Recent {
		if now.Sub(at) < p.LockWithin {
			return l.Recent[i:]
		}
	}
	return nil
}

// fail counts a failure.
func (l *Lock) fail(p *Policy, at, wait events.Time) {
	l.Failures++
	l.Wait = wait
	if l.Recent = l.young(p, at); p.LockWithin > 0 {
		l.Recent = append(slices.Clone(l.Recent), at)
	}
}

// Left returns how many more failures lead to a lock.
func (l Lock) Left(p Policy, now events.Time) int {
	return min(max(1, p.LockAfter-l.counting(&p, now)), max(0, p.StopAfter-int(l.Failures)))
}

// FailureBudget names one of the budgets of failures that a user has.
type FailureBudget string

// The budgets. A request without a Message-Authenticator may be forged, so its
// failures are kept apart from those of requests that are signed.
const (
	OfStrangers FailureBudget = "strangers" // the page, the API and clients that are not trusted
	OfTrusted   FailureBudget = "trusted"   // trusted clients, in signed requests
	OfUnsigned  FailureBudget = "unsigned"  // trusted clients, in unsigned requests
)

// FailureBudgets are all budgets.
func FailureBudgets() []FailureBudget { return []FailureBudget{OfStrangers, OfTrusted, OfUnsigned} }

// budget returns the budget that failures at trusted clients, or elsewhere, use
// up.
func budget(trusted, unsigned bool) FailureBudget {
	switch {
	case !trusted:
		return OfStrangers
	case unsigned:
		return OfUnsigned
	}
	return OfTrusted
}

// Lock returns a budget of a user.
func (u *User) Lock(b FailureBudget) Lock { return *u.lock(b) }

func (u *User) lock(b FailureBudget) *Lock {
	switch b {
	case OfTrusted:
		return &u.Trusted
	case OfUnsigned:
		return &u.Unsigned
	case OfStrangers:
	}
	return &u.Strangers
}

// locks returns all budgets of a user.
func (u *User) locks() []*Lock { return []*Lock{&u.Strangers, &u.Trusted, &u.Unsigned} }

// Locked reports whether one of the budgets of a user is locked, and until when
// all of them are open again. Zero: until an administrator unlocks.
func (u *User) Locked(now events.Time) (locked bool, until events.Time) {
	stopped := false
	for _, l := range u.locks() {
		locked = locked || l.Locked(now)
		stopped = stopped || l.Stopped
		until = max(until, l.Until)
	}
	if stopped || !locked {
		return locked, 0
	}
	return true, until
}

// Trusts reports whether an attempt comes through a trusted client.
func (s *State) Trusts(o events.Origin) bool {
	c := s.Client(o.Client)
	return o.Door == events.DoorRADIUS && c != nil && c.Trusted
}

// budgetOf returns the budget that the failure of an attempt uses up.
func (s *State) budgetOf(o events.Origin) FailureBudget { return budget(s.Trusts(o), o.Unsigned) }

// Answer is a decided outcome, kept for a while so that a retry of the same
// request gets the same answer.
type Answer struct {
	Request      events.Request       `cbor:"1,keyasint"`
	At           events.Time          `cbor:"2,keyasint"`
	Verdict      Verdict              `cbor:"3,keyasint,omitempty"`
	Reason       events.Reason        `cbor:"4,keyasint,omitempty"`
	Reference    string               `cbor:"5,keyasint,omitempty"`
	Conversation *events.Conversation `cbor:"6,keyasint,omitempty"`  // as it stood after this answer
	Problem      Problem              `cbor:"7,keyasint,omitempty"`  // the problem that ended it
	Serial       string               `cbor:"8,keyasint,omitempty"`  // of the token that was accepted and has opened no session, or whose rules Problem refers to
	Until        events.Time          `cbor:"14,keyasint,omitempty"` // of the word for the help desk

	// For a login that its gateway may send again: what identifies it, the node
	// that was asked first, and the nodes that were asked again.
	Login   events.Request `cbor:"9,keyasint,omitzero"`
	Node    string         `cbor:"10,keyasint,omitempty"`
	Repeats []Repeat       `cbor:"11,keyasint,omitempty"`
}

// Repeat is a request that got an answer that another request had got before.
type Repeat struct {
	Node    string         `cbor:"1,keyasint"`
	Request events.Request `cbor:"2,keyasint"`
}

// Token is a device or an app that displays tokencodes.
type Token struct {
	Serial        string        `cbor:"1,keyasint"`
	Kind          string        `cbor:"2,keyasint"`
	Algorithm     string        `cbor:"3,keyasint,omitempty"`
	Digits        uint8         `cbor:"4,keyasint"`
	Period        uint16        `cbor:"5,keyasint,omitempty"` // seconds
	PINStyle      string        `cbor:"6,keyasint,omitempty"`
	Form          string        `cbor:"7,keyasint,omitempty"`
	Flags         uint32        `cbor:"8,keyasint,omitempty"`
	Seed          []byte        `cbor:"9,keyasint"` // sealed
	User          string        `cbor:"10,keyasint,omitempty"`
	Disabled      bool          `cbor:"11,keyasint,omitempty"`
	Born          events.Time   `cbor:"12,keyasint,omitempty"`
	Expires       events.Time   `cbor:"13,keyasint,omitempty"`
	PIN           []byte        `cbor:"14,keyasint,omitempty"` // sealed tag; empty if never set or cleared
	PINSetAt      events.Time   `cbor:"15,keyasint,omitempty"`
	Revision      uint64        `cbor:"16,keyasint,omitempty"` // of the secrets; grows when seed, PIN or user changes
	PINRevision   uint64        `cbor:"25,keyasint,omitempty"` // to which the PIN tag is sealed; never used twice
	NewPIN        bool          `cbor:"17,keyasint,omitempty"` // New PIN mode
	NextTokencode bool          `cbor:"18,keyasint,omitempty"` // Next Tokencode mode
	Last          int64         `cbor:"19,keyasint,omitempty"` // last used interval; nothing up to it is accepted again
	Drift         int64         `cbor:"20,keyasint,omitempty"` // believed offset of the clock, in intervals
	Proven        bool          `cbor:"21,keyasint,omitempty"` // it has been accepted once
	LastUse       events.Time   `cbor:"22,keyasint,omitempty"`
	Imported      events.Time   `cbor:"23,keyasint,omitempty"`
	PINSource     PINSource     `cbor:"24,keyasint,omitempty"` // empty: as the policy says
	OldPINs       []OldPIN      `cbor:"26,keyasint,omitempty"` // latest first
	Drifts        []Seen        `cbor:"27,keyasint,omitempty"` // latest last
	Anchor        Seen          `cbor:"35,keyasint,omitzero"`  // believed drift at the start of the present day of changes
	Lost          *Lost         `cbor:"28,keyasint,omitempty"`
	Sent          []events.Time `cbor:"32,keyasint,omitempty"` // on-demand tokens, latest last
	NotSent       events.Time   `cbor:"39,keyasint,omitempty"` // when sending the last requested tokencode was given up
	Window        Window        `cbor:"33,keyasint,omitzero"`  // from its own record; zero: as the policy says
	PINMin        uint8         `cbor:"30,keyasint,omitempty"` // the rules that the PIN is known to meet
	PINMax        uint8         `cbor:"36,keyasint,omitempty"` // 0: not known
	PINLetters    bool          `cbor:"31,keyasint,omitempty"`
	Replaces      string        `cbor:"29,keyasint,omitempty"` // serial of the token that it replaces at its first success
	// Guessed is set if failures led to Next Tokencode mode, not an administrator.
	Guessed bool `cbor:"37,keyasint,omitempty"`
	// Temporary is set if an administrator set the PIN, which must be changed.
	Temporary bool `cbor:"38,keyasint,omitempty"`
	// Doubted is the last interval that may have been used in a time that the
	// state does not know. Up to it, a tokencode needs the next one.
	Doubted int64 `cbor:"34,keyasint,omitempty"`
}

// OldPIN is a previous PIN.
type OldPIN struct {
	Revision uint64 `cbor:"1,keyasint"`
	Sealed   []byte `cbor:"2,keyasint"`
}

// Seen is the observed drift of a clock at a time.
type Seen struct {
	At    events.Time `cbor:"1,keyasint"`
	Drift int64       `cbor:"2,keyasint"` // intervals
}

// Lost is the state of a token that its user does not have.
type Lost struct {
	Since  events.Time `cbor:"1,keyasint"`
	Until  events.Time `cbor:"2,keyasint"`
	Sealed []byte      `cbor:"3,keyasint,omitempty"` // the emergency tokencodes
	Fixed  bool        `cbor:"4,keyasint,omitempty"`
	Found  string      `cbor:"5,keyasint"`           // refuse, allow, after
	Used   []uint8     `cbor:"6,keyasint,omitempty"` // numbers of the tokencodes that were used
	Given  uint8       `cbor:"7,keyasint,omitempty"` // how many were given out; 0: none, or not known
}

// Client is a RADIUS client. After a rotation it has two shared secrets: the
// old one is valid until OldUntil, or until the new one is seen.
type Client struct {
	Name                 string       `cbor:"1,keyasint"`
	Prefix               netip.Prefix `cbor:"2,keyasint"`
	Secret               []byte       `cbor:"3,keyasint"` // sealed
	Site                 string       `cbor:"4,keyasint,omitempty"`
	Dialect              string       `cbor:"5,keyasint"`
	MessageAuthenticator string       `cbor:"6,keyasint"`
	Trusted              bool         `cbor:"7,keyasint,omitempty"`
	Signed               []netip.Addr `cbor:"8,keyasint,omitempty"`  // addresses that have sent a Message-Authenticator
	SignedAll            bool         `cbor:"20,keyasint,omitempty"` // more have sent one than Signed holds: all addresses count as such
	Cleared              uint32       `cbor:"21,keyasint,omitempty"` // how often Signed was cleared, in part or as a whole
	Revision             uint64       `cbor:"9,keyasint,omitempty"`  // of Secret: how often it was rotated
	Rotated              events.Time  `cbor:"10,keyasint,omitempty"`
	Seen                 events.Time  `cbor:"11,keyasint,omitempty"` // first use of Secret since Rotated
	OldSecret            []byte       `cbor:"12,keyasint,omitempty"` // sealed
	OldUntil             events.Time  `cbor:"13,keyasint,omitempty"`
}

// NodeRecord is a member of the cluster.
type NodeRecord struct {
	Name    string      `cbor:"1,keyasint"`
	Address string      `cbor:"2,keyasint"`
	Lost    bool        `cbor:"3,keyasint,omitempty"`
	Joined  events.Time `cbor:"4,keyasint,omitempty"`
	Key     events.Hash `cbor:"5,keyasint,omitzero"`  // SHA-256 of its public TLS key, which proves membership
	SealKey []byte      `cbor:"6,keyasint,omitempty"` // public; the root key is sealed for it
}

// RemovedNode is a node that was a member.
type RemovedNode struct {
	Name string      `cbor:"1,keyasint"`
	Key  events.Hash `cbor:"2,keyasint"`
}

// NewState returns the state before the first record.
func NewState() *State { return &State{Policy: DefaultPolicy()} }

// Copy returns a copy that shares all unchanged records with s. Several
// goroutines may call it, and readers of s are not disturbed.
func (s *State) Copy() *State {
	s.copying.Lock()
	defer s.copying.Unlock()
	return &State{
		Cluster:      s.Cluster,
		Policy:       s.Policy,
		Time:         s.Time,
		users:        *s.users.Copy(),
		tokens:       *s.tokens.Copy(),
		clients:      *s.clients.Copy(),
		apiTokens:    *s.apiTokens.Copy(),
		auditReaders: *s.auditReaders.Copy(),
		sessions:     *s.sessions.Copy(),
		nodes:        *s.nodes.Copy(),
		invitations:  *s.invitations.Copy(),
		deleted:      *s.deleted.Copy(),
		approvals:    *s.approvals.Copy(),
		done:         s.done,
	}
}

// User returns the user of a canonical name, or nil.
func (s *State) User(name string) *User { u, _ := s.users.Get(name); return u }

// Token returns the token of a serial, or nil.
func (s *State) Token(serial string) *Token { t, _ := s.tokens.Get(serial); return t }

// Client returns the RADIUS client of a name, or nil.
func (s *State) Client(name string) *Client { c, _ := s.clients.Get(name); return c }

// Node returns the member of a name, or nil.
func (s *State) Node(name string) *NodeRecord { n, _ := s.nodes.Get(name); return n }

// APIToken returns the API token of a name, or nil.
func (s *State) APIToken(name string) *APIToken { t, _ := s.apiTokens.Get(name); return t }

// Users calls yield for each user, by name.
func (s *State) Users(yield func(*User) bool) {
	s.users.Scan(func(_ string, u *User) bool { return yield(u) })
}

// Tokens calls yield for each token, by serial.
func (s *State) Tokens(yield func(*Token) bool) {
	s.tokens.Scan(func(_ string, t *Token) bool { return yield(t) })
}

// Clients calls yield for each RADIUS client, by name.
func (s *State) Clients(yield func(*Client) bool) {
	s.clients.Scan(func(_ string, c *Client) bool { return yield(c) })
}

// APITokens calls yield for each API token, by name.
func (s *State) APITokens(yield func(*APIToken) bool) {
	s.apiTokens.Scan(func(_ string, t *APIToken) bool { return yield(t) })
}

// Nodes calls yield for each member, by name.
func (s *State) Nodes(yield func(*NodeRecord) bool) {
	s.nodes.Scan(func(_ string, n *NodeRecord) bool { return yield(n) })
}
