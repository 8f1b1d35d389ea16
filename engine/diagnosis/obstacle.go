package diagnosis

import (
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// Obstacle is something that prevents or complicates the next login of a user.
// The set is closed.
//
//sumtype:decl
type Obstacle interface{ obstacle() }

// The obstacles of a user.
type (
	UserDisabled struct{ User string }

	// UserLocked is a lock of one of the user's failure budgets.
	UserLocked struct {
		User   string
		Budget engine.FailureBudget
		Until  events.Time // zero: until an administrator unlocks the user
	}

	// UserMustWait is the delay after repeated failures.
	UserMustWait struct {
		Budget   engine.FailureBudget
		Until    events.Time
		Failures uint32
	}

	NoToken struct{ User string }

	// SendLimit is the hourly limit of sent tokencodes: no further one is sent
	// before Next.
	SendLimit struct {
		Sent int // in the last hour
		Next events.Time
	}
)

// The obstacles of a token.
type (
	TokenDisabled struct{ Serial string }

	TokenExpired struct {
		Serial string
		At     events.Time
	}

	TokenNotYetValid struct {
		Serial, User string
		From         events.Time
	}

	TokenLost struct {
		Serial    string
		Emergency Emergency
	}

	// TemporaryPINRequired is a token without a PIN that a login could set: an
	// administrator must set a temporary PIN first.
	TemporaryPINRequired struct {
		Serial   string
		OnDemand bool // no tokencode is sent until then
	}

	NextTokencodeRequired struct{ Serial string }
	PINNotSet             struct{ Serial string }
	PINChangeRequired     struct{ Serial string }

	PINExpired struct {
		Serial string
		At     events.Time
	}

	// PINMayBeUnfit is a PIN that was set under less strict rules.
	PINMayBeUnfit struct{ Serial string }

	// UsedAhead is a token whose last used tokencode lies in the future, for
	// example because its clock was set back. None is accepted before From.
	UsedAhead struct {
		Serial     string
		Used, From events.Time
	}

	// TokencodeNotSent is a requested tokencode that was not sent.
	TokencodeNotSent struct {
		Serial string
		At     events.Time
	}
)

func (UserDisabled) obstacle()          {}
func (UserLocked) obstacle()            {}
func (UserMustWait) obstacle()          {}
func (NoToken) obstacle()               {}
func (SendLimit) obstacle()             {}
func (TokenDisabled) obstacle()         {}
func (TokenExpired) obstacle()          {}
func (TokenNotYetValid) obstacle()      {}
func (TokenLost) obstacle()             {}
func (TemporaryPINRequired) obstacle()  {}
func (NextTokencodeRequired) obstacle() {}
func (PINNotSet) obstacle()             {}
func (PINChangeRequired) obstacle()     {}
func (PINExpired) obstacle()            {}
func (PINMayBeUnfit) obstacle()         {}
func (UsedAhead) obstacle()             {}
func (TokencodeNotSent) obstacle()      {}

// Finding is an obstacle of a user.
type Finding struct {
	Obstacle Obstacle
	Blocks   bool // no login succeeds while it lasts
}

// Findings lists the obstacles to the next login of a user.
func Findings(s *engine.State, u *engine.User, now events.Time) []Finding {
	var all []Finding
	add := func(blocks bool, o Obstacle) { all = append(all, Finding{o, blocks}) }
	if u.Disabled {
		add(true, UserDisabled{u.Name})
	}
	for _, budget := range engine.FailureBudgets() {
		switch lock := u.Lock(budget); {
		case lock.Stopped:
			add(true, UserLocked{User: u.Name, Budget: budget})
		case lock.Locked(now):
			add(true, UserLocked{u.Name, budget, lock.Until})
		case lock.Wait > now:
			add(false, UserMustWait{budget, lock.Wait, lock.Failures})
		}
	}
	if len(u.Tokens) == 0 {
		add(true, NoToken{u.Name})
	}
	for _, serial := range u.Tokens {
		t := s.Token(serial)
		if t == nil {
			continue
		}
		blocks := len(u.Tokens) == 1 && t.Unusable(now) != ""
		for _, o := range TokenObstacles(s, t, now) {
			add(blocks, o)
		}
	}
	if sent, next := s.Sending(u, now); !next.IsZero() {
		add(false, SendLimit{sent, next})
	}
	return all
}

// TokenObstacles lists the obstacles to the next login with a token, the most
// serious first.
func TokenObstacles(s *engine.State, t *engine.Token, now events.Time) []Obstacle {
	switch {
	case t.Unusable(now) == events.ReasonTokenDisabled:
		return []Obstacle{TokenDisabled{t.Serial}}
	case t.Unusable(now) == events.ReasonTokenExpired && now < t.Born:
		return []Obstacle{TokenNotYetValid{t.Serial, t.User, t.Born}}
	case t.Unusable(now) == events.ReasonTokenExpired:
		return []Obstacle{TokenExpired{t.Serial, t.Expires}}
	}
	var all []Obstacle
	if t.Lost != nil && (!t.Lost.OwnCount(now) || now < t.Lost.Until) {
		all = append(all, TokenLost{t.Serial, *EmergencyOf(t, now)})
	}
	pin := pinObstacle(s, t, now)
	if _, temporary := pin.(TemporaryPINRequired); temporary {
		all, pin = append(all, pin), nil
	}
	if t.NextTokencode {
		all = append(all, NextTokencodeRequired{t.Serial})
	}
	if pin != nil {
		all = append(all, pin)
	}
	if used, from, ok := t.LastUsedAhead(now); ok && from.After(now.Std().Add(largeWindow(s, t))) {
		all = append(all, UsedAhead{t.Serial, events.At(used), events.At(from)})
	}
	if pin == nil && s.PINDoubted(t) {
		all = append(all, PINMayBeUnfit{t.Serial})
	}
	if !t.NotSent.IsZero() {
		all = append(all, TokencodeNotSent{t.Serial, t.NotSent})
	}
	return all
}

// pinObstacle returns the reason why a new PIN is due, nil if none is.
func pinObstacle(s *engine.State, t *engine.Token, now events.Time) Obstacle {
	if s.Unclaimed(t) {
		return TemporaryPINRequired{t.Serial, t.Kind == engine.KindOnDemand}
	}
	switch s.PINDue(t, now) {
	case "":
		return nil
	case events.ReasonPINNotSet:
		return PINNotSet{t.Serial}
	case events.ReasonPINExpired:
		return PINExpired{t.Serial, s.PINEnds(t)}
	default:
		return PINChangeRequired{t.Serial}
	}
}

// largeWindow returns the length of the token's large window.
func largeWindow(s *engine.State, t *engine.Token) time.Duration {
	return time.Duration(t.WindowIn(s.Policy).Large) * time.Duration(t.Period) * time.Second
}
