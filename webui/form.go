package webui

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"keyfob/engine"
	"keyfob/events"
)

// maxBody is the largest form in bytes.
const maxBody = 8 << 10

// form is the content of a POST. Fields that were not sent are empty.
type form struct {
	user      string
	passcode  engine.Secret
	tokencode engine.Secret
	pin       engine.Secret
	pinAgain  engine.Secret
	choice    engine.Choice
	request   string // 32 hexadecimal digits, or empty
	hasNext   bool   // there was a field for the next tokencode
	more      bool   // asks for more time
}

// fieldLimits lists the fields and their largest size in bytes.
var fieldLimits = map[string]int{
	"user":      256,
	"passcode":  128,
	"tokencode": 128,
	"pin":       128,
	"pin_again": 128,
	"choice":    16,
	"request":   32,
	"more":      1,
}

// readForm reads a form as our own pages send it. Anything that a browser cannot
// have made from one of our pages is an error. Unknown fields are ignored.
func readForm(w http.ResponseWriter, r *http.Request) (form, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return form{}, errors.New("content type is not that of a form")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return form{}, fmt.Errorf("reading form: %w", err)
	}
	return parseForm(string(body))
}

func parseForm(body string) (form, error) {
	values, err := url.ParseQuery(body)
	if err != nil {
		// The error would quote the form, and so a passcode.
		return form{}, errors.New("form is not URL-encoded")
	}
	for name, limit := range fieldLimits {
		if err := checkField(values[name], limit); err != nil {
			return form{}, fmt.Errorf("field %s: %w", name, err)
		}
	}
	f := form{
		user:      strings.TrimSpace(values.Get("user")),
		passcode:  digitsTogether(values.Get("passcode")),
		tokencode: digitsTogether(values.Get("tokencode")),
		pin:       engine.Secret(values.Get("pin")),
		pinAgain:  engine.Secret(values.Get("pin_again")),
		choice:    engine.Choice(values.Get("choice")),
		request:   values.Get("request"),
		hasNext:   values.Has("tokencode"),
		more:      values.Get("more") != "",
	}
	switch f.choice {
	case engine.ChoiceNone, engine.ChoiceOwn, engine.ChoiceGenerated:
	default:
		return form{}, errors.New("field choice: unknown value")
	}
	if !isRequest(f.request) {
		return form{}, errors.New("field request: not 32 hexadecimal digits")
	}
	return f, nil
}

func checkField(values []string, limit int) error {
	switch {
	case len(values) == 0:
		return nil
	case len(values) > 1:
		return errors.New("sent more than once")
	case len(values[0]) > limit:
		return fmt.Errorf("longer than %d bytes", limit)
	case !utf8.ValidString(values[0]):
		return errors.New("not UTF-8")
	case strings.ContainsFunc(values[0], unicode.IsControl):
		return errors.New("contains control characters")
	}
	return nil
}

// digitsTogether removes the spaces and hyphens that tokens and apps put between
// the digits of a tokencode. Neither can be part of a PIN.
func digitsTogether(typed string) engine.Secret {
	return engine.Secret(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '-' {
			return -1
		}
		return r
	}, typed))
}

func isRequest(text string) bool {
	if text == "" {
		return true
	}
	_, err := hex.DecodeString(text)
	return err == nil && len(text) == 32 && strings.ToLower(text) == text
}

// attempt makes the engine's attempt from the form. Its request id depends on
// the form's random number and content, so sending the same form again, to any
// node, gets the answer that was decided. Going back in the browser's history
// and changing the form makes another request.
//
// The random number is the key of the hash. The id is written to the log, and
// passcodes cannot be tested against it without the key.
func (f form) attempt(path, conversation string) (engine.Attempt, bool) {
	a := engine.Attempt{
		User:         f.user,
		Choice:       f.choice,
		Conversation: conversation,
	}
	switch path {
	case pathSignIn, pathLogin:
		a.Typed = f.passcode
	case pathNext:
		a.Typed = f.tokencode
	case pathResync:
		a.Typed, a.Again, a.Purpose = f.passcode, f.tokencode, engine.ToResynchronize
	case pathCaller:
		a.Typed, a.Purpose = f.tokencode, engine.ToProveCaller
	case pathPIN:
		a.Typed, a.Again = f.pin, f.pinAgain
	}
	if f.more {
		a = engine.Attempt{Purpose: engine.ToExtend, Conversation: conversation}
	}
	if f.request == "" {
		return a, false
	}
	mac := hmac.New(sha256.New, []byte(f.request))
	for _, part := range []string{path, a.User, a.Typed.Reveal(), a.Again.Reveal(), string(a.Choice), conversation, string(a.Purpose)} {
		_ = binary.Write(mac, binary.BigEndian, uint32(len(part)))
		_, _ = io.WriteString(mac, part)
	}
	a.Origin.Request = events.Request(mac.Sum(nil)[:16])
	return a, true
}
