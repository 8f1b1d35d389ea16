package api

import (
	"time"

	"keyfob/engine"
	"keyfob/engine/diagnosis"
	"keyfob/events"
)

// Token is a token without its secrets.
type Token struct {
	Serial        string           `json:"serial"`
	Kind          string           `json:"kind" enum:"totp,hotp,securid,ondemand"`
	Algorithm     string           `json:"algorithm,omitempty"`
	Digits        int              `json:"digits"`
	PeriodSeconds int              `json:"period_seconds,omitempty" doc:"Lifetime of a tokencode; absent for event tokens."`
	PINStyle      string           `json:"pin_style,omitempty"`
	Form          string           `json:"form,omitempty" doc:"Selects the windows of the policy."`
	Windows       *Windows         `json:"windows,omitempty" doc:"The windows that apply now."`
	OwnWindows    bool             `json:"own_windows,omitempty" doc:"The windows are those of the token's own record, not of the policy."`
	User          string           `json:"user,omitempty"`
	State         string           `json:"state" doc:"What happens to the token at the next login, in a word or two."`
	Mode          string           `json:"mode" enum:"normal,new_pin,next_tokencode" doc:"What the next login asks for first. A token whose PIN has expired is in new_pin."`
	Disabled      bool             `json:"disabled"`
	LostUntil     *time.Time       `json:"lost_until,omitempty" doc:"Reported lost; the emergency tokencodes end at this time."`
	Emergency     *EmergencyAccess `json:"emergency,omitempty" doc:"What applies while the token is lost."`
	ReplacedBy    string           `json:"replaced_by,omitempty" doc:"Serial of the token that takes its place at its first successful login."`
	Exposed       bool             `json:"exposed,omitempty" doc:"Its seed was in the cluster while a node was a member that has been removed since."`
	Replaces      string           `json:"replaces,omitempty" doc:"Serial of the token whose place it takes at its first successful login."`
	HasPIN        bool             `json:"has_pin"`
	Unclaimed     bool             `json:"unclaimed,omitempty" doc:"Assigned without a PIN that a login could set: it needs a temporary PIN, as an activation code or before tokencodes are sent."`
	PINSetAt      *time.Time       `json:"pin_set_at,omitempty"`
	PINTemporary  bool             `json:"pin_temporary,omitempty" doc:"Temporary PIN or activation code, which must be changed."`
	PINDue        string           `json:"pin_due,omitempty" enum:"pin_not_set,pin_change_required,pin_expired" doc:"Why the next login asks for a new PIN."`
	PINDoubted    bool             `json:"pin_doubted,omitempty" doc:"The next login may ask for a new PIN: this one was set under less strict rules."`
	PINExpires    *time.Time       `json:"pin_expires,omitempty" doc:"When the PIN expires or expired."`
	PINSource     string           `json:"pin_source,omitempty" doc:"Who makes a new PIN; absent: as in the policy."`
	PINMadeBy     string           `json:"pin_made_by" enum:"own,generated,either" doc:"Who makes a new PIN under the present policy."`
	Drift         int64            `json:"drift" doc:"Estimated drift in intervals."`
	Last          int64            `json:"last" doc:"Last used interval, or press of an event token. Tokencodes up to it are not accepted again."`
	LastShown     *time.Time       `json:"last_shown,omitempty" doc:"Time of the last used interval, by the token's clock."`
	AcceptedFrom  *time.Time       `json:"accepted_from,omitempty" doc:"The last used interval lies in the future: if the clock is right, no tokencode is accepted before this time."`
	Proven        bool             `json:"proven" doc:"The token has been used successfully."`
	LastUse       *time.Time       `json:"last_use,omitempty"`
	Born          *time.Time       `json:"born,omitempty"`
	Expires       *time.Time       `json:"expires,omitempty"`
	Imported      *time.Time       `json:"imported,omitempty"`
}

// EmergencyAccess is what applies while a token is lost.
type EmergencyAccess struct {
	Since *time.Time `json:"since,omitempty"`
	Until *time.Time `json:"until" doc:"When the emergency tokencodes end."`
	Over  bool       `json:"over,omitempty" doc:"The emergency tokencodes have ended."`
	Fixed bool       `json:"fixed,omitempty" doc:"One tokencode that is valid until the end; otherwise each is valid once."`
	Given int        `json:"given,omitempty" doc:"Number of emergency tokencodes issued; absent: none, or not known."`
	Left  *int       `json:"left,omitempty" doc:"Number of emergency tokencodes left; absent: not known."`
	Found string     `json:"found" enum:"refuse,allow,after" doc:"What the token's own tokencodes do. refuse: refused until the token is found; allow: accepted, and end the emergency access; after: refused until the emergency access ends."`
	Own   bool       `json:"own_accepted" doc:"The token's own tokencodes are accepted now."`
	Words string     `json:"words" doc:"The same as a sentence."`
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
		Exposed:       s.Exposed(t),
		ReplacedBy:    s.ReplacedBy(t),
		Emergency:     viewEmergencyAccess(t, now),
	}
	if t.Kind != engine.KindOnDemand {
		w := Windows(t.WindowIn(s.Policy))
		v.Form, v.Windows = t.FormIn(s.Policy), &w
	}
	if t.Period != 0 && t.Last > 0 {
		shown := t.Shown(t.Last)
		v.LastShown = &shown
	}
	if _, from, ok := t.LastUsedAhead(now); ok {
		v.AcceptedFrom = &from
	}
	if t.Lost != nil {
		v.LostUntil = instant(t.Lost.Until)
	}
	return v
}

func viewEmergencyAccess(t *engine.Token, now events.Time) *EmergencyAccess {
	e := diagnosis.EmergencyOf(t, now)
	if e == nil {
		return nil
	}
	v := EmergencyAccess{
		Since: instant(e.Since), Until: instant(e.Until), Over: e.Over, Fixed: e.Fixed, Given: e.Given,
		Found: e.Found, Own: e.OwnAccepted, Words: emergencyWords(*e),
	}
	if e.Counted {
		v.Left = &e.Left
	}
	return &v
}
