package tokenfile

import (
	"bytes"
	"crypto/cipher"
	"crypto/des"
	"crypto/fips140"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine/tokencode"
)

// pskcFile returns a plain-text container with one Key that has the given content.
func pskcFile(algorithm, inside string) string {
	return pskcStart + `<KeyPackage><DeviceInfo><SerialNo>77</SerialNo><ExpiryDate>2031-06-30T00:00:00Z</ExpiryDate><UserId>UID=ann</UserId></DeviceInfo>` +
		`<Key Id="k1" Algorithm="` + algorithm + `">` + inside + `</Key></KeyPackage></KeyContainer>`
}

const (
	pskcDigits8 = `<AlgorithmParameters><ResponseFormat Length="8" Encoding="DECIMAL"/></AlgorithmParameters>`
	pskcSecret  = `<Secret><PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</PlainValue></Secret>`
)

func TestPSKCKeyBecomesAToken(t *testing.T) {
	expires := time.Date(2031, 6, 30, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, file string
		want       Token
	}{
		{
			"TOTP with all there is",
			pskcFile(pskcTOTP, `<Issuer>Lab</Issuer><FriendlyName>blue</FriendlyName><AlgorithmParameters><Suite>HMAC-SHA256</Suite><ResponseFormat Length="8" Encoding="DECIMAL"/></AlgorithmParameters>`+
				`<Data>`+pskcSecret+`<Time><PlainValue>0</PlainValue></Time><TimeInterval><PlainValue>60</PlainValue></TimeInterval></Data><UserId>UID=bob</UserId>`+
				`<Policy><StartDate>2020-01-01T02:00:00+02:00</StartDate><ExpiryDate>2030-01-01T00:00:00</ExpiryDate><KeyUsage>CR</KeyUsage><KeyUsage>OTP</KeyUsage></Policy>`),
			Token{
				Serial: "77", Seed: tokencode.Seed("12345678901234567890"), PINStyle: tokencode.Fob, Issuer: "Lab", Label: "blue", User: "UID=bob",
				Params: tokencode.Params{Kind: tokencode.TOTP, Algorithm: tokencode.SHA256, Digits: 8, Period: time.Minute},
				Born:   time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), Expires: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
			},
		},
		{
			"HOTP with the least",
			pskcFile(pskcHOTP, `<Data>`+pskcSecret+`</Data>`),
			Token{
				Serial: "77", Seed: tokencode.Seed("12345678901234567890"), PINStyle: tokencode.Fob, User: "UID=ann", Expires: expires,
				Params:   tokencode.Params{Kind: tokencode.HOTP, Algorithm: tokencode.SHA1, Digits: 6},
				Warnings: []string{"its number of digits is not stated: taken as 6", "its next counter is not stated: taken as 0"},
			},
		},
		{
			"SecurID",
			strings.Replace(pskcFile(pskcSecurID, pskcDigits8+`<Data><Secret><PlainValue>AAECAwQFBgcICQoLDA0ODw==</PlainValue></Secret><TimeInterval><PlainValue>60</PlainValue></TimeInterval></Data>`), ">77<", ">123456789<", 1),
			Token{
				Serial: "000123456789", Seed: tokencode.Seed("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"), PINStyle: tokencode.Fob, User: "UID=ann", Expires: expires,
				Params: tokencode.Params{Kind: tokencode.SecurID, Digits: 8, Period: time.Minute, Serial: "000123456789"},
			},
		},
	} {
		if diff := cmp.Diff(c.want, readOne(t, c.file, Options{})); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}

func TestPSKCKeysThatCannotBeUsedAreRefused(t *testing.T) {
	data := func(inside string) string { return pskcDigits8 + "<Data>" + inside + "</Data>" }
	encrypted := `<Secret><EncryptedValue><EncryptionMethod xmlns="http://www.w3.org/2001/04/xmlenc#" Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/></EncryptedValue></Secret>`
	for _, c := range []struct {
		name, algorithm, inside string
		class                   error
		says                    string
	}{
		{"OCRA", nsPSKC + ":ocra", data(pskcSecret), ErrUnsupported, "algorithm"},
		{"SecurID by event", "http://www.rsa.com/names/2008/04/algorithms/SecurID/SecurID-AES128-Counter", data(pskcSecret), ErrUnsupported, "algorithm"},
		{"SecurID without digits", pskcSecurID, "<Data>" + pskcSecret + "</Data>", ErrFormat, "digits"},
		{"SecurID without interval", pskcSecurID, data(pskcSecret), ErrFormat, "interval is not stated"},
		{"no data", pskcHOTP, pskcDigits8, ErrFormat, "no data"},
		{"no secret", pskcHOTP, data(""), ErrFormat, "no secret"},
		{"empty secret", pskcHOTP, data("<Secret><PlainValue/></Secret>"), ErrFormat, "empty"},
		{"secret without value", pskcHOTP, data("<Secret/>"), ErrFormat, "no value"},
		{"secret not base64", pskcHOTP, data("<Secret><PlainValue>!</PlainValue></Secret>"), ErrFormat, "malformed"},
		{"encrypted with no key named", pskcHOTP, data(encrypted), ErrFormat, "does not name their key"},
		{"hexadecimal display", pskcHOTP, `<AlgorithmParameters><ResponseFormat Length="8" Encoding="HEXADECIMAL"/></AlgorithmParameters>`, ErrUnsupported, "DECIMAL"},
		{"check digit", pskcHOTP, `<AlgorithmParameters><ResponseFormat Length="8" Encoding="DECIMAL" CheckDigits="true"/></AlgorithmParameters>`, ErrUnsupported, "check digit"},
		{"ten digits", pskcHOTP, `<AlgorithmParameters><ResponseFormat Length="10" Encoding="DECIMAL"/></AlgorithmParameters><Data>` + pskcSecret + "</Data>", ErrUnsupported, "10 digits"},
		{"length not a number", pskcHOTP, `<AlgorithmParameters><ResponseFormat Length="x" Encoding="DECIMAL"/></AlgorithmParameters>`, ErrFormat, "Length"},
		{"other hash", pskcTOTP, `<AlgorithmParameters><Suite>HMAC-SHA3-256</Suite></AlgorithmParameters>`, ErrUnsupported, "suite"},
		{"counter too large", pskcHOTP, data(pskcSecret + "<Counter><PlainValue>9223372036854775808</PlainValue></Counter>"), ErrFormat, "malformed"},
		{"counter below zero", pskcHOTP, data(pskcSecret + "<Counter><PlainValue>-1</PlainValue></Counter>"), ErrFormat, "malformed"},
		{"interval of a day", pskcTOTP, data(pskcSecret + "<TimeInterval><PlainValue>86400</PlainValue></TimeInterval>"), ErrUnsupported, "86400"},
		{"other epoch", pskcTOTP, data(pskcSecret + "<Time><PlainValue>1000</PlainValue></Time>"), ErrUnsupported, "1970"},
		{"for signing only", pskcHOTP, data(pskcSecret) + "<Policy><KeyUsage>Sign</KeyUsage></Policy>", ErrUnsupported, "policy"},
		{"bad date", pskcHOTP, data(pskcSecret) + "<Policy><ExpiryDate>soon</ExpiryDate></Policy>", ErrFormat, "date"},
		{"bad start", pskcHOTP, data(pskcSecret) + "<Policy><StartDate>soon</StartDate></Policy>", ErrFormat, "date"},
	} {
		got, err := Read(strings.NewReader(pskcFile(c.algorithm, c.inside)), Options{})
		if err != nil || len(got.Tokens) > 0 || len(got.Refused) != 1 {
			t.Errorf("%s: %v, %+v", c.name, err, got)
			continue
		}
		if r := got.Refused[0]; !errors.Is(r, c.class) || !strings.Contains(r.Why(), c.says) || !strings.HasSuffix(r.Serial, "77") {
			t.Errorf("%s: %v, want %q (%v)", c.name, r, c.says, c.class)
		}
	}
}

func TestPreSharedKeyMayBeTypedAsPassword(t *testing.T) {
	fig6 := string(content(t, "", "pskc/rfc6030-fig6.xml"))
	tok := readOne(t, fig6, Options{Password: "12345678 90123456-78901234 56789012\n"})
	if string(tok.Seed) != "12345678901234567890" {
		t.Errorf("seed differs")
	}
}

func TestWrongKeyAndAlteredValueAreDistinguishedWherePossible(t *testing.T) {
	fig6 := string(content(t, "", "pskc/rfc6030-fig6.xml"))
	start, end := strings.Index(fig6, "<MACKey>"), strings.Index(fig6, "</MACKey>")+len("</MACKey>")
	own := fig6[:start] + fig6[end:] // the encryption key is the MAC key: its ValueMAC is now wrong
	got, err := Read(strings.NewReader(own), Options{Key: Secret(unhex(t, "12345678901234567890123456789012"))})
	if err != nil || len(got.Refused) != 1 || !errors.Is(got.Refused[0], ErrWrongPassword) {
		t.Errorf("%v, %v", err, got.Refused)
	}
}

func TestKeysAfterTheTokensAreRefused(t *testing.T) {
	file := strings.Replace(pskcFile(pskcHOTP, pskcDigits8+"<Data>"+pskcSecret+"</Data>"), "</KeyContainer>", "<MACMethod/></KeyContainer>", 1)
	if _, err := Read(strings.NewReader(file), Options{}); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "after") {
		t.Error(err)
	}
}

func TestSignaturesAndPINsOfPSKCAreNoted(t *testing.T) {
	file := strings.Replace(string(content(t, "", "pskc/rfc6030-fig5.xml")), "</KeyContainer>", `<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"/></KeyContainer>`, 1)
	got, err := Read(strings.NewReader(file), Options{})
	if err != nil || len(got.Notes) != 2 || strings.Contains(fmt.Sprint(got.Notes), "1234") {
		t.Errorf("%v, notes %v", err, got.Notes)
	}
}

func TestTripleDESIsRead(t *testing.T) {
	key, iv := []byte("0123456789abcdefghijklmn"), []byte("12345678")
	data := append(bytes.Clone(iv), "a secret of 20 bytes\x04\x04\x04\x04"...)
	fips140.WithoutEnforcement(func() {
		block, err := des.NewTripleDESCipher(key)
		if err != nil {
			t.Fatal(err)
		}
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(data[8:], data[8:])
	})
	open, size := pskcCipher("http://www.w3.org/2001/04/xmlenc#tripledes-cbc")
	if size != len(key) || string(open(key, data)) != "a secret of 20 bytes" {
		t.Errorf("opened as %q", open(key, data))
	}
}

// The vectors of RFC 3394, sections 4.1 and 4.6.
func TestKeyWrapIsRFC3394(t *testing.T) {
	for _, c := range [][3]string{
		{"000102030405060708090A0B0C0D0E0F", "00112233445566778899AABBCCDDEEFF", "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"},
		{
			"000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F",
			"28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21",
		},
	} {
		wrapped := unhex(t, c[2])
		if got := unwrapAES(unhex(t, c[0]), wrapped); !bytes.Equal(got, unhex(t, c[1])) {
			t.Errorf("unwrapped %x, want %s", got, c[1])
		}
		wrapped[3] ^= 1
		if got := unwrapAES(unhex(t, c[0]), wrapped); got != nil {
			t.Errorf("an altered wrapped key was unwrapped to %x", got)
		}
	}
}
