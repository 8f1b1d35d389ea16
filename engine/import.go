package engine

import (
	"bytes"
	"regexp"
	"time"

	"keyfob/engine/tokencode"
	"keyfob/events"
)

// Bounds of the windows that a token's own record may ask for.
const (
	MaxOwnSmall = 20
	MaxOwnLarge = 1000
)

const maxCounter = 1 << 62 // of an event token; windows reach beyond it

var serialForm = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$`)

// ImportToken adds a token. The receiving node has sealed its seed to the
// serial. With a User the token is assigned by the same command.
type ImportToken struct {
	Token events.TokenImported `cbor:"1,keyasint"`
	User  string               `cbor:"2,keyasint,omitempty"`
	PIN   []byte               `cbor:"3,keyasint,omitempty"` // sealed to revision 1, for a token that has a PIN already
	// Activation is used if the token is assigned without a PIN; see ToActivate.
	Activation *ActivationCode `cbor:"4,keyasint,omitempty"`
}

// WithDefaults returns a token with the usual values of its kind in the place
// of empty ones.
func WithDefaults(t events.TokenImported) events.TokenImported {
	if t.Kind == KindOnDemand {
		if t.Digits == 0 {
			t.Digits = DefaultSentDigits
		}
		return t
	}
	p := ParamsOf(t).WithDefaults()
	t.Algorithm, t.Digits, t.Period = string(p.Algorithm), uint8(p.Digits), uint16(p.Period/time.Second)
	if t.PINStyle == "" {
		t.PINStyle = string(tokencode.Fob)
	}
	switch {
	case t.Form != "":
	case t.Kind == string(tokencode.HOTP):
		t.Form = FormEvent
	case t.PINStyle == string(tokencode.PINpad):
		t.Form = FormPINpad
	default:
		t.Form = FormFob
	}
	return t
}

// ParamsOf returns what the algorithms must know of a token.
func ParamsOf(t events.TokenImported) tokencode.Params { return newToken(0, t).params() }

func (c ImportToken) decide(s *State, _ events.Time) ([]events.Event, error) {
	e := c.Token
	if old := s.Token(e.Serial); old != nil {
		if bytes.Equal(old.Seed, e.Sealed) {
			return nil, nil // the same import again
		}
		return nil, refuse(Exists, "token %s already exists", e.Serial)
	}
	t := newToken(0, e)
	if err := t.importable(e); err != nil {
		return nil, err
	}
	facts := []events.Event{e}
	owner := ""
	if c.User != "" {
		u, err := s.mustUser(c.User)
		if err != nil {
			return nil, err
		}
		assigned, err := t.assignTo(u, s.Policy.TokensPerUser)
		if err != nil {
			return nil, err
		}
		facts, owner = append(facts, assigned...), u.Name
	}
	if len(c.PIN) != 0 {
		return append(facts, events.PINSet{Serial: e.Serial, User: owner, Revision: 1, Sealed: c.PIN}), nil
	}
	return t.activate(facts, owner, c.Activation)
}

// importable returns the refusal of a token that cannot be imported, or nil.
func (t *Token) importable(e events.TokenImported) error {
	if !serialForm.MatchString(e.Serial) {
		return refuse(Invalid, "%.80q is not a valid serial: use 1 to 64 letters, digits, dots, dashes or underscores", e.Serial)
	}
	if t.onDemand() {
		if err := badOnDemand(e); err != nil {
			return err
		}
	} else if err := t.params().Validate(); err != nil {
		return refuse(Invalid, "token %s: %v", e.Serial, err)
	}
	style := t.pinStyle()
	if style != tokencode.Fob && style != tokencode.NoPIN && style != tokencode.PINpad || style == tokencode.PINpad && t.Kind != string(tokencode.SecurID) {
		return refuse(Invalid, "token %s: PIN style %[3]q is not possible for a %[2]s token", e.Serial, e.Kind, e.PINStyle)
	}
	if w := t.Window; w != (Window{}) && (w.Small < 0 || w.Small > w.Medium || w.Medium > w.Large || w.Small > MaxOwnSmall || w.Large > MaxOwnLarge) {
		return refuse(Invalid, "token %s: its record asks for windows of %d, %d and %d; want small <= medium <= large, small at most %d and large at most %d",
			e.Serial, w.Small, w.Medium, w.Large, MaxOwnSmall, MaxOwnLarge)
	}
	if len(e.Sealed) == 0 || e.Counter < 0 || e.Counter > maxCounter {
		return refuse(Invalid, "token %s: the seed is missing, or the counter is not between 0 and %d", e.Serial, int64(maxCounter))
	}
	return nil
}
