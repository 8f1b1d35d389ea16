package tokenfile

import (
	"slices"
	"strings"
	"time"

	"keyfob/engine/tokencode"
)

// yubicoStart starts a session in the log of Yubico's personalization tool.
const yubicoStart = "LOGGING START,"

// yubicoLog reads that log: kind, date, slot, public ID, private ID, key in hex, two
// access codes, three flags, digits, moving factor, and flags.
type yubicoLog struct{}

const (
	yubicoSlot   = 2
	yubicoPublic = 3
	yubicoKey    = 5
	yubicoDigits = 11
	yubicoFactor = 12
)

func isYubicoLog(fields []string) bool {
	return slices.ContainsFunc([]string{"logging start", "oath-hotp", "yubico otp", "static password"}, func(kind string) bool {
		return hasPrefixFold(fields[0], kind)
	})
}

func (yubicoLog) token(fields []string, _ Options) (Token, error) {
	if !strings.EqualFold(fields[0], "OATH-HOTP") {
		return Token{}, ErrUnsupported.because("it is set up as %.30q; only OATH-HOTP is read", clean(fields[0]))
	}
	if len(fields) <= yubicoFactor {
		return Token{}, ErrFormat.because("the row ends before its digits")
	}
	if fields[yubicoPublic] == "" {
		return Token{}, ErrFormat.because("it has no public ID that could serve as its serial; add the device's number as the fourth field")
	}
	tok := Token{
		Serial:   clean(fields[yubicoPublic] + "-" + fields[yubicoSlot]),
		Params:   tokencode.Params{Kind: tokencode.HOTP, Algorithm: tokencode.SHA1},
		PINStyle: tokencode.Fob,
	}
	if factor := fields[yubicoFactor]; factor != "" && factor != "0" {
		return tok, ErrUnsupported.because("its moving factor begins at %s; only 0 is supported", shown(factor))
	}
	var err error
	if tok.Params.Digits, err = number(fields[yubicoDigits], "digits"); err != nil {
		return tok, err
	}
	tok.Seed, err = decodeSecret(fields[yubicoKey], Hex)
	return tok, err
}

// yubicoFlat reads Yubico's other table: device number, public ID, 0 for OATH-HOTP, key
// in hex, access code, date.
type yubicoFlat struct{}

func isYubicoFlat(fields []string) bool {
	return len(fields) >= 6 && isNumber(fields[0]) && fields[1] == "" && fields[2] == "0" && isHexSeed(fields[3])
}

func (yubicoFlat) token(fields []string, _ Options) (Token, error) {
	tok := Token{Serial: clean(fields[0]), PINStyle: tokencode.Fob}
	if len(fields) < 6 || fields[1] != "" || fields[2] != "0" {
		return tok, ErrUnsupported.because("it is not set up as OATH-HOTP; only OATH-HOTP is read")
	}
	tok.Params = tokencode.Params{Kind: tokencode.HOTP, Algorithm: tokencode.SHA1, Digits: 6}
	tok.warn("its number of digits is not stated: taken as 6")
	var err error
	tok.Seed, err = decodeSecret(fields[3], Hex)
	return tok, err
}

// bareTable is the format of Feitian and other manufacturers of OATH tokens, which
// LinOTP and privacyIDEA import: serial, key in hex, kind, digits, interval. A table
// without the kind is refused, because it could be for HOTP or for TOTP tokens.
type bareTable struct{}

func isBareTable(fields []string) bool {
	return isHexSeed(fields[1]) && checkSerial(fields[0]) == nil
}

func (bareTable) token(fields []string, _ Options) (Token, error) {
	tok := Token{Serial: clean(fields[0]), PINStyle: tokencode.Fob}
	if len(fields) < 3 || fields[2] == "" {
		return tok, ErrFormat.because("its row does not say whether it is totp or hotp; add a header line and the column kind")
	}
	tok.Params = tokencode.Params{Kind: tokencode.Kind(strings.ToLower(fields[2])), Algorithm: tokencode.SHA1, Digits: 6}
	var err error
	if len(fields) > 3 && fields[3] != "" {
		if tok.Params.Digits, err = number(fields[3], "digits"); err != nil {
			return tok, err
		}
	}
	interval := 30
	if len(fields) > 4 && fields[4] != "" {
		if interval, err = number(fields[4], "interval"); err != nil {
			return tok, err
		}
	}
	switch tok.Params.Kind {
	case tokencode.TOTP:
		tok.Params.Period = time.Duration(interval) * time.Second
	case tokencode.HOTP:
	default:
		return tok, ErrUnsupported.because("its kind is %s and must be totp or hotp", shown(fields[2]))
	}
	tok.Seed, err = decodeSecret(fields[1], Hex)
	return tok, err
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func isHexSeed(s string) bool {
	return len(s) >= 2*weakSeed && len(s)%2 == 0 && strings.Trim(strings.ToLower(s), "0123456789abcdef") == ""
}
