package cli

import (
	"context"
	"encoding/hex"
	"net/http"
	"time"

	"keyfob/api"
	"keyfob/engine/tokenfile"
)

// NewToken is api.AddTokenRequest with a seed and a PIN that are really sent.
type NewToken struct {
	Reason string `json:"reason"`
	PIN    string `json:"pin,omitempty"`
	TokenRecord
}

// TokenRecord is api.TokenRecord in the same way.
type TokenRecord struct {
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

// FromFile is a token as a file describes it, without its owner.
func FromFile(t tokenfile.Token) TokenRecord {
	n := TokenRecord{
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

func (r *Remote) AddToken(ctx context.Context, n NewToken) (api.GivenToken, error) {
	var t api.GivenToken
	err := r.Call(ctx, http.MethodPost, "/tokens", n, &t)
	return t, err
}
