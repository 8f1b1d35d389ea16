package tokenfile

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"keyfob/engine/tokencode"
)

// Versions 3 and 4 of CTF are base64 of 291 bytes. They differ in the version byte
// and in how much of the password they use.
const (
	ctf3Size       = 291
	ctf3Password   = 1 // non-zero: password needed
	ctf3Device     = 2 // non-zero: device ID needed
	ctf3DeviceHash = 3
	ctf3BothHash   = 35
	ctf3Nonce      = 67
	ctf3Payload    = 83
	ctf3MAC        = 259

	ctf3PayloadSize = ctf3MAC - ctf3Payload
	ctf3Iterations  = 1000
	ctf3DeviceSize  = 48
)

// Offsets in the decrypted payload.
const (
	ctf3Serial   = 0
	ctf3Seed     = 16
	ctf3Mode     = 34
	ctf3Digits   = 35
	ctf3AddPIN   = 36
	ctf3Interval = 37
	ctf3Born     = 40
	ctf3Death    = 48
	ctf3Padding  = 160

	ctf3PINOff = 0x1F
	ctf3PINOn  = 0x21
)

// Labels of the two keys.
const (
	ctf3LabelMAC = "\xD0\x14\x43\x3C\x6D\x17\x9F\xEB\xDA\x09\xAB\xFC\x32\x49\x63\x4C"
	ctf3LabelEnc = "\x3B\xAF\xFF\x4D\x91\x8D\x89\xB6\x81\x60\xDE\x44\x4E\x05\xC0\xDD"
)

func readCTF3(payload string, o Options) (Token, error) {
	data, err := ctfBase64(payload)
	if err != nil {
		return Token{}, err
	}
	if data[0] != 3 && data[0] != 4 {
		return Token{}, ErrUnsupported.because("this is a CTF string of version %d; versions 2, 3 and 4 are read", data[0])
	}
	device, deviceID, err := ctf3FindDevice(data, o)
	if err != nil {
		return Token{}, err
	}
	var password []byte
	if data[ctf3Password] != 0 {
		if err := needPassword(o); err != nil {
			return Token{}, err
		}
		password = []byte(o.Password)
	}
	if !equal(data[ctf3BothHash:ctf3Nonce], ctf3Hash(data[ctf3Nonce:ctf3Payload], device, password)) {
		if password == nil {
			return Token{}, ErrAltered.because("the CTF string was damaged or altered")
		}
		return Token{}, ErrWrongPassword.because("the password is wrong")
	}
	if !equal(data[ctf3MAC:], ctf3Sum(data, device, password)) {
		return Token{}, ErrAltered.because("the CTF string was damaged or altered")
	}
	plain := make([]byte, ctf3PayloadSize)
	key := ctf3Key(data, device, password, ctf3LabelEnc)
	cipher.NewCBCDecrypter(newAES(key), data[ctf3Nonce:ctf3Payload]).CryptBlocks(plain, data[ctf3Payload:ctf3MAC])
	tok, err := ctf3Token(plain)
	tok.DeviceID = clean(deviceID)
	return tok, err
}

// ctf3FindDevice returns the device ID that the string is bound to, both as hashed and
// as written.
func ctf3FindDevice(data []byte, o Options) (device []byte, id string, err error) {
	nonce, want := data[ctf3Nonce:ctf3Payload], data[ctf3DeviceHash:ctf3BothHash]
	if data[ctf3Device] == 0 {
		device = fit("", ctf3DeviceSize)
		if !equal(want, ctf3Hash(nonce, device, nil)) {
			return nil, "", ErrAltered.because("the CTF string was damaged or altered")
		}
		return device, "", nil
	}
	for _, id := range deviceIDs(o) {
		device = ctf3DeviceBytes(id)
		if equal(want, ctf3Hash(nonce, device, nil)) {
			return device, id, nil
		}
	}
	return nil, "", errDevice(o)
}

// ctf3DeviceBytes keeps letters and digits and converts them to upper case.
func ctf3DeviceBytes(id string) []byte {
	return fit(strings.ToUpper(strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, id)), ctf3DeviceSize)
}

func ctf3Hash(nonce, device, password []byte) []byte {
	sum := sha256.Sum256(bytes.Join([][]byte{nonce, device, password}, nil))
	return sum[:]
}

// ctf3Key derives a key. Version 3 uses only every other byte of its input, and so only
// half of the password. Version 4 fixes that.
func ctf3Key(data, device, password []byte, label string) []byte {
	nonce := data[ctf3Nonce:ctf3Payload]
	input := bytes.Join([][]byte{password, device, []byte(label), nonce}, nil)
	if data[0] == 3 {
		half := input[:0]
		for i := 1; i < len(input); i += 2 {
			half = append(half, input[i])
		}
		input = half
	}
	key, err := pbkdf2.Key(sha256.New, string(input), nonce, ctf3Iterations, 32)
	if err != nil {
		panic("tokenfile: PBKDF2 refused its parameters: " + err.Error())
	}
	return key
}

func ctf3Sum(data, device, password []byte) []byte {
	mac := hmac.New(sha256.New, ctf3Key(data, device, password, ctf3LabelMAC))
	mac.Write(data[:ctf3MAC])
	return mac.Sum(nil)
}

func ctf3Token(plain []byte) (Token, error) {
	tok := Token{Serial: string(bytes.TrimRight(plain[ctf3Serial:ctf3Seed], "\x00"))}
	if !bytes.Equal(plain[ctf3Padding:], bytes.Repeat([]byte{16}, 16)) || len(tok.Serial) != 12 {
		return tok, ErrFormat.because("the CTF string is intact, but the layout of its content is not known")
	}
	switch plain[ctf3AddPIN] {
	case ctf3PINOff:
		tok.PINStyle = tokencode.Fob
	case ctf3PINOn:
		tok.PINStyle = tokencode.PINpad
	default: // stoken treats every other value as on
		return tok, ErrUnsupported.because("its PIN style is coded as %#02x, which is not defined", plain[ctf3AddPIN])
	}
	if plain[ctf3Mode] != 0 {
		tok.warnMode()
	}
	tok.Params = tokencode.Params{
		Kind:   tokencode.SecurID,
		Digits: int(plain[ctf3Digits]),
		Period: time.Duration(plain[ctf3Interval]) * time.Second,
		Serial: tok.Serial,
	}
	tok.Seed = bytes.Clone(plain[ctf3Seed : ctf3Seed+aes.BlockSize])
	tok.Born = ctf3Date(plain[ctf3Born:])
	if death := ctf3Date(plain[ctf3Death:]); !death.IsZero() {
		tok.Expires = afterDay(death.Truncate(24 * time.Hour))
	}
	return tok, nil
}

// ctf3Date reads Unix milliseconds from six bytes. Zero means that no date is set.
func ctf3Date(b []byte) time.Time {
	ms := int64(binary.BigEndian.Uint64(b) >> 16)
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func putCTF3Date(b []byte, t time.Time) {
	if !t.IsZero() {
		binary.BigEndian.PutUint64(b, uint64(t.UnixMilli())<<16)
	}
}

func writeCTF3(t Token, o CTFOptions, entropy io.Reader) (string, error) {
	if t.Params.Digits == 7 {
		return "", ErrUnsupported.because("a CTF string of version %d needs a token with 6 or 8 digits", o.Version)
	}
	if o.DeviceID != "" && ctf3DeviceBytes(o.DeviceID)[0] == 0 {
		return "", ErrUnsupported.because("the device ID has no letter and no digit; a CTF string uses no other characters")
	}
	nonce := make([]byte, aes.BlockSize)
	if _, err := io.ReadFull(entropy, nonce); err != nil {
		return "", fmt.Errorf("generating the nonce of a CTF string: %w", err)
	}
	return sealCTF3(ctf3Plain(t), o, nonce), nil
}

// sealCTF3 encrypts a payload and builds the string around it.
func sealCTF3(plain []byte, o CTFOptions, nonce []byte) string {
	data := make([]byte, ctf3Size)
	data[0] = byte(o.Version)
	if o.Password != "" {
		data[ctf3Password] = 1
	}
	if o.DeviceID != "" {
		data[ctf3Device] = 1
	}
	copy(data[ctf3Nonce:], nonce)
	device, password := ctf3DeviceBytes(o.DeviceID), []byte(o.Password)
	copy(data[ctf3DeviceHash:], ctf3Hash(nonce, device, nil))
	copy(data[ctf3BothHash:], ctf3Hash(nonce, device, password))
	key := ctf3Key(data, device, password, ctf3LabelEnc)
	cipher.NewCBCEncrypter(newAES(key), nonce).CryptBlocks(data[ctf3Payload:ctf3MAC], plain)
	copy(data[ctf3MAC:], ctf3Sum(data, device, password))
	return ctfLink + url.QueryEscape(base64.StdEncoding.EncodeToString(data))
}

func ctf3Plain(t Token) []byte {
	plain := make([]byte, ctf3PayloadSize)
	copy(plain[ctf3Serial:], serial12(t.Params.Serial))
	copy(plain[ctf3Seed:], t.Seed)
	plain[32], plain[33] = 1, 1 // as in every sample; the meaning is unknown
	plain[ctf3Digits] = byte(t.Params.Digits)
	plain[ctf3AddPIN] = ctf3PINOff
	if t.PINStyle == tokencode.PINpad {
		plain[ctf3AddPIN] = ctf3PINOn
	}
	plain[ctf3Interval] = byte(seconds(t.Params))
	putCTF3Date(plain[ctf3Born:], t.Born)
	death := ctf2Epoch.AddDate(0, 0, ctf2LastDay)
	if !t.Expires.IsZero() {
		death = lastDay(t.Expires)
	}
	putCTF3Date(plain[ctf3Death:], death)
	copy(plain[ctf3Padding:], bytes.Repeat([]byte{16}, 16))
	return plain
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
