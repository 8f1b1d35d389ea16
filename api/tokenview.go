package api

import (
	"time"

	"keyfob/engine"
	"keyfob/engine/diagnosis"
	"keyfob/events"
)

// Token is a token as administrators see it. It has no seed and no PIN.
type Token struct {
	Serial        string     `json:"serial"`
	Kind          string     `json:"kind" enum:"totp,hotp,securid,ondemand"`
	Algorithm     string     `json:"algorithm,omitempty"`
	Digits        int        `json:"digits"`
	PeriodSeconds int        `json:"period_seconds,omitempty" doc:"A tokencode's life; absent for event tokens."`
	PINStyle      string     `json:"pin_style,omitempty"`
	Form          string     `json:"form,omitempty" doc:"Which windows apply."`
	Windows       *Windows   `json:"windows,omitempty" doc:"That apply now."`
	OwnWindows    bool       `json:"own_windows,omitempty" doc:"They are those of the token's own record, not of the policy."`
	User          string     `json:"user,omitempty"`
	State         string     `json:"state" doc:"In words: what becomes of the token at the next login."`
	Mode          string     `json:"mode" enum:"normal,new_pin,next_tokencode" doc:"What the next login will ask for."`
	Disabled      bool       `json:"disabled"`
	LostUntil     *time.Time `json:"lost_until,omitempty" doc:"It is not with its owner; emergency tokencodes end then."`
	Emergency     *Stopgap   `json:"emergency,omitempty" doc:"What holds while it is not with its owner."`
	ReplacedBy    string     `json:"replaced_by,omitempty" doc:"Serial of the token that takes its place at that one's first success."`
	Replaces      string     `json:"replaces,omitempty" doc:"Serial of the token whose place it takes at its first success."`
	HasPIN        bool       `json:"has_pin"`
	Unclaimed     bool       `json:"unclaimed,omitempty" doc:"It has no PIN, and no login sets one: it needs a temporary one, as an activation code or before anything is sent."`
	PINSetAt      *time.Time `json:"pin_set_at,omitempty"`
	PINTemporary  bool       `json:"pin_temporary,omitempty" doc:"An administrator set it, or it is an activation code: it is to be changed."`
	PINDue        string     `json:"pin_due,omitempty" enum:"pin_not_set,pin_change_required,pin_expired" doc:"Why the next login asks for a new PIN."`
	PINDoubted    bool       `json:"pin_doubted,omitempty" doc:"The next login may ask for a new PIN: this one was set under looser rules than those of now."`
	PINExpires    *time.Time `json:"pin_expires,omitempty" doc:"When the PIN will be, or became, too old."`
	PINSource     string     `json:"pin_source,omitempty" doc:"Who makes a new PIN; absent: as the policy says."`
	PINMadeBy     string     `json:"pin_made_by" enum:"own,generated,either" doc:"The same, as the policy stands."`
	Drift         int64      `json:"drift" doc:"Intervals that the token's clock is believed to be off."`
	Last          int64      `json:"last" doc:"The last interval used, or the last press of an event token; nothing up to it is accepted again."`
	LastShown     *time.Time `json:"last_shown,omitempty" doc:"The time that the last interval used stood for, by the token's clock."`
	AcceptedFrom  *time.Time `json:"accepted_from,omitempty" doc:"The last interval used lies ahead: if the clock is right, nothing that the token shows before is accepted."`
	Proven        bool       `json:"proven" doc:"It has been seen to be right once."`
	LastUse       *time.Time `json:"last_use,omitempty"`
	Born          *time.Time `json:"born,omitempty"`
	Expires       *time.Time `json:"expires,omitempty"`
	Imported      *time.Time `json:"imported,omitempty"`
}

// Stopgap is what holds while a token is not with its owner.
type Stopgap struct {
	Since *time.Time `json:"since,omitempty"`
	Until *time.Time `json:"until" doc:"When the emergency tokencodes end."`
	Over  bool       `json:"over,omitempty" doc:"They have."`
	Fixed bool       `json:"fixed,omitempty" doc:"One tokencode that is good until the end; otherwise each is good once."`
	Given int        `json:"given,omitempty" doc:"How many were given out; absent: none, or it is not known."`
	Left  *int       `json:"left,omitempty" doc:"How many are still good; absent: it is not known."`
	Found string     `json:"found" enum:"refuse,allow,after" doc:"What the token's own tokencodes do: nothing until it is found; let in and end the emergency; nothing until the emergency is over."`
	Own   bool       `json:"own_accepted" doc:"Its own tokencodes are accepted now."`
	Words string     `json:"words" doc:"The same, to be read out."`
}

// Modes of a token.
const (
	ModeNormal        = string(engine.ModeNormal)
	ModeNewPIN        = string(engine.ModeNewPIN)
	ModeNextTokencode = string(engine.ModeNextTokencode)
)

func viewToken(s *engine.State, t *engine.Token, now events.Time) Token {
	v := Token{
		Serial:        t.Serial,
		Kind:          t.Kind,
		Algorithm:     t.Algorithm,
		Digits:        int(t.Digits),
		PeriodSeconds: int(t.Period),
		PINStyle:      t.PINStyle,
		OwnWindows:    t.Window != engine.Window{},
		User:          t.User,
		State:         tokenState(s, t, now),
		Mode:          string(s.Mode(t, now)),
		Disabled:      t.Disabled,
		HasPIN:        len(t.PIN) > 0,
		Unclaimed:     s.Unclaimed(t),
		PINSetAt:      instant(t.PINSetAt),
		PINTemporary:  t.Temporary && t.NewPIN,
		PINDue:        string(s.PINDue(t, now)),
		PINDoubted:    s.PINDoubted(t),
		PINExpires:    instant(s.PINEnds(t)),
		PINSource:     string(t.PINSource),
		PINMadeBy:     string(t.PINSourceIn(s.Policy)),
		Drift:         t.Drift,
		Last:          t.Last,
		Proven:        t.Proven,
		LastUse:       instant(t.LastUse),
		Born:          instant(t.Born),
		Expires:       instant(t.Expires),
		Imported:      instant(t.Imported),
		Replaces:      t.Replaces,
		ReplacedBy:    s.ReplacedBy(t),
		Emergency:     viewStopgap(t, now),
	}
	if t.Kind != engine.KindOnDemand {
		w := Windows(t.WindowIn(s.Policy))
		v.Form, v.Windows = t.FormIn(s.Policy), &w
	}
	if t.Period != 0 && t.Last > 0 {
		shown := t.Shown(t.Last)
		v.LastShown = &shown
	}
	if _, from, ok := t.MarkAhead(now); ok {
		v.AcceptedFrom = &from
	}
	if t.Lost != nil {
		v.LostUntil = instant(t.Lost.Until)
	}
	return v
}

func viewStopgap(t *engine.Token, now events.Time) *Stopgap {
	e := diagnosis.EmergencyOf(t, now)
	if e == nil {
		return nil
	}
	v := Stopgap{
		Since: instant(e.Since), Until: instant(e.Until), Over: e.Over, Fixed: e.Fixed, Given: e.Given,
		Found: e.Found, Own: e.OwnAccepted, Words: emergencyWords(*e),
	}
	if e.Counted {
		v.Left = &e.Left
	}
	return &v
}
