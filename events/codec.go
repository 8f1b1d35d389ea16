package events

import "encoding/hex"

const timeFormat = "2006-01-02T15:04:05.000Z"

func hexString(b []byte) string { return hex.EncodeToString(b) }

func decodeBody[T Event](b []byte) (Event, error) {
	var v T
	return v, nil
}
