package diagnosis

import (
	"keyfob/engine"
	"keyfob/events"
)

// Emergency is what applies while a token is reported lost.
type Emergency struct {
	Since, Until events.Time // of the emergency tokencodes
	Over         bool        // Until has passed
	None         bool        // no emergency tokencodes were given out
	Fixed        bool        // one tokencode that is valid until Until
	Given        int         // zero: not known
	Used         int
	Left         int // still valid; meaningful if Counted
	Counted      bool
	Found        string // what the token's own tokencodes do: see engine.Lost
	OwnAccepted  bool   // the token's own tokencodes are accepted now
	OnDemand     bool   // the token's own tokencodes are sent
}

// EmergencyOf describes a lost token; nil if the token is not lost.
func EmergencyOf(t *engine.Token, now events.Time) *Emergency {
	l := t.Lost
	if l == nil {
		return nil
	}
	e := Emergency{
		Since: l.Since, Until: l.Until, Over: now >= l.Until, None: len(l.Sealed) == 0, Fixed: l.Fixed,
		Given: int(l.Given), Used: len(l.Used), Found: l.Found, OwnAccepted: l.OwnCount(now), OnDemand: t.Kind == engine.KindOnDemand,
	}
	e.Left, e.Counted = l.Left(now)
	return &e
}
