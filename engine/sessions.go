package engine

import (
	"crypto/subtle"
	"net/netip"
	"slices"
	"time"

	"github.com/tidwall/btree"

	"keyfob/events"
)

// Session is an administrator who has logged in. Each node finds it by the
// digest of its secret, which only the administrator has.
type Session struct {
	Name    string      `cbor:"1,keyasint"` // public: SessionName of Digest
	Digest  events.Hash `cbor:"2,keyasint"`
	User    string      `cbor:"3,keyasint"`
	Role    string      `cbor:"4,keyasint"`
	Serial  string      `cbor:"5,keyasint"`
	Network string      `cbor:"6,keyasint"` // CIDR
	Issued  events.Time `cbor:"7,keyasint"`
	Expires events.Time `cbor:"8,keyasint"`
	Used    events.Time `cbor:"9,keyasint"` // last recorded use; see SessionUseDue
}

// Why a session or an API token is not valid.
const (
	EndUnknown = "unknown" // never existed, or ended
	EndExpired = "expired"
	EndIdle    = "idle"    // not used for too long
	EndAddress = "address" // used from another network
	EndUser    = "user"    // the person may not use it any more
)

const (
	maxSessionsPerUser = 10
	loginFor           = time.Minute // from a login until its session is opened; at most answerFor
	leastUse           = time.Minute // between two records of the use of a session

	sessionNameSize = 6 // bytes of the digest
)

// Commands on sessions.
type (
	// OpenSession opens a session after an accepted login.
	OpenSession struct {
		User    string         `cbor:"1,keyasint"`
		Digest  events.Hash    `cbor:"2,keyasint"`
		Network string         `cbor:"3,keyasint"`
		Login   events.Request `cbor:"4,keyasint"`
	}
	// EndSession ends one session, or with User all of a user.
	EndSession struct {
		Session string `cbor:"1,keyasint,omitempty"`
		User    string `cbor:"2,keyasint,omitempty"`
	}
	// RecordUse records that a session or an API token is used.
	RecordUse struct {
		Session  string `cbor:"1,keyasint,omitempty"`
		APIToken string `cbor:"2,keyasint,omitempty"`
	}
)

// sessionSettings are the settings of the policy for sessions.
func sessionSettings() []Setting {
	return []Setting{
		span("admin.session_for", 5*time.Minute, 24*time.Hour, "how long a session of an administrator lasts",
			func(p *Policy) *time.Duration { return &p.AdminSessionFor }),
		span("admin.session_idle", time.Minute, 24*time.Hour, "how long a session of an administrator lasts without being used",
			func(p *Policy) *time.Duration { return &p.AdminSessionIdle }),
		yesNo("admin.session_bound", "whether a session can be used only from the address that it was opened from (IPv6: the /64)",
			func(p *Policy) *bool { return &p.AdminSessionBound }),
	}
}

// SessionName returns the public name of a session.
func SessionName(digest events.Hash) string { return digest.String()[:2*sessionNameSize] }

func (c OpenSession) decide(s *State, now events.Time) ([]events.Event, error) {
	u := s.User(c.User)
	if u == nil || u.Disabled || u.Role == "" {
		return nil, refuse(Forbidden, "user %.80q is not an administrator", c.User)
	}
	name := SessionName(c.Digest)
	if _, err := netip.ParsePrefix(c.Network); err != nil || s.Session(name) != nil {
		return nil, refuse(Invalid, "the session cannot be opened; log in again")
	}
	i := slices.IndexFunc(u.Answers, func(a Answer) bool { return a.Request == c.Login && a.Verdict == Accept })
	if i < 0 || c.Login.IsZero() || now.Sub(u.Answers[i].At) >= loginFor {
		return nil, refuse(Forbidden, "the login has not been accepted, or is too old; log in again")
	}
	t := s.Token(u.Answers[i].Serial)
	switch {
	case t == nil || t.User != u.Name:
		return nil, refuse(Forbidden, "this login opens no session: a login opens one at most, and an emergency tokencode none; log in again")
	case t.withoutPIN():
		return nil, refuse(Forbidden, "token %s is used without a PIN; an administrator needs a token with a PIN", t.Serial)
	}
	return one(events.SessionOpened{
		Session: name, Digest: c.Digest, User: u.Name, Role: u.Role, Serial: t.Serial, Network: c.Network,
		Expires: now.Add(s.Policy.AdminSessionFor), Login: c.Login,
	})
}

func (c EndSession) decide(s *State, _ events.Time) ([]events.Event, error) {
	var facts []events.Event
	s.Sessions(func(x *Session) bool {
		if x.Name == c.Session || c.Session == "" && x.User == c.User {
			facts = append(facts, events.SessionEnded{Session: x.Name, User: x.User})
		}
		return true
	})
	if c.Session != "" && len(facts) == 0 {
		return nil, refuseHelp(NotFound, HelpListSessions, "session %.64q not found", c.Session)
	}
	return facts, nil
}

func (c RecordUse) decide(s *State, now events.Time) ([]events.Event, error) {
	due := false
	if x := s.Session(c.Session); x != nil {
		due = s.SessionUseDue(x, now)
	} else if t := s.APIToken(c.APIToken); t != nil {
		due = APITokenUseDue(t, now)
	}
	return unless(!due, events.CredentialUsed(c))
}

// Session returns the session of a public name, or nil.
func (s *State) Session(name string) *Session { x, _ := s.sessions.Get(name); return x }

// Sessions calls yield for each session, by public name.
func (s *State) Sessions(yield func(*Session) bool) {
	s.sessions.Scan(func(_ string, x *Session) bool { return yield(x) })
}

// SessionWith returns the session whose secret has a digest, or nil. Only the
// beginning of the digest is looked up: the time that this takes reveals nothing
// about the rest.
func (s *State) SessionWith(digest events.Hash) *Session {
	x := s.Session(SessionName(digest))
	if x == nil || subtle.ConstantTimeCompare(x.Digest[:], digest[:]) != 1 {
		return nil
	}
	return x
}

// SessionEnd returns why a session cannot be used from an address, or an empty
// string if it can.
func (s *State) SessionEnd(x *Session, from netip.Addr, now events.Time) string {
	network, err := netip.ParsePrefix(x.Network)
	if s.Policy.AdminSessionBound && (err != nil || !network.Contains(from.Unmap())) {
		return EndAddress
	}
	return s.sessionEnd(x, now)
}

// sessionEnd is SessionEnd without the address.
func (s *State) sessionEnd(x *Session, now events.Time) string {
	u := s.User(x.User)
	switch {
	case u == nil || u.Disabled || u.Role != x.Role:
		return EndUser
	case now >= x.Expires || now.Sub(x.Issued) >= s.Policy.AdminSessionFor:
		return EndExpired
	case now.Sub(x.Used) >= s.Policy.AdminSessionIdle:
		return EndIdle
	}
	return ""
}

// SessionUseDue reports whether the use of a session now is to be recorded. Its
// recorded use is then at most a quarter of the idle limit old, and there are
// few records.
func (s *State) SessionUseDue(x *Session, now events.Time) bool {
	return now.Sub(x.Used) >= max(s.Policy.AdminSessionIdle/4, min(leastUse, s.Policy.AdminSessionIdle/2))
}

// openSession adds a session and uses its login up. It drops those that have
// ended, and the oldest of a user who has too many.
func (s *State) openSession(at events.Time, e events.SessionOpened) {
	s.changeUser(e.User, func(u *User) {
		u.Answers = slices.Clone(u.Answers)
		for i := range u.Answers {
			if u.Answers[i].Request == e.Login {
				u.Answers[i].Serial = ""
			}
		}
	})
	var own []*Session
	for _, x := range s.sessions.Values() {
		switch {
		case s.sessionEnd(x, at) != "":
			s.sessions.Delete(x.Name)
		case x.User == e.User:
			own = append(own, x)
		}
	}
	slices.SortStableFunc(own, func(a, b *Session) int { return int(a.Issued - b.Issued) })
	for _, x := range own[:max(0, len(own)-maxSessionsPerUser+1)] {
		s.sessions.Delete(x.Name)
	}
	s.sessions.Set(e.Session, &Session{
		Name: e.Session, Digest: e.Digest, User: e.User, Role: e.Role, Serial: e.Serial, Network: e.Network,
		Issued: at, Expires: e.Expires, Used: at,
	})
}

// used folds the use of a session or an API token.
func (s *State) used(at events.Time, e events.CredentialUsed) {
	if old := s.Session(e.Session); old != nil {
		x := *old
		x.Used = at
		s.sessions.Set(x.Name, &x)
	}
	if old := s.APIToken(e.APIToken); old != nil {
		t := *old
		t.Used = at
		s.apiTokens.Set(t.Name, &t)
	}
}

// endSessions ends the sessions of a user who is disabled or deleted, or whose
// token or PIN is taken away or set by somebody else.
func (s *State) endSessions(e events.Event) {
	if s.sessions.Len() == 0 {
		return
	}
	switch e := e.(type) {
	case events.UserDisabled, events.UserDeleted, events.TokenUnassigned, events.TokenDisabled, events.TokenDeleted,
		events.TokenLost, events.TokenReplaced, events.PINCleared, events.NewPINRequired:
		s.endSessionsOf(events.Describe(e).User)
	case events.PINSet:
		if e.Temporary {
			s.endSessionsOf(e.User)
		}
	default:
	}
}

func (s *State) endSessionsOf(user string) {
	for _, x := range s.sessions.Values() {
		if x.User == user {
			s.sessions.Delete(x.Name)
		}
	}
}

// forgetAdministrators ends all sessions and revokes all roles: they may have
// been ended and revoked after the backup.
func (s *State) forgetAdministrators() {
	s.sessions = btree.Map[string, *Session]{}
	for _, u := range s.users.Values() {
		if u.Role != "" {
			s.changeUser(u.Name, func(u *User) { u.Role = "" })
		}
	}
}
