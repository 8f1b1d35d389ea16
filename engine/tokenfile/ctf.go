package tokenfile

import (
	"encoding/base64"
	"io"
	"net/url"
	"strings"
	"time"

	"keyfob/engine/tokencode"
)

const (
	ctfMarker   = "ctfData="
	ctkipMarker = "ctkip"
	ctfLink     = "com.rsa.securid://ctf?ctfData="

	maxCTFPassword = 40 // bytes
)

// deviceClasses are the IDs that mean "any device of this kind". They are public, so a
// token bound to one of them is read without asking for a device ID.
var deviceClasses = []string{
	"556f1985-33dd-442c-9155-3a0e994f21b1", // iPhone
	"a01c4380-fc01-4df0-b113-7fb98ec74694", // Android
	"868c28f8-31bf-4911-9876-ebece5c3f2ab", // BlackBerry
	"b77a1d06-d505-4200-90d3-1bb397748704", // BlackBerry 10
	"c483b592-63f0-4f19-b4cb-a6bce8e57159", // Windows Phone
	"8f94b226-d362-4204-ac52-3b21fa333b6f", // Windows
	"d0955a53-569b-4ecc-9cf7-6c2a59d4e775", // macOS
}

// deviceIDs returns the device IDs to try for a bound token.
func deviceIDs(o Options) []string {
	if o.DeviceID != "" {
		return []string{o.DeviceID}
	}
	return deviceClasses
}

func errDevice(o Options) error {
	if o.DeviceID == "" {
		return ErrDevice.because("the token is bound to one device; give the device ID that its app shows")
	}
	return ErrDevice.because("the token is bound to a device other than the given device ID")
}

// needPassword refuses a password that no CTF string can have.
func needPassword(o Options) error {
	switch {
	case o.Password == "":
		return ErrNeedPassword.because("the token is protected by a password")
	case len(o.Password) > maxCTFPassword:
		return ErrWrongPassword.because("the password is longer than the %d bytes that a CTF string can have", maxCTFPassword)
	default:
		return nil
	}
}

// readCTF reads a list of CTF strings or links, or a mail that contains them.
// Other lines are skipped, with a note.
func readCTF(in *lines, c *collector) error {
	prose := 0
	for {
		line, ok := in.next()
		if !ok {
			break
		}
		number := in.number
		line = joinSoftBreaks(line, in)
		if !holdsCTF(line) {
			prose++
			continue
		}
		tok, err := parseCTF(line, c.options)
		if err := c.take(tok, number, err); err != nil {
			return err
		}
	}
	if prose > 0 {
		c.note("lines without a token were skipped")
	}
	return in.err()
}

// joinSoftBreaks removes the soft line breaks that email (RFC 2045, section 6.7) inserts
// into a link. A broken line ends with "=". The "=" of the link marker is kept.
func joinSoftBreaks(line string, in *lines) string {
	if indexFold(line, ctfMarker) < 0 {
		return line
	}
	var whole strings.Builder
	for strings.HasSuffix(line, "=") && whole.Len() < maxURI {
		if !hasSuffixFold(line, ctfMarker) {
			line = line[:len(line)-1]
		}
		whole.WriteString(line)
		line, _ = in.next() // empty at the end
	}
	return whole.String() + line
}

func holdsCTF(line string) bool {
	return indexFold(line, ctfMarker) >= 0 || indexFold(line, ctkipMarker) >= 0 || isBareCTF(line)
}

// isBareCTF distinguishes a CTF string from prose and CSV: it consists of digits
// and dashes, or base64 of the length that v3 and v4 have.
func isBareCTF(line string) bool {
	if len(line) == 4*ctf3Size/3 && (line[0] == 'A' || line[0] == 'B') {
		return strings.Trim(line, base64Chars) == ""
	}
	return len(line) >= 20 && strings.Trim(line, "0123456789- ") == ""
}

const base64Chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_="

// parseCTF reads the CTF string in text. On error the token may still carry the
// serial, if it is known.
func parseCTF(text string, o Options) (Token, error) {
	payload, phone, err := ctfPayload(text)
	if err != nil {
		return Token{}, err
	}
	var tok Token
	switch payload[0] {
	case '2':
		tok, err = readCTF2(ctfDigits(payload), phone, o)
	case '1':
		err = ErrUnsupported.because("CTF strings of version 1 are not supported; ask for version 2 or an sdtid file")
	default:
		tok, err = readCTF3(payload, o)
	}
	if err != nil {
		return tok, err
	}
	return tok, finish(&tok)
}

// ctfPayload extracts the string from its wrapper. A link contains the smartphone
// variant, which uses more of the device ID.
func ctfPayload(text string) (payload string, phone bool, err error) {
	if i := indexFold(text, ctfMarker); i >= 0 {
		payload, phone = text[i+len(ctfMarker):], true
		if hasPrefixFold(payload, "3D") { // "=" as quoted-printable writes it
			payload = payload[2:]
		}
	} else if indexFold(text, ctkipMarker) >= 0 {
		return "", false, ErrUnsupported.because("this is a CT-KIP link, which contains the address of a server instead of a seed")
	} else {
		payload = strings.TrimSpace(text)
	}
	if payload == "" || !strings.ContainsRune("12AB", rune(payload[0])) {
		return "", false, ErrFormat.because("this is not a CTF string; those begin with 2, A or B")
	}
	return payload, phone, nil
}

// ctfDigits removes dashes and stops at the first other character that is no digit.
func ctfDigits(payload string) string {
	var digits strings.Builder
	for _, r := range payload {
		switch {
		case r >= '0' && r <= '9':
			digits.WriteRune(r)
		case r != '-' && r != ' ':
			return digits.String()
		}
	}
	return digits.String()
}

// ctfBase64 decodes versions 3 and 4: percent-encoded, where a bare + is a +;
// the URL-safe alphabet is taken as a courtesy.
func ctfBase64(payload string) ([]byte, error) {
	if end := strings.IndexAny(payload, " \t&\"'<>)"); end >= 0 {
		payload = payload[:end]
	}
	text, err := url.PathUnescape(payload)
	if err != nil {
		return nil, ErrFormat.because("the CTF string is damaged: its percent-encoding is broken")
	}
	text = strings.NewReplacer("-", "+", "_", "/", "\r", "", "\n", "").Replace(text)
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(data) != ctf3Size {
		return nil, ErrFormat.because("the CTF string is damaged: it should be %d characters of base64", 4*ctf3Size/3)
	}
	return data, nil
}

// CTFOptions configures WriteCTF.
type CTFOptions struct {
	Version  int    // 2, 3 or 4; stoken of Debian 12 reads no 4
	Password Secret // protects the seed; at most 40 bytes; empty: no password
	DeviceID string // binds the token to a device; empty: not bound
	Link     bool   // write a link for phones; always set for versions 3 and 4
}

// WriteCTF writes a SecurID token as a CTF string. Versions 3 and 4 read 16 bytes from
// entropy. Version 2 reads none, and its checks have only 15 bits. A token without an
// expiry date gets the last date that the version can hold.
func WriteCTF(t Token, o CTFOptions, entropy io.Reader) (string, error) {
	if t.Params.Kind != tokencode.SecurID {
		return "", ErrUnsupported.because("a CTF string can contain only SecurID tokens, not %s", t.Params.Kind)
	}
	if _, err := tokencode.New(t.Params, t.Seed); err != nil {
		return "", ErrUnsupported.because("%v", err)
	}
	if len(o.Password) > maxCTFPassword {
		return "", ErrUnsupported.because("the password of a CTF string has at most %d bytes", maxCTFPassword)
	}
	switch o.Version {
	case 2:
		return writeCTF2(t, o)
	case 3, 4:
		return writeCTF3(t, o, entropy)
	default:
		return "", ErrUnsupported.because("CTF version %d cannot be written; choose 2, 3 or 4", o.Version)
	}
}

// serial12 is the serial with 12 digits.
func serial12(s string) string {
	return strings.Repeat("0", max(0, 12-len(s))) + s
}

func seconds(p tokencode.Params) int { return int(p.Period / time.Second) }
