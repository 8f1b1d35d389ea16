package tokenfile

import (
	"crypto/aes"
	"encoding/base64"
	"strconv"
	"time"

	"keyfob/engine/tokencode"
)

// sdtidBatch is a file: a header with defaults, then tokens.
type sdtidBatch struct {
	header sdtidFields
	keys   *sdtidKeys // nil until a password is verified
	read   int
}

// readSDTID reads RSA's XML token records. Every seed is encrypted with a key that depends
// on a password, or on a header field if there is no password. Only the MACs of header
// and token reveal a wrong key, so both are checked first.
func readSDTID(x *xmlReader, c *collector) error {
	root, err := x.root()
	if err != nil {
		return err
	}
	if root.Local != "TKNBatch" {
		return ErrFormat.because("an RSA token file begins with <TKNBatch>, this one with <%.40s>", root.Local)
	}
	var b *sdtidBatch
	for {
		section, err := x.section()
		if err != nil {
			return err
		}
		if section == nil {
			return b.close(c)
		}
		switch section.name.Local {
		case "TKNHeader":
			if b != nil {
				return ErrFormat.because("the file has two headers")
			}
			b = &sdtidBatch{header: sdtidLeaves(section)}
		case "TKN":
			if b == nil {
				return ErrFormat.because("a token precedes the header that it depends on")
			}
			if err := b.add(sdtidLeaves(section), c); err != nil {
				return err
			}
		}
	}
}

func (b *sdtidBatch) add(fields sdtidFields, c *collector) error {
	if b.keys == nil {
		keys, err := b.unlock(fields, c.options.Password)
		if err != nil {
			return err
		}
		b.keys = keys
	}
	b.read++
	serial, seed, err := b.open(fields)
	if err != nil {
		return c.refuse(serial, 0, err)
	}
	tok, err := b.token(fields)
	tok.Serial, tok.Params.Serial, tok.Seed = serial, serial, seed
	if err == nil {
		err = finish(&tok)
	}
	return c.take(tok, 0, err)
}

// close adds a note if the header states more tokens than the file has. The field is
// informative only: stoken writes 1 or 0, and "N/A" occurs.
func (b *sdtidBatch) close(c *collector) error {
	if b == nil {
		return ErrFormat.because("the file has no header")
	}
	promised, err := strconv.Atoi(b.header.get("NumTokens"))
	if err == nil && promised > b.read {
		c.note("the header states more tokens than the file contains: it may be incomplete")
	}
	return nil
}

// unlock finds the password of the file. If the file has none, the header's
// Origin is the password.
//
// If only the header's MAC is wrong, the header was altered. If both are wrong,
// either the password is wrong or the file is damaged.
func (b *sdtidBatch) unlock(first sdtidFields, password Secret) (*sdtidKeys, error) {
	for _, name := range []string{"Origin", "Dest", "Name", "Secret", "HeaderMAC"} {
		if n := b.header.count(name); n > 1 || n == 0 && (name == "Secret" || name == "HeaderMAC") {
			return nil, ErrFormat.because("the header must have the field %s once, not %d times", name, n)
		}
	}
	candidates := []string{b.header.get("Origin")}
	if password != "" {
		candidates = append(candidates, string(password))
	}
	altered := false
	for _, candidate := range candidates {
		keys, err := newSDTIDKeys(b.header, candidate)
		if err != nil {
			return nil, err
		}
		if keys.headerMAC(b.header) == sdtidMAC(b.header, "HeaderMAC") {
			return keys, nil
		}
		altered = altered || keys.tokenMAC(first) == sdtidMAC(first, "TokenMAC")
	}
	switch {
	case altered:
		return nil, ErrAltered.because("the header was altered after the file was issued: its MAC is wrong")
	case password == "":
		return nil, ErrNeedPassword.because("the file is protected by a password")
	default:
		return nil, ErrWrongPassword.because("the password is wrong, or the header is damaged (the format cannot distinguish them)")
	}
}

// open checks a token's MAC and decrypts its seed.
func (b *sdtidBatch) open(fields sdtidFields) (serial string, seed tokencode.Seed, err error) {
	sn := fields.get("SN")
	if sn == "" || len(sn) > 12 {
		return sn, nil, ErrFormat.because("its serial (SN) must have 1 to 12 digits")
	}
	serial = serial12(sn)
	for _, name := range []string{"SN", "Seed", "TokenMAC"} {
		if fields.count(name) != 1 {
			return serial, nil, ErrFormat.because("it must have the field %s once, not %d times", name, fields.count(name))
		}
	}
	if b.keys.tokenMAC(fields) != sdtidMAC(fields, "TokenMAC") {
		return serial, nil, ErrAltered.because("it was altered after the file was issued: its MAC is wrong")
	}
	text := fields.get("Seed")
	encrypted, err := base64.StdEncoding.DecodeString(text[min(1, len(text)):]) // skip a leading junk character
	if err != nil || len(encrypted) != aes.BlockSize {
		return serial, nil, ErrFormat.because("its seed is not 16 bytes of base64; only 128-bit tokens are read")
	}
	return serial, b.keys.crypt(sn, encrypted), nil
}

// token reads the fields that do not need a key.
func (b *sdtidBatch) token(fields sdtidFields) (Token, error) {
	l := sdtidLookup{token: fields, header: b.header}
	tok := Token{
		Params: tokencode.Params{
			Kind:   tokencode.SecurID,
			Digits: l.number("Digits", 6),
			Period: time.Duration(l.number("Interval", 60)) * time.Second,
		},
		Born:     l.day("Birth"),
		User:     clean(l.text("UserLogin")),
		Name:     clean(l.text("UserFirstName") + " " + l.text("UserLastName")),
		Label:    clean(l.text("Nickname")),
		DeviceID: clean(l.text("DeviceSerialNumber")),
	}
	if death := l.day("Death"); !death.IsZero() {
		tok.Expires = afterDay(death)
	} else {
		l.fail(ErrFormat.because("it has no date of expiry (Death)"))
	}
	if l.number("Alg", 0) == 0 {
		l.fail(errOldToken())
	}
	if l.number("Mode", 0) != 0 {
		tok.warnMode()
	}
	tok.setPINMode(l.number("AddPIN", 0) != 0, l.number("LocalPIN", 0) != 0)
	tok.Windows = Windows{l.window("SmallWin", tok), l.window("MediumWin", tok), l.window("LargeWin", tok)}
	return tok, l.err
}
