package main

import (
	"context"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/engine"
	"keyfob/engine/tokenfile"
)

// newToken is api.AddTokenRequest with a seed and a PIN that are really sent.
type newToken struct {
	Reason string `json:"reason"`
	PIN    string `json:"pin,omitempty"`
	tokenRecord
}

// tokenRecord is api.TokenRecord in the same way.
type tokenRecord struct {
	Serial        string       `json:"serial"`
	Kind          string       `json:"kind"`
	Algorithm     string       `json:"algorithm,omitempty"`
	Digits        int          `json:"digits,omitempty"`
	PeriodSeconds int          `json:"period_seconds,omitempty"`
	PINStyle      string       `json:"pin_style,omitempty"`
	Form          string       `json:"form,omitempty"`
	Windows       *api.Windows `json:"windows,omitempty"`
	Seed          string       `json:"seed"`
	Encoding      string       `json:"encoding,omitempty"`
	Counter       int64        `json:"counter,omitempty"`
	Born          *time.Time   `json:"born,omitempty"`
	Expires       *time.Time   `json:"expires,omitempty"`
	PINSource     string       `json:"pin_source,omitempty"`
	User          string       `json:"user,omitempty"`
}

// fromFile is a token as a file describes it, without its owner.
func fromFile(t tokenfile.Token) tokenRecord {
	n := tokenRecord{
		Serial:        t.Serial,
		Kind:          string(t.Params.Kind),
		Algorithm:     string(t.Params.Algorithm),
		Digits:        t.Params.Digits,
		PeriodSeconds: int(t.Params.Period / time.Second),
		PINStyle:      string(t.PINStyle),
		Seed:          hex.EncodeToString(t.Seed),
		Encoding:      "hex",
		Counter:       t.Counter,
	}
	if !t.Born.IsZero() {
		n.Born = &t.Born
	}
	if !t.Expires.IsZero() {
		n.Expires = &t.Expires
	}
	return n
}

func (r *remote) addToken(ctx context.Context, n newToken) (api.GivenToken, error) {
	var t api.GivenToken
	err := r.call(ctx, http.MethodPost, "/tokens", n, &t)
	return t, err
}

func (e *environment) tokenAdd() *cobra.Command {
	r, out := e.remote(), &output{}
	var n newToken
	var secretFile, pinFile string
	var sent onDemandFlags
	c := command("add", "Add a token whose secret is known, such as one from another system, or whose tokencodes are sent", func(c *cobra.Command, _ []string) error {
		n.Reason = r.why(c)
		if n.Kind == engine.KindOnDemand {
			return e.addOnDemand(c.Context(), r, out, n, sent)
		}
		if n.Serial == "" || secretFile == "" || sent.given() {
			return usagef("--kind %s wants --serial and --secret-file, and takes no --mail, --phone or --pin-temporary", n.Kind)
		}
		var err error
		if n.Seed, err = e.readSecret(secretFile); err != nil {
			return err
		}
		if pinFile != "" {
			if n.PIN, err = e.readSecret(pinFile); err != nil {
				return err
			}
		}
		t, err := r.addToken(c.Context(), n)
		if err != nil {
			return err
		}
		if t.User == "" {
			return e.given(out, t, "token %s added; give it to a user with keyfob token assign %s USER", t.Serial, t.Serial)
		}
		return e.given(out, t, "token %s added, belongs to %s; %s", t.Serial, t.User, nextLogin(t))
	})
	f := c.Flags()
	f.StringVar(&n.Serial, "serial", "", "the token's number (ondemand: default made up)")
	f.StringVar(&n.Kind, "kind", "totp", "totp, hotp, securid, or ondemand for tokencodes that are sent")
	f.StringVar(&secretFile, "secret-file", "", "`FILE` with the secret, - for standard input")
	f.StringVar(&n.Encoding, "encoding", "base32", "of the secret: base32 or hex")
	f.IntVar(&n.Digits, "digits", 0, "of a tokencode, 6 to 8 (default 6; securid 8; ondemand 6 to 10, default 8)")
	f.IntVar(&n.PeriodSeconds, "period", 0, "seconds that a tokencode lives, 30 or 60 (default 30; securid 60)")
	f.StringVar(&n.Algorithm, "algorithm", "", "SHA1, SHA256 or SHA512 (default SHA1)")
	f.Int64Var(&n.Counter, "counter", 0, "hotp: the next to be expected")
	f.StringVar(&n.PINStyle, "pin-style", "", "fob, pinpad or none (default fob: PIN, then tokencode)")
	f.StringVar(&n.PINSource, "pin-source", "", "own, generated or either: who makes a new PIN (default as the policy says)")
	f.StringVar(&pinFile, "pin-file", "", "`FILE` with the PIN that the token comes with")
	f.StringVar(&n.User, "user", "", "to whom it is given")
	sent.flags(c)
	return out.flag(r.because(c))
}
