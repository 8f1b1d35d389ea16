package tokenfile

import (
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
	"strings"
	"time"

	"keyfob/engine/tokencode"
)

// Version 2 of CTF has 81 decimal digits: the version, 12 digits of serial, 63 octal
// digits that hold 189 bits, and 5 octal digits of checksum.
const (
	ctf2Size     = 81
	ctf2MaxSize  = 85 // digits beyond 81 precede the checksum and are ignored
	ctf2Head     = 13
	ctf2Bits     = 189
	ctf2Checksum = 5
)

// The flags word.
const (
	flag128Bit    = 1 << 14 // AES; if unset, the pre-2003 algorithm
	flagPassword  = 1 << 13
	flagDevice    = 1 << 12
	flagMode      = 1 << 10 // possibly not time-based
	flagTimeSeeds = 1 << 9
	flagAddPIN    = 1 << 4
	flagLocalPIN  = 1 << 3
	shiftDigits   = 6
	maskDigits    = 7
	maskInterval  = 3
)

// ctf2Epoch is day 0 of an expiry date; the last one is 2044-11-09.
var ctf2Epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

const ctf2LastDay = 1<<14 - 1

// ctf2 is the content of a version 2 string.
type ctf2 struct {
	seed     [aes.BlockSize]byte // encrypted
	flags    uint64
	days     uint64
	seedHash uint64
	devHash  uint64
}

func readCTF2(digits string, phone bool, o Options) (Token, error) {
	if len(digits) < ctf2Size || len(digits) > ctf2MaxSize {
		return Token{}, ErrFormat.because("the CTF string has %d digits, version 2 has %d; part of it is missing", len(digits), ctf2Size)
	}
	body, checksum := digits[:len(digits)-ctf2Checksum], digits[len(digits)-ctf2Checksum:]
	tok := Token{Serial: body[1:ctf2Head]}
	sum, err := octalBits(checksum)
	if err != nil || uint64(shortHash([]byte(body))) != sum.take(15) {
		return tok, ErrAltered.because("the checksum of the CTF string is wrong: a digit was mistyped")
	}
	bits, err := octalBits(body[ctf2Head : ctf2Head+ctf2Bits/3])
	if err != nil {
		return tok, err
	}
	var f ctf2
	for i := range f.seed {
		f.seed[i] = byte(bits.take(8))
	}
	f.flags, f.days = bits.take(16), bits.take(14)
	bits.take(1) // unused
	f.seedHash, f.devHash = bits.take(15), bits.take(15)

	if err := f.describe(&tok); err != nil {
		return tok, err
	}
	return tok, f.open(&tok, phone, o)
}

// describe reads the fields that are not secret.
func (f *ctf2) describe(tok *Token) error {
	if f.flags&flag128Bit == 0 {
		return errOldToken()
	}
	interval := f.flags & maskInterval
	if interval > 1 {
		return ErrUnsupported.because("its interval is coded as %d, which is not defined", interval)
	}
	tok.Params = tokencode.Params{
		Kind:   tokencode.SecurID,
		Digits: int(f.flags>>shiftDigits&maskDigits) + 1,
		Period: time.Duration(30*(interval+1)) * time.Second,
		Serial: tok.Serial,
	}
	tok.Expires = afterDay(ctf2Epoch.AddDate(0, 0, int(f.days)))
	tok.setPINMode(f.flags&flagAddPIN != 0, f.flags&flagLocalPIN != 0)
	if f.flags&flagMode != 0 {
		tok.warnMode()
	}
	return nil
}

// open decrypts the seed. It tries each device ID in each form that apps use.
func (f *ctf2) open(tok *Token, phone bool, o Options) error {
	var password []byte
	if f.flags&flagPassword != 0 {
		if err := needPassword(o); err != nil {
			return err
		}
		password = []byte(o.Password)
		tok.warn("in this format one wrong password in 32768 is not detected: compare a tokencode before you rely on it")
	}
	if f.flags&flagDevice == 0 {
		return f.decrypt(tok, password, "")
	}
	err := errDevice(o)
	for _, id := range deviceIDs(o) {
		for _, device := range ctf2Devices(id, phone) {
			if uint64(device.hash) != f.devHash {
				continue
			}
			if err = f.decrypt(tok, password, device.text); err == nil {
				tok.DeviceID = clean(id)
				return nil
			}
		}
	}
	return err
}

func (f *ctf2) decrypt(tok *Token, password []byte, device string) error {
	var seed [aes.BlockSize]byte
	newAES(ctf2Key(password, device)).Decrypt(seed[:], f.seed[:])
	if subtle.ConstantTimeEq(int32(shortHash(seed[:])), int32(f.seedHash)) == 0 {
		if len(password) > 0 {
			return ErrWrongPassword.because("the password is wrong")
		}
		return ErrAltered.because("the checksum of the seed is wrong: the string is damaged, or bound in a way that it does not state")
	}
	tok.Seed = seed[:]
	return nil
}

// ctf2Key combines password and device ID with six bytes that all tokens share.
func ctf2Key(password []byte, device string) []byte {
	key := ctfHash(append(append(password[:len(password):len(password)], device...), 0xD8, 0xF5, 0x32, 0x53, 0x82, 0x89))
	return key[:]
}

type ctf2Device struct {
	text string
	hash uint16
}

// ctf2Devices returns the possible forms of a device ID at the time of binding. The first
// form is stoken's. The others cover IDs that are longer or contain dashes, because the
// order of the steps in RSA's apps is not known. Trying several forms is safe: each must
// pass two checks.
func ctf2Devices(id string, phone bool) []ctf2Device {
	sizes := []int{32, 40}
	if phone {
		sizes = []int{40, 32}
	}
	var devices []ctf2Device
	for _, filter := range []func(string, int) string{
		func(id string, n int) string { return hexOnly(id[:min(n, len(id))]) },
		func(id string, n int) string { s := hexOnly(id); return s[:min(n, len(s))] },
	} {
		for _, size := range sizes {
			text := filter(id, size)
			devices = append(devices, ctf2Device{text, shortHash(fit(text, size))})
		}
	}
	return devices
}

func hexOnly(s string) string {
	return strings.ToUpper(strings.Map(func(r rune) rune {
		if strings.ContainsRune("0123456789abcdefABCDEF", r) {
			return r
		}
		return -1
	}, s))
}

func writeCTF2(t Token, o CTFOptions) (string, error) {
	size := 32
	if o.Link {
		size = 40
	}
	device := hexOnly(o.DeviceID[:min(size, len(o.DeviceID))])
	if device == "" && o.DeviceID != "" {
		return "", ErrUnsupported.because("the device ID has no hexadecimal digit; a CTF string of version 2 uses no other characters")
	}
	flags := uint64(flag128Bit|flagTimeSeeds) | uint64(t.Params.Digits-1)<<shiftDigits | uint64(seconds(t.Params)/60)
	if o.Password != "" {
		flags |= flagPassword
	}
	if device != "" {
		flags |= flagDevice
	}
	if t.PINStyle == tokencode.PINpad {
		flags |= flagAddPIN | flagLocalPIN // as in the records of RSA's software tokens
	}
	days := uint64(ctf2LastDay)
	if !t.Expires.IsZero() {
		last := lastDay(t.Expires).Sub(ctf2Epoch) / (24 * time.Hour)
		if last < 0 || last > ctf2LastDay {
			return "", ErrUnsupported.because("a CTF string of version 2 needs an expiry date from 2000 to 2044")
		}
		days = uint64(last)
	}
	var encrypted [aes.BlockSize]byte
	newAES(ctf2Key([]byte(o.Password), device)).Encrypt(encrypted[:], t.Seed)

	var bits bitString
	for _, b := range encrypted {
		bits.put(uint64(b), 8)
	}
	bits.put(flags, 16)
	bits.put(days, 14)
	bits.put(0, 1)
	bits.put(uint64(shortHash(t.Seed)), 15)
	bits.put(uint64(shortHash(fit(device, size))), 15)
	body := "2" + serial12(t.Params.Serial) + bits.octal()

	var sum bitString
	sum.put(uint64(shortHash([]byte(body))), 15)
	if o.Link {
		return ctfLink + body + sum.octal(), nil
	}
	return body + sum.octal(), nil
}

// ctfHash is the one-way hash of CTF versions 1 and 2. It uses AES with the message as
// the key.
func ctfHash(msg []byte) [aes.BlockSize]byte {
	var h, e, block [aes.BlockSize]byte
	for i := range h {
		h[i] = 0xFF
	}
	step := func(key []byte) {
		newAES(key).Encrypt(e[:], h[:])
		subtle.XORBytes(h[:], h[:], e[:])
	}
	blocks := max(1, (len(msg)+aes.BlockSize-1)/aes.BlockSize)
	for i := range blocks {
		block = [aes.BlockSize]byte{}
		copy(block[:], msg[i*aes.BlockSize:])
		step(block[:])
	}
	if blocks%2 == 0 {
		step(make([]byte, aes.BlockSize))
	}
	block = [aes.BlockSize]byte{}
	binary.BigEndian.PutUint64(block[8:], uint64(len(msg))*8)
	step(block[:])
	last := h
	step(last[:])
	return h
}

// shortHash returns the first 15 bits of ctfHash.
func shortHash(msg []byte) uint16 {
	h := ctfHash(msg)
	return binary.BigEndian.Uint16(h[:]) >> 1
}
