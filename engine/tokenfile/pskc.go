package tokenfile

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"keyfob/engine/tokencode"
)

// The namespaces of PSKC.
const (
	nsPSKC = "urn:ietf:params:xml:ns:keyprov:pskc"
	nsDSig = "http://www.w3.org/2000/09/xmldsig#"

	anySpace = "*"
)

// The key algorithms of RFC 6030, section 10, and of RSA's PSKC profile.
const (
	pskcHOTP    = nsPSKC + ":hotp"
	pskcTOTP    = nsPSKC + ":totp"
	pskcPIN     = nsPSKC + ":pin"
	pskcSecurID = "http://www.rsasecurity.com/rsalabs/otps/schemas/2005/09/otps-wst#SecurID-AES"
)

// readPSKC reads Portable Symmetric Key Containers (RFC 6030): in plain text, or encrypted
// with a pre-shared key or a password. XML signatures are not verified; a note says so.
func readPSKC(x *xmlReader, c *collector) error {
	root, err := x.root()
	if err != nil {
		return err
	}
	if root.Local != "KeyContainer" || root.Space != nsPSKC {
		return ErrFormat.because("a PSKC file begins with <KeyContainer> of the namespace %s", nsPSKC)
	}
	p := &pskcReader{c: c}
	for {
		section, err := x.section()
		if err != nil {
			return err
		}
		if section == nil {
			return nil
		}
		if err := p.section(section); err != nil {
			return err
		}
	}
}

// pskcReader reads a container. The protection of its values is declared
// before the first key package.
type pskcReader struct {
	c             *collector
	encryptionKey *element
	macMethod     *element
	keys          *pskcKeys // nil until the first package
}

func (p *pskcReader) section(e *element) error {
	switch {
	case e.name.Space == nsDSig && e.name.Local == "Signature":
		p.c.note("the file is signed; the signature was not verified")
	case e.name.Space != nsPSKC:
	case e.name.Local == "KeyPackage":
		return p.keyPackage(e)
	case e.name.Local == "EncryptionKey" && p.keys == nil:
		p.encryptionKey = e
	case e.name.Local == "MACMethod" && p.keys == nil:
		p.macMethod = e
	case e.name.Local == "EncryptionKey" || e.name.Local == "MACMethod":
		return ErrFormat.because("the file declares its keys only after the tokens that they protect")
	}
	return nil
}

func (p *pskcReader) keyPackage(pkg *element) error {
	if p.keys == nil {
		keys, err := openPSKC(p.encryptionKey, p.macMethod, p.c.options)
		if err != nil {
			return err
		}
		p.keys = keys
	}
	for _, key := range pkg.kids {
		if key.name.Local != "Key" || key.name.Space != nsPSKC {
			continue
		}
		if key.attr("Algorithm") == pskcPIN {
			p.c.note("the file contains an initial PIN, which was not imported: the owner sets a PIN at the first login")
			continue
		}
		tok, err := p.token(pkg, key)
		if err == nil {
			err = finish(&tok)
		}
		if err := p.c.take(tok, 0, err); err != nil {
			return err
		}
	}
	return nil
}

// token reads one key. On error the token still carries its serial.
func (p *pskcReader) token(pkg, key *element) (Token, error) {
	tok := Token{
		Serial:   p.serial(pkg, key),
		PINStyle: tokencode.Fob,
		Issuer:   clean(key.textAt(nsPSKC, "Issuer")),
		Label:    clean(key.textAt(nsPSKC, "FriendlyName")),
		User:     clean(key.textAt(nsPSKC, "UserId")),
	}
	if tok.User == "" {
		tok.User = clean(pkg.textAt(nsPSKC, "DeviceInfo", "UserId"))
	}
	if err := pskcValidity(pkg, key, &tok); err != nil {
		return tok, err
	}
	if err := pskcParams(key, &tok); err != nil {
		return tok, err
	}
	data := key.find(nsPSKC, "Data")
	if data == nil {
		return tok, ErrFormat.because("it has no data")
	}
	seed, err := p.keys.value(data.find(nsPSKC, "Secret"), base64.StdEncoding.DecodeString)
	if err != nil {
		return tok, err
	}
	if len(seed) == 0 {
		return tok, ErrFormat.because("its secret is empty")
	}
	tok.Seed = seed
	return tok, p.moving(data, &tok)
}

// serial prefers the device's serial number, which is printed on the device. Each key of
// a device with several keys gets its own serial.
func (p *pskcReader) serial(pkg, key *element) string {
	device, id := clean(pkg.textAt(nsPSKC, "DeviceInfo", "SerialNo")), clean(key.attr("Id"))
	switch {
	case device == "":
		return id
	case p.c.serials[device] && id != "" && id != device:
		return device + "-" + id
	default:
		return device
	}
}

// pskcParams reads the algorithm and the form of its tokencodes.
func pskcParams(key *element, tok *Token) error {
	name := key.attr("Algorithm")
	switch {
	case name == pskcHOTP:
		tok.Params.Kind = tokencode.HOTP
	case name == pskcTOTP:
		tok.Params.Kind = tokencode.TOTP
	case name == pskcSecurID:
		tok.Serial = serial12(tok.Serial)
		tok.Params.Kind, tok.Params.Serial = tokencode.SecurID, tok.Serial
	default:
		return ErrUnsupported.because("its algorithm %.100q is not supported (hotp, totp and SecurID-AES are)", name)
	}
	parameters := key.find(nsPSKC, "AlgorithmParameters")
	format := parameters.find(nsPSKC, "ResponseFormat")
	if tok.Params.Kind != tokencode.SecurID {
		var err error
		if tok.Params.Algorithm, err = pskcSuite(parameters.textAt(nsPSKC, "Suite")); err != nil {
			return err
		}
	}
	switch encoding := format.attr("Encoding"); {
	case format == nil && tok.Params.Kind == tokencode.SecurID:
		return ErrFormat.because("its number of digits is not stated")
	case format == nil:
		tok.Params.Digits = 6
		tok.warn("its number of digits is not stated: taken as 6")
		return nil
	case encoding != "DECIMAL":
		return ErrUnsupported.because("it displays %.20q; only DECIMAL is supported", encoding)
	case format.attr("CheckDigits") == "true" || format.attr("CheckDigits") == "1":
		return ErrUnsupported.because("it displays a check digit, which is not supported")
	}
	var err error
	tok.Params.Digits, err = number(format.attr("Length"), "Length")
	return err
}

// pskcSuite finds the hash in the text of a Suite, such as HMAC-SHA256 or
// TOTP-HMAC-SHA512-6.
func pskcSuite(suite string) (tokencode.Algorithm, error) {
	s := strings.ReplaceAll(strings.ToUpper(suite), "SHA-", "SHA")
	switch {
	case strings.Contains(s, "SHA512"):
		return tokencode.SHA512, nil
	case strings.Contains(s, "SHA256"):
		return tokencode.SHA256, nil
	case s == "" || strings.HasSuffix(s, "SHA1") || strings.Contains(s, "SHA1-"):
		return tokencode.SHA1, nil
	default:
		return "", ErrUnsupported.because("its suite %.40q is not HMAC-SHA1, HMAC-SHA256 or HMAC-SHA512", suite)
	}
}

// moving reads counter or interval, which may be encrypted like the secret.
func (p *pskcReader) moving(data *element, tok *Token) error {
	if tok.Params.Kind == tokencode.HOTP {
		counter, err := p.keys.integer(data.find(nsPSKC, "Counter"), -1)
		if counter < 0 {
			tok.warn("its next counter is not stated: taken as 0")
			counter = 0
		}
		tok.Counter = counter
		return err
	}
	interval, err := p.keys.integer(data.find(nsPSKC, "TimeInterval"), -1)
	switch {
	case err != nil:
		return err
	case interval < 0 && tok.Params.Kind == tokencode.SecurID:
		return ErrFormat.because("its interval is not stated")
	case interval < 0:
		interval = 30
	case interval > 3600:
		return ErrUnsupported.because("its tokencodes last %d seconds", interval)
	}
	tok.Params.Period = time.Duration(interval) * time.Second
	begin, err := p.keys.integer(data.find(nsPSKC, "Time"), 0)
	if err == nil && begin != 0 {
		return ErrUnsupported.because("its time does not begin at 1970")
	}
	return err
}

// pskcValidity reads the policy and the dates.
func pskcValidity(pkg, key *element, tok *Token) error {
	policy := key.find(nsPSKC, "Policy")
	usages := policy.all(nsPSKC, "KeyUsage")
	usable := len(usages) == 0
	for _, usage := range usages {
		usable = usable || strings.TrimSpace(usage.text) == "OTP"
	}
	if !usable {
		return ErrUnsupported.because("its policy does not allow its use for logins (KeyUsage without OTP)")
	}
	for _, place := range []*element{pkg.find(nsPSKC, "DeviceInfo"), policy} {
		born, err := pskcDate(place.textAt(nsPSKC, "StartDate"))
		if err != nil {
			return err
		}
		expires, err := pskcDate(place.textAt(nsPSKC, "ExpiryDate"))
		if err != nil {
			return err
		}
		if born.After(tok.Born) {
			tok.Born = born
		}
		if tok.Expires.IsZero() || !expires.IsZero() && expires.Before(tok.Expires) {
			tok.Expires = expires
		}
	}
	return nil
}

// pskcDate reads an xsd:dateTime. A value without a time zone is read as UTC.
func pskcDate(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, ErrFormat.because("the date %.40q is not of the form 2006-01-31T00:00:00Z", s)
}

// integer reads a number: decimal in plain text, big-endian octets if encrypted.
func (k *pskcKeys) integer(e *element, absent int64) (int64, error) {
	if e == nil {
		return absent, nil
	}
	octets, err := k.value(e, func(s string) ([]byte, error) {
		n, err := strconv.ParseUint(s, 10, 63)
		return binary.BigEndian.AppendUint64(nil, n), err
	})
	if err != nil {
		return absent, err
	}
	if len(octets) == 0 || len(octets) > 8 || len(octets) == 8 && octets[0] > 0x7F {
		return absent, ErrFormat.because("its field %s is not a number of at most 63 bits", e.name.Local)
	}
	return int64(binary.BigEndian.Uint64(append(make([]byte, 8-len(octets), 8), octets...))), nil
}
