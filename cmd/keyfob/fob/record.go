package fob

import (
	"encoding/hex"
	"time"

	"keyfob/api"
	"keyfob/engine/tokenfile"
)

// Record describes a token for the API, without its owner.
func Record(t tokenfile.Token) api.TokenRecord {
	n := api.TokenRecord{
		Serial:        t.Serial,
		Kind:          string(t.Params.Kind),
		Algorithm:     string(t.Params.Algorithm),
		Digits:        t.Params.Digits,
		PeriodSeconds: int(t.Params.Period / time.Second),
		PINStyle:      string(t.PINStyle),
		Seed:          api.Secret(hex.EncodeToString(t.Seed)),
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
