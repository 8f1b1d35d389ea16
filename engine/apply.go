package engine

import (
	"encoding/hex"
	"net/netip"
	"slices"

	"keyfob/events"
)

const (
	maxDone   = 256 // administrators' requests remembered
	maxDrifts = 8   // drifts of a token remembered
)

// Apply folds one event into the state. It takes what happened as given: it
// refuses nothing, and an event about something that is not there changes
// nothing.
func (s *State) Apply(at events.Time, d events.Draft) {
	s.Time = at
	if answer, ok := answerOf(at, d); ok {
		s.applyAttempt(at, d.Event, answer)
		return
	}
	if d.Origin.Actor != "" {
		s.remember(d.Origin.Request)
	}
	switch e := d.Event.(type) {
	case events.PasscodeAccepted, events.PasscodeRejected, events.PasscodeChallenged:
		// of a user who is not known: nothing to keep
	case events.UserLockedOut, events.FailureCounted, events.FailuresReset,
		events.UserAdded, events.UserDisabled, events.UserEnabled, events.UserUnlocked, events.UserDeleted:
		s.applyUser(at, e)
	case events.TokenImported, events.TokenAssigned, events.TokenUnassigned, events.TokenEnabled,
		events.TokenDisabled, events.TokenDeleted, events.PINSet, events.PINCleared,
		events.NewPINRequired, events.NextTokencodeRequired, events.DriftAdjusted,
		events.TokenResynchronized, events.TokenLost, events.TokenFound, events.TokenReplaced, events.ReplacementAssigned,
		events.TokencodeNotSent:
		s.applyToken(at, e)
	case events.ClientAdded, events.ClientRemoved, events.ClientSigned:
		s.applyClient(e)
	case events.PolicyChanged:
		s.Policy = s.Policy.with(e.Key, e.After)
	case events.APITokenIssued:
		s.apiTokens.Set(e.Name, &APIToken{Name: e.Name, Digest: e.Digest, Role: e.Role, Expires: e.Expires, Issued: at})
	case events.APITokenRevoked:
		s.apiTokens.Delete(e.Name)
	case events.ClusterFounded, events.InvitationIssued, events.NodeJoined, events.NodeRemoved,
		events.NodeLost, events.NodeReturned, events.LeaderChanged, events.ClockSkewed, events.RecoveryKeySet:
		s.applyCluster(at, e)
	case events.ClusterRestored:
		s.restored(at, e)
	case events.CheckpointSigned, events.BackupTaken: // speak of the chain, not of the state
	}
}

// answerOf is the answer that an event of an attempt gave to its user.
func answerOf(at events.Time, d events.Draft) (Answer, bool) {
	a := Answer{Request: d.Origin.Request, At: at, Reference: d.Origin.Reference}
	switch e := d.Event.(type) {
	case events.PasscodeAccepted:
		a.Verdict = Accept
		return a, true
	case events.PasscodeRejected:
		a.Reason, a.Conversation = e.Reason, e.Conversation
		if e.Problem != "" {
			a.Problem, a.Serial = Problem(e.Problem), e.Serial
		}
		return a, e.User != ""
	case events.TokenResynchronized:
		a.Verdict = Resynchronized
		return a, e.User != "" && d.Origin.Actor == ""
	case events.PasscodeChallenged:
		a.Verdict, a.Reason, a.Conversation = Challenge, e.Reason, &e.Conversation
		return a, true
	}
	return a, false
}

// applyAttempt folds what an attempt came to.
func (s *State) applyAttempt(at events.Time, e events.Event, a Answer) {
	switch e := e.(type) {
	case events.PasscodeAccepted:
		s.changeUser(e.User, func(u *User) {
			u.Failures = 0
			u.Strangers.succeed(at)
			u.Trusted.succeed(at)
			u.LastSuccess, u.Conversation = at, nil
			u.keep(a)
		})
		s.changeToken(e.Use.Serial, func(t *Token) {
			t.spend(at, e.Use, true)
			if t.hasPIN() {
				t.keeps(&s.Policy) // another one would have been asked for
			}
		})
	case events.PasscodeRejected:
		s.changeUser(e.User, func(u *User) {
			if e.Quiet {
				u.QuietUntil = max(u.QuietUntil, at).Add(quietFor)
			}
			if e.Ended || e.Conversation != nil {
				u.Conversation = e.Conversation
			}
			if !e.Quiet { // which is refused again all the same
				u.keep(a)
			}
		})
	case events.TokenResynchronized:
		s.changeUser(e.User, func(u *User) { u.keep(a) })
		s.resynchronized(at, e)
	case events.PasscodeChallenged:
		proved := e.Conversation.Step != events.StepNextTokencode
		s.changeUser(e.User, func(u *User) {
			u.Conversation = &e.Conversation
			u.keep(a)
		})
		if e.Use != nil {
			s.changeToken(e.Use.Serial, func(t *Token) { t.spend(at, *e.Use, proved) })
		}
		if t := s.Token(e.Conversation.Serial); t != nil && t.onDemand() && !proved {
			s.changeToken(t.Serial, func(t *Token) {
				t.Sent = append(slices.Clone(t.Sent[max(0, len(t.Sent)-maxSent+1):]), at)
				t.NotSent = 0 // that was another one
			})
		}
	}
}

// keep remembers an answer. When there are too many, a refusal goes before
// what let somebody in or asked for more, however old: guesses must not push
// out what an honest retry needs.
func (u *User) keep(a Answer) {
	kept := make([]Answer, 0, maxAnswers)
	for _, old := range u.Answers {
		if a.At.Sub(old.At) <= answerFor {
			kept = append(kept, old)
		}
	}
	if len(kept) == maxAnswers {
		least := max(0, slices.IndexFunc(kept, func(old Answer) bool { return old.Verdict == Reject && old.Conversation == nil }))
		kept = slices.Delete(kept, least, least+1)
	}
	u.Answers = append(kept, a)
}

// spend moves a token's mark forward. A token that was proved has left Next
// Tokencode mode.
func (t *Token) spend(at events.Time, u events.Use, proved bool) {
	if u.Emergency != 0 {
		t.spendEmergency(u.Emergency)
		return
	}
	t.Last, t.LastUse, t.NotSent = max(t.Last, u.Interval), at, 0
	if proved {
		t.NextTokencode, t.Guessed, t.Proven = false, false, true
	}
}

// spendEmergency notes that an emergency tokencode was used.
func (t *Token) spendEmergency(number uint8) {
	if t.Lost != nil && !t.Lost.Fixed {
		lost := *t.Lost
		lost.Used = append(slices.Clone(lost.Used), number)
		t.Lost = &lost
	}
}

// resynchronized spends two tokencodes in a row. Locks stay.
func (s *State) resynchronized(at events.Time, e events.TokenResynchronized) {
	s.changeToken(e.Use.Serial, func(t *Token) {
		t.spend(at, e.Use, true)
		t.Anchor = Seen{at, e.Use.Drift}
	})
	s.changeUser(e.User, func(u *User) {
		u.Failures = 0
		for _, l := range []*Lock{&u.Strangers, &u.Trusted} {
			l.Failures, l.Wait, l.Recent = 0, 0, nil
		}
	})
}

func (s *State) applyUser(at events.Time, e events.Event) {
	switch e := e.(type) {
	case events.UserAdded:
		s.users.Set(e.User, &User{Name: e.User, Added: at})
	case events.UserDeleted:
		s.users.Delete(e.User)
	case events.UserDisabled:
		s.changeUser(e.User, func(u *User) { u.Disabled, u.Conversation = true, nil })
	case events.UserEnabled:
		s.changeUser(e.User, func(u *User) { u.Disabled = false })
	case events.UserUnlocked:
		s.changeUser(e.User, func(u *User) { u.Failures, u.Strangers, u.Trusted = 0, Lock{}, Lock{} })
	case events.FailureCounted:
		s.changeUser(e.User, func(u *User) {
			u.Failures = e.Failures
			u.lock(e.Trusted).fail(&s.Policy, at, e.Wait)
		})
	case events.FailuresReset:
		s.changeUser(e.User, func(u *User) { u.Failures = 0 })
	case events.UserLockedOut:
		s.changeUser(e.User, func(u *User) {
			// Strangers end nothing that goes on at a trusted client.
			if c := u.Conversation; c != nil && s.Trusts(events.Origin{Door: c.Door, Client: c.Client}) == e.Trusted {
				u.Conversation = nil
			}
			l := u.lock(e.Trusted)
			l.Count++
			l.Until, l.Stopped, l.Wait, l.Recent = e.Until, e.Until.IsZero(), 0, nil
		})
	}
}

func (s *State) applyToken(at events.Time, e events.Event) {
	switch e := e.(type) {
	case events.TokenImported:
		t := s.unbury(newToken(at, e))
		t.doubtCounter(s.Cluster)
		s.tokens.Set(e.Serial, t)
	case events.TokenAssigned:
		s.changeToken(e.Serial, func(t *Token) { t.User, t.Revision = e.User, t.Revision+1 })
		s.changeUser(e.User, func(u *User) { u.Tokens = append(slices.Clone(u.Tokens), e.Serial) })
	case events.TokenUnassigned:
		s.changeToken(e.Serial, func(t *Token) { t.disown() })
		s.dropToken(e.User, e.Serial)
	case events.TokenDeleted:
		s.bury(e.Serial)
		s.dropToken(e.User, e.Serial)
	case events.TokenEnabled:
		s.changeToken(e.Serial, func(t *Token) { t.Disabled = false })
	case events.TokenDisabled:
		s.changeToken(e.Serial, func(t *Token) { t.Disabled = true })
		s.endConversation(e.User, e.Serial)
	case events.PINSet:
		s.changeToken(e.Serial, func(t *Token) {
			t.retirePIN()
			t.PIN, t.PINRevision, t.PINSetAt, t.NewPIN, t.Temporary = e.Sealed, e.Revision, at, e.Temporary, e.Temporary
			t.PINMin, t.PINMax, t.PINLetters = 0, 0, true
			t.keeps(&s.Policy)
			t.Revision++
		})
		if e.Temporary { // which an administrator set
			s.endConversation(e.User, e.Serial)
		}
	case events.PINCleared:
		s.changeToken(e.Serial, func(t *Token) {
			t.retirePIN()
			t.PIN, t.NewPIN, t.Temporary = nil, false, false
			t.Revision++
		})
		s.endConversation(e.User, e.Serial)
	case events.NewPINRequired:
		s.changeToken(e.Serial, func(t *Token) { t.NewPIN = true })
		s.endConversation(e.User, e.Serial)
	case events.NextTokencodeRequired:
		s.changeToken(e.Serial, func(t *Token) { t.NextTokencode, t.Guessed = true, e.Reason == events.ReasonTooManyFailures })
	case events.DriftAdjusted:
		s.changeToken(e.Serial, func(t *Token) { t.sight(at, e) })
	default:
		s.applyRemedy(at, e)
	}
}

// applyRemedy folds what becomes of tokens that are off, lost or replaced.
func (s *State) applyRemedy(at events.Time, e events.Event) {
	switch e := e.(type) {
	case events.TokenResynchronized: // by an administrator
		s.resynchronized(at, e)
	case events.TokenLost:
		s.changeToken(e.Serial, func(t *Token) {
			t.Lost = &Lost{Since: at, Until: e.Until, Sealed: e.Sealed, Fixed: e.Fixed, Found: e.Found, Given: e.Given}
			t.Revision++
		})
		s.endConversation(e.User, e.Serial)
	case events.TokenFound:
		s.changeToken(e.Serial, func(t *Token) {
			t.Lost = nil
			t.Revision++
		})
	case events.TokencodeNotSent:
		s.changeToken(e.Serial, func(t *Token) { t.NotSent = at })
	case events.ReplacementAssigned:
		s.changeToken(e.Serial, func(t *Token) { t.Replaces = e.Old })
	case events.TokenReplaced:
		s.changeToken(e.Old, func(t *Token) {
			t.disown()
			t.Disabled = true
		})
		s.dropToken(e.User, e.Old)
	}
}

// sight takes down where the token's clock was seen.
func (t *Token) sight(at events.Time, e events.DriftAdjusted) {
	if e.Forgot {
		t.Drift, t.Drifts, t.Anchor = 0, nil, Seen{}
		return
	}
	switch {
	case len(t.Drifts) == 0:
		t.Anchor = Seen{at, e.Drift}
	case at.Sub(t.Anchor.At) >= day:
		t.Anchor = Seen{at, e.From}
	}
	t.Drift = e.Drift
	t.Drifts = append(slices.Clone(t.Drifts[max(0, len(t.Drifts)-maxDrifts+1):]), Seen{at, e.Drift})
}

// disown takes a token, and all that was its owner's, from him.
func (t *Token) disown() {
	t.User, t.PIN, t.OldPINs, t.NewPIN, t.Temporary, t.NextTokencode, t.Lost, t.Replaces, t.NotSent = "", nil, nil, false, false, false, nil, "", 0
	t.Revision++
}

// retirePIN puts the present PIN, if any, among those of before.
func (t *Token) retirePIN() {
	if len(t.PIN) == 0 {
		return
	}
	old := append([]OldPIN{{t.PINRevision, t.PIN}}, t.OldPINs...)
	t.OldPINs = old[:min(len(old), maxOldPINs)]
}

// newToken is a token as it was imported. An event token's mark stands before
// the counter that is expected next.
func newToken(at events.Time, e events.TokenImported) *Token {
	t := &Token{
		Serial: e.Serial, Kind: e.Kind, Algorithm: e.Algorithm, Digits: e.Digits, Period: e.Period,
		PINStyle: e.PINStyle, Form: e.Form, Flags: e.Flags, Seed: e.Sealed, Born: e.Born, Expires: e.Expires,
		PINSource: PINSource(e.PINSource), Imported: at,
		Window: Window{Small: e.Small, Medium: e.Medium, Large: e.Large},
	}
	if !t.timed() {
		t.Last = e.Counter - 1
	}
	return t
}

// bury forgets a token but for the last interval that it used, so that its
// record, imported anew, does not make used tokencodes good again.
func (s *State) bury(serial string) {
	if t := s.Token(serial); t != nil && t.used() {
		s.marks.Set(serial, t.Last)
	}
	s.tokens.Delete(serial)
}

// unbury gives a token that is imported anew its mark back. When it was used is
// forgotten, and that it was must not be: it may be deleted once more.
func (s *State) unbury(t *Token) *Token {
	if last, ok := s.marks.Get(t.Serial); ok {
		t.Last = max(t.Last, last)
		t.Doubted = max(1, last) // the first press of an event token is numbered 0
		s.marks.Delete(t.Serial)
	}
	return t
}

func (s *State) applyClient(e events.Event) {
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

func (s *State) applyCluster(at events.Time, e events.Event) {
	switch e := e.(type) {
	case events.ClusterFounded:
		s.Cluster = Cluster{ID: e.Cluster, Certificate: e.Certificate, CAKey: e.Sealed}
	case events.InvitationIssued:
		s.invitations.Set(e.Digest.String(), e.Expires)
		s.dropInvitations(at)
	case events.NodeJoined:
		s.nodes.Set(e.Node, &NodeRecord{Name: e.Node, Address: e.Address, Joined: at})
		s.invitations.Delete(e.Invitation.String())
	case events.NodeRemoved:
		s.nodes.Delete(e.Node)
	case events.NodeLost:
		s.changeNode(e.Node, func(n *NodeRecord) { n.Lost = true })
	case events.NodeReturned:
		s.changeNode(e.Node, func(n *NodeRecord) { n.Lost = false })
	case events.LeaderChanged:
		s.Cluster.Leader = e.Node
	case events.RecoveryKeySet:
		s.Cluster.RecoveryKey = e.Key
	case events.ClockSkewed: // for the readers of the audit stream
	}
}

// dropInvitations forgets those that are over.
func (s *State) dropInvitations(now events.Time) {
	var over []string
	s.invitations.Scan(func(digest string, expires events.Time) bool {
		if expires <= now {
			over = append(over, digest)
		}
		return true
	})
	for _, digest := range over {
		s.invitations.Delete(digest)
	}
}

// changeUser puts a changed copy of a user in the place of the old one.
func (s *State) changeUser(name string, change func(*User)) {
	if old := s.User(name); old != nil {
		u := *old
		change(&u)
		s.users.Set(name, &u)
	}
}

func (s *State) changeToken(serial string, change func(*Token)) {
	if old := s.Token(serial); old != nil {
		t := *old
		change(&t)
		s.tokens.Set(serial, &t)
	}
}

func (s *State) changeNode(name string, change func(*NodeRecord)) {
	if old := s.Node(name); old != nil {
		n := *old
		change(&n)
		s.nodes.Set(name, &n)
	}
}

// endConversation ends what a user was doing with a token: it does not
// outlive what an administrator did to the token meanwhile.
func (s *State) endConversation(user, serial string) {
	if u := s.User(user); u != nil && u.Conversation != nil && u.Conversation.Serial == serial {
		s.changeUser(user, func(u *User) { u.Conversation = nil })
	}
}

// dropToken takes a serial off its user, and from what was to take its place.
func (s *State) dropToken(user, serial string) {
	s.endConversation(user, serial)
	if u := s.User(user); u != nil {
		for _, other := range u.Tokens {
			if t := s.Token(other); t != nil && t.Replaces == serial {
				s.changeToken(other, func(t *Token) { t.Replaces = "" })
			}
		}
	}
	s.changeUser(user, func(u *User) {
		u.Tokens = slices.DeleteFunc(slices.Clone(u.Tokens), func(other string) bool { return other == serial })
	})
}

// remember notes that an administrator's request has been carried out.
func (s *State) remember(r events.Request) {
	if r.IsZero() || len(s.done) > 0 && s.done[len(s.done)-1] == r {
		return
	}
	s.done = append(slices.Clone(s.done[max(0, len(s.done)-maxDone+1):]), r)
}

// alreadyDone reports whether a request was carried out before: its sender
// did not hear of it and asks again.
func (s *State) alreadyDone(r events.Request) bool {
	return !r.IsZero() && slices.Contains(s.done, r)
}

// invitation is when an invitation ends; zero when there is none.
func (s *State) invitation(digest events.Hash) events.Time {
	t, _ := s.invitations.Get(hex.EncodeToString(digest[:]))
	return t
}
