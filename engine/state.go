package engine

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/tidwall/btree"

	"keyfob/events"
)

// State is everything that the rules know, the same on every node. Records in
// it are immutable: Apply puts a changed copy in the place of the old one, so
// that Copy is cheap and a reader of a copy is never disturbed.
type State struct {
	Cluster      Cluster
	Policy       Policy
	Time         events.Time // of the last batch
	users        btree.Map[string, *User]
	tokens       btree.Map[string, *Token]
	clients      btree.Map[string, *Client]
	apiTokens    btree.Map[string, *APIToken]
	auditReaders btree.Map[string, *AuditReader]
	nodes        btree.Map[string, *NodeRecord]
	invitations  btree.Map[string, events.Time] // by hex digest
	marks        btree.Map[string, int64]       // of tokens that were deleted, by serial: the last interval used
	done         []events.Request               // the last administrators' commands, oldest first

	copying sync.Mutex // guards Copy, which writes to the tables that it copies
}

// Cluster is the cluster's identity.
type Cluster struct {
	ID          string `cbor:"1,keyasint"`
	Certificate []byte `cbor:"2,keyasint"` // of its CA, DER
	CAKey       []byte `cbor:"3,keyasint"` // sealed
	Leader      string `cbor:"4,keyasint"`
	// Epoch is how often the cluster was restored from a backup.
	Epoch       uint64 `cbor:"5,keyasint,omitempty"`
	RecoveryKey []byte `cbor:"6,keyasint,omitempty"` // public: backups are sealed for it
}

// User is who owns tokens. Failures count for the user, over all tokens and
// doors.
type User struct {
	Name         string               `cbor:"1,keyasint"`
	Disabled     bool                 `cbor:"2,keyasint,omitempty"`
	Tokens       []string             `cbor:"3,keyasint,omitempty"` // serials, in order of assignment
	Failures     uint32               `cbor:"4,keyasint,omitempty"` // since the last success
	Strangers    Lock                 `cbor:"5,keyasint,omitzero"`  // for the page, the API and clients that are not trusted
	Trusted      Lock                 `cbor:"6,keyasint,omitzero"`  // for trusted clients: strangers cannot use it up
	LastSuccess  events.Time          `cbor:"8,keyasint,omitempty"`
	QuietUntil   events.Time          `cbor:"9,keyasint,omitempty"` // when the bucket of refusals without effect is empty
	Conversation *events.Conversation `cbor:"10,keyasint,omitempty"`
	Answers      []Answer             `cbor:"11,keyasint,omitempty"` // the last few, for retries
	Added        events.Time          `cbor:"12,keyasint,omitempty"`
}

// Lock is a budget of failures and what using it up has led to.
type Lock struct {
	Failures uint32      `cbor:"1,keyasint,omitempty"` // since the last success
	Count    uint32      `cbor:"2,keyasint,omitempty"` // locks since the last success
	Until    events.Time `cbor:"3,keyasint,omitempty"`
	Stopped  bool        `cbor:"4,keyasint,omitempty"` // until an administrator unlocks
	Wait     events.Time `cbor:"5,keyasint,omitempty"` // before it nothing that is typed is looked at
	// Recent is when the failures happened that count towards the next lock;
	// kept while Policy.LockWithin lets them grow too old for that. A lock ends
	// them, so there are never more than it takes.
	Recent []events.Time `cbor:"6,keyasint,omitempty"`
}

// Locked reports whether everything is refused at this time.
func (l Lock) Locked(now events.Time) bool { return l.Stopped || now < l.Until }

// succeed begins a budget anew when its user has logged in. A lock that is in
// force stays: the success came by the other budget, and whoever is guessing
// at this one is to wait, or for an administrator, all the same.
func (l *Lock) succeed(at events.Time) {
	if !l.Locked(at) {
		*l = Lock{}
	}
}

// counting is how many failures count towards the next lock.
func (l *Lock) counting(p *Policy, now events.Time) int {
	if p.LockWithin == 0 {
		return int(l.Failures) % p.LockAfter
	}
	return len(l.young(p, now))
}

// young are the failures, in order of time, that are not too old to count.
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

// Left is how many more failures lead to a lock.
func (l Lock) Left(p Policy, now events.Time) int {
	return min(max(1, p.LockAfter-l.counting(&p, now)), max(0, p.StopAfter-int(l.Failures)))
}

// lock is the budget that attempts of this origin use up.
func (u *User) lock(trusted bool) *Lock {
	if trusted {
		return &u.Trusted
	}
	return &u.Strangers
}

// Trusts reports whether an attempt comes through a trusted client.
func (s *State) Trusts(o events.Origin) bool {
	c := s.Client(o.Client)
	return o.Door == events.DoorRADIUS && c != nil && c.Trusted
}

// Answer is an outcome that was decided, kept for a while so that a retry of
// the same request gets the same.
type Answer struct {
	Request      events.Request       `cbor:"1,keyasint"`
	At           events.Time          `cbor:"2,keyasint"`
	Verdict      Verdict              `cbor:"3,keyasint,omitempty"`
	Reason       events.Reason        `cbor:"4,keyasint,omitempty"`
	Reference    string               `cbor:"5,keyasint,omitempty"`
	Conversation *events.Conversation `cbor:"6,keyasint,omitempty"` // as it stood after this answer
	Problem      Problem              `cbor:"7,keyasint,omitempty"` // that ended it
	Serial       string               `cbor:"8,keyasint,omitempty"` // whose rules Problem speaks of
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
	PIN           []byte        `cbor:"14,keyasint,omitempty"` // sealed tag; none: never set or cleared
	PINSetAt      events.Time   `cbor:"15,keyasint,omitempty"`
	Revision      uint64        `cbor:"16,keyasint,omitempty"` // of the secrets: grows when seed, PIN or owner changes
	PINRevision   uint64        `cbor:"25,keyasint,omitempty"` // the present PIN tag is sealed to it; never used twice
	NewPIN        bool          `cbor:"17,keyasint,omitempty"` // New PIN mode
	NextTokencode bool          `cbor:"18,keyasint,omitempty"` // Next Tokencode mode
	Last          int64         `cbor:"19,keyasint,omitempty"` // last interval used; nothing up to it is accepted again
	Drift         int64         `cbor:"20,keyasint,omitempty"` // intervals the clock is believed to be off
	Proven        bool          `cbor:"21,keyasint,omitempty"` // it has been seen to be right once
	LastUse       events.Time   `cbor:"22,keyasint,omitempty"`
	Imported      events.Time   `cbor:"23,keyasint,omitempty"`
	PINSource     PINSource     `cbor:"24,keyasint,omitempty"` // empty: as the policy says
	OldPINs       []OldPIN      `cbor:"26,keyasint,omitempty"` // latest first
	Drifts        []Seen        `cbor:"27,keyasint,omitempty"` // latest last
	Anchor        Seen          `cbor:"35,keyasint,omitzero"`  // where the clock was believed to be when today's moves began
	Lost          *Lost         `cbor:"28,keyasint,omitempty"`
	Sent          []events.Time `cbor:"32,keyasint,omitempty"` // on demand, latest last
	NotSent       events.Time   `cbor:"39,keyasint,omitempty"` // when the last one was given up that was waited for
	Window        Window        `cbor:"33,keyasint,omitzero"`  // of its own record; none: as the policy says
	PINMin        uint8         `cbor:"30,keyasint,omitempty"` // the rules that the PIN is known to keep
	PINMax        uint8         `cbor:"36,keyasint,omitempty"` // 0: of before this was kept
	PINLetters    bool          `cbor:"31,keyasint,omitempty"`
	Replaces      string        `cbor:"29,keyasint,omitempty"` // the serial whose place it takes at its first success
	// Guessed says that failures led to Next Tokencode mode, and no administrator.
	Guessed bool `cbor:"37,keyasint,omitempty"`
	// Temporary says that it was an administrator who set the PIN, and that it is
	// to be changed.
	Temporary bool `cbor:"38,keyasint,omitempty"`
	// Doubted is the last interval that may have been used in a time of which
	// the state knows nothing: up to it a tokencode needs the next one.
	Doubted int64 `cbor:"34,keyasint,omitempty"`
}

// OldPIN is a PIN that was set before.
type OldPIN struct {
	Revision uint64 `cbor:"1,keyasint"`
	Sealed   []byte `cbor:"2,keyasint"`
}

// Seen is where a token's clock was seen to be at a time.
type Seen struct {
	At    events.Time `cbor:"1,keyasint"`
	Drift int64       `cbor:"2,keyasint"` // intervals
}

// Lost is what holds while a token is not with its owner.
type Lost struct {
	Since  events.Time `cbor:"1,keyasint"`
	Until  events.Time `cbor:"2,keyasint"`
	Sealed []byte      `cbor:"3,keyasint,omitempty"` // the emergency tokencodes
	Fixed  bool        `cbor:"4,keyasint,omitempty"`
	Found  string      `cbor:"5,keyasint"`           // refuse, allow, after
	Used   []uint8     `cbor:"6,keyasint,omitempty"` // numbers of the codes that were used
	Given  uint8       `cbor:"7,keyasint,omitempty"` // how many there are; 0: none, or of before this was kept
}

// Client is a device that speaks RADIUS to us. Right after a rotation it has two
// shared secrets: the old one is valid until OldUntil, and until the new one is
// seen.
type Client struct {
	Name                 string       `cbor:"1,keyasint"`
	Prefix               netip.Prefix `cbor:"2,keyasint"`
	Secret               []byte       `cbor:"3,keyasint"` // sealed
	Site                 string       `cbor:"4,keyasint,omitempty"`
	Dialect              string       `cbor:"5,keyasint"`
	MessageAuthenticator string       `cbor:"6,keyasint"`
	Trusted              bool         `cbor:"7,keyasint,omitempty"`
	Signed               []netip.Addr `cbor:"8,keyasint,omitempty"` // addresses that have sent a Message-Authenticator
	Revision             uint64       `cbor:"9,keyasint,omitempty"` // of Secret: how often it was rotated
	Rotated              events.Time  `cbor:"10,keyasint,omitempty"`
	Seen                 events.Time  `cbor:"11,keyasint,omitempty"` // first use of Secret since Rotated
	OldSecret            []byte       `cbor:"12,keyasint,omitempty"` // sealed
	OldUntil             events.Time  `cbor:"13,keyasint,omitempty"`
}

// APIToken is a bearer's right to command.
type APIToken struct {
	Name    string      `cbor:"1,keyasint"`
	Digest  events.Hash `cbor:"2,keyasint"`
	Role    string      `cbor:"3,keyasint"`
	Expires events.Time `cbor:"4,keyasint,omitempty"`
	Issued  events.Time `cbor:"5,keyasint,omitempty"`
}

// NodeRecord is a member of the cluster.
type NodeRecord struct {
	Name    string      `cbor:"1,keyasint"`
	Address string      `cbor:"2,keyasint"`
	Lost    bool        `cbor:"3,keyasint,omitempty"`
	Joined  events.Time `cbor:"4,keyasint,omitempty"`
}

// NewState is the state before the first record.
func NewState() *State { return &State{Policy: DefaultPolicy()} }

// Copy returns a state of its own that shares what neither changes. It may be
// called from several goroutines, and does not disturb readers of s.
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
		nodes:        *s.nodes.Copy(),
		invitations:  *s.invitations.Copy(),
		marks:        *s.marks.Copy(),
		done:         s.done,
	}
}

// User is the user of that canonical name, or nil.
func (s *State) User(name string) *User { u, _ := s.users.Get(name); return u }

// Token is the token of that serial, or nil.
func (s *State) Token(serial string) *Token { t, _ := s.tokens.Get(serial); return t }

// Client is the RADIUS client of that name, or nil.
func (s *State) Client(name string) *Client { c, _ := s.clients.Get(name); return c }

// Node is the member of that name, or nil.
func (s *State) Node(name string) *NodeRecord { n, _ := s.nodes.Get(name); return n }

// APIToken is the administrators' token of that name, or nil.
func (s *State) APIToken(name string) *APIToken { t, _ := s.apiTokens.Get(name); return t }

// Users calls yield for each user, in order of name.
func (s *State) Users(yield func(*User) bool) {
	s.users.Scan(func(_ string, u *User) bool { return yield(u) })
}

// Tokens calls yield for each token, in order of serial.
func (s *State) Tokens(yield func(*Token) bool) {
	s.tokens.Scan(func(_ string, t *Token) bool { return yield(t) })
}

// Clients calls yield for each RADIUS client, in order of name.
func (s *State) Clients(yield func(*Client) bool) {
	s.clients.Scan(func(_ string, c *Client) bool { return yield(c) })
}

// APITokens calls yield for each administrators' token, in order of name.
func (s *State) APITokens(yield func(*APIToken) bool) {
	s.apiTokens.Scan(func(_ string, t *APIToken) bool { return yield(t) })
}

// Nodes calls yield for each member, in order of name.
func (s *State) Nodes(yield func(*NodeRecord) bool) {
	s.nodes.Scan(func(_ string, n *NodeRecord) bool { return yield(n) })
}
