package api

import (
	"context"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"keyfob/engine"
	"keyfob/engine/tokencode"
	"keyfob/events"
)

// AddTokenRequest imports one token, optionally with its PIN. The node that is
// asked seals the seed and the PIN before it passes them on.
type AddTokenRequest struct {
	CommandRequest
	TokenRecord
	PIN Secret `json:"pin,omitempty" maxLength:"64" doc:"The PIN of a token that comes from another system with its PIN."`
}

// TokenRecord describes a token with its seed.
type TokenRecord struct {
	Serial        string     `json:"serial" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9._-]+$"`
	Kind          string     `json:"kind" enum:"totp,hotp,securid"`
	Algorithm     string     `json:"algorithm,omitempty" enum:"SHA1,SHA256,SHA512" doc:"TOTP and HOTP; default SHA1."`
	Digits        int        `json:"digits,omitempty" minimum:"6" maximum:"8" doc:"Default 6; SecurID: 8."`
	PeriodSeconds int        `json:"period_seconds,omitempty" enum:"30,60" doc:"Default 30; SecurID: 60."`
	PINStyle      string     `json:"pin_style,omitempty" enum:"fob,pinpad,none" doc:"Default fob: PIN, then tokencode."`
	Form          string     `json:"form,omitempty" enum:"fob,pinpad,app,event" doc:"The windows that apply; default by kind and PIN style."`
	Windows       *Windows   `json:"windows,omitempty" doc:"Windows of this token, instead of those of its form."`
	Seed          Secret     `json:"seed" minLength:"1" maxLength:"600" doc:"In the given encoding. At least seed.min bits."`
	Encoding      string     `json:"encoding,omitempty" enum:"base32,hex" doc:"Of the seed; default base32."`
	Counter       int64      `json:"counter,omitempty" minimum:"0" doc:"HOTP: the next counter value."`
	Flags         uint32     `json:"flags,omitempty" doc:"SecurID flags."`
	Born          *time.Time `json:"born,omitempty"`
	Expires       *time.Time `json:"expires,omitempty"`
	PINSource     string     `json:"pin_source,omitempty" enum:"own,generated,either" doc:"Who makes a new PIN; default: pin.source of the policy."`
	User          string     `json:"user,omitempty" maxLength:"256" doc:"Assign the token to this user."`
}

// Windows are the distances from the expected interval, in either direction, up to
// which a tokencode is accepted.
type Windows struct {
	Small  int64 `json:"small" minimum:"0" doc:"Accepted."`
	Medium int64 `json:"medium" minimum:"0" doc:"Accepted with the next tokencode."`
	Large  int64 `json:"large" minimum:"0" doc:"Accepted with the next tokencode in Next Tokencode mode."`
}

type addTokenInput struct{ Body AddTokenRequest }

func (a *API) addToken(ctx context.Context, in *addTokenInput) (*answer[GivenToken], error) {
	n := in.Body
	checked, err := n.check(a.cfg.Node.State().Policy)
	if err != nil {
		return nil, err
	}
	defer clear(checked.seed)
	if a.cfg.Node.State().Token(n.Serial) != nil { // before the cost of Argon2id
		return nil, &engine.Refusal{Code: engine.Exists, Text: "token " + n.Serial + " already exists"}
	}
	if n.PIN != "" && (n.User == "" || n.PINStyle == string(tokencode.NoPIN)) {
		return nil, invalid("token " + n.Serial + ": a PIN needs a user, and a PIN style other than none")
	}
	command, err := a.seal(checked)
	if err != nil {
		return nil, err
	}
	if n.PIN != "" {
		const first = 1 // revision of the PIN of an imported token
		if command.PIN, err = a.sealPIN(ctx, n.Serial, checked.token.PINStyle, first, engine.Secret(n.PIN)); err != nil {
			return nil, err
		}
	}
	return a.giveOut(ctx, n.Reason, command, n.Serial)
}

// checkedToken is a token to be imported: complete and checked, its seed not yet
// sealed.
type checkedToken struct {
	token events.TokenImported
	user  string
	seed  []byte
}

// check checks a record. Its error is a refusal that does not repeat the seed.
func (n TokenRecord) check(p engine.Policy) (checkedToken, error) {
	r := checkedToken{token: engine.WithDefaults(n.imported())}
	if n.User != "" {
		r.user = canonical(n.User)
	}
	var err error
	if r.seed, err = n.decode(); err == nil {
		_, err = tokencode.New(engine.ParamsOf(r.token), r.seed)
	}
	if bits := 8 * len(r.seed); err == nil && bits < p.SeedMin {
		err = fmt.Errorf("its seed has %d bits, less than the %d that seed.min requires; use a token with a longer seed", bits, p.SeedMin)
	}
	if err != nil {
		clear(r.seed)
		return checkedToken{}, &engine.Refusal{Code: engine.Invalid, Text: "token " + n.Serial + ": " + err.Error()}
	}
	return r, nil
}

// seal returns the command that imports the token.
func (a *API) seal(r checkedToken) (engine.ImportToken, error) {
	c := engine.ImportToken{Token: r.token, User: r.user}
	var err error
	c.Token.Sealed, err = a.cfg.Seal.SealSeed(r.token.Serial, engine.Secret(r.seed))
	return c, err
}

// sealPIN seals a PIN as the token's style needs it.
func (a *API) sealPIN(ctx context.Context, serial, style string, revision uint64, pin engine.Secret) ([]byte, error) {
	if style == string(tokencode.PINpad) {
		return a.cfg.Seal.SealPINpad(serial, revision, pin)
	}
	return a.cfg.Seal.SealPIN(ctx, serial, revision, pin)
}

// decode returns the bytes of the seed. Base32 may be in groups, in lower case and
// without padding.
func (n TokenRecord) decode() ([]byte, error) {
	text := strings.Join(strings.Fields(n.Seed.Reveal()), "")
	if n.Encoding == "hex" {
		seed, err := hex.DecodeString(text)
		if err != nil {
			return nil, errNotEncoded("hex")
		}
		return seed, nil
	}
	text = strings.ToUpper(strings.TrimRight(strings.ReplaceAll(text, "-", ""), "="))
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(text)
	if err != nil {
		return nil, errNotEncoded("base32")
	}
	return seed, nil
}

// errNotEncoded replaces the error of the decoder, which may quote the seed.
type errNotEncoded string

func (e errNotEncoded) Error() string { return "seed is not " + string(e) }

func (n TokenRecord) imported() events.TokenImported {
	e := events.TokenImported{
		Serial:    n.Serial,
		Kind:      n.Kind,
		Algorithm: n.Algorithm,
		Digits:    uint8(n.Digits),         //nolint:gosec // the schema bounds it
		Period:    uint16(n.PeriodSeconds), //nolint:gosec // the schema bounds it
		PINStyle:  n.PINStyle,
		Form:      n.Form,
		Counter:   n.Counter,
		Flags:     n.Flags,
		PINSource: n.PINSource,
	}
	if w := n.Windows; w != nil {
		e.Small, e.Medium, e.Large = w.Small, w.Medium, w.Large
	}
	if n.Born != nil {
		e.Born = events.At(*n.Born)
	}
	if n.Expires != nil {
		e.Expires = events.At(*n.Expires)
	}
	return e
}
