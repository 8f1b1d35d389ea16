package nodetest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Notes seals notes for cookies as a cluster does: without the key, nobody can
// make one. The text is readable.
type Notes struct{}

// SealNote returns the text with its tag.
func (Notes) SealNote(kind, text string) string {
	return hex.EncodeToString([]byte(text)) + "." + noteTag(kind, text)
}

// OpenNote opens what SealNote sealed.
func (Notes) OpenNote(kind, sealed string) (text string, ok bool) {
	body, tag, _ := strings.Cut(sealed, ".")
	plain, err := hex.DecodeString(body)
	if err != nil || !hmac.Equal([]byte(tag), []byte(noteTag(kind, string(plain)))) {
		return "", false
	}
	return string(plain), true
}

func noteTag(kind, text string) string {
	h := hmac.New(sha256.New, []byte("the key of the cluster in tests"))
	h.Write([]byte(kind + "\x00" + text))
	return hex.EncodeToString(h.Sum(nil))
}
