package tokenfile

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"keyfob/engine/tokencode"
)

// maxURI limits the length of a URI. The longest valid one holds a 256-byte seed.
const maxURI = 4096

// ParseURI parses what an app scans: an otpauth:// URI, or a SecurID CTF string or
// link that needs neither password nor device ID. The errors carry no secret.
func ParseURI(uri string) (Token, error) {
	uri = strings.TrimSpace(uri)
	switch {
	case len(uri) > maxURI:
		return Token{}, ErrTooLarge.because("the URI is longer than %d characters", maxURI)
	case hasPrefixFold(uri, "otpauth:"):
		return parseOTPAuth(uri)
	case hasPrefixFold(uri, "otpauth-migration:"):
		return Token{}, errMigration()
	default:
		return parseCTF(uri, Options{})
	}
}

func errMigration() error {
	return ErrUnsupported.because("this is an export of several tokens from Google Authenticator; use the otpauth:// URI of each token's own QR code")
}

// readOTPAuth reads a list of URIs, one per line.
func readOTPAuth(in *lines, c *collector) error {
	for {
		line, ok := in.next()
		if !ok {
			return in.err()
		}
		tok, err := Token{}, error(nil)
		switch {
		case len(line) > maxURI:
			err = ErrTooLarge.because("the URI is longer than %d characters", maxURI)
		case hasPrefixFold(line, "otpauth:"):
			tok, err = parseOTPAuth(line)
		case hasPrefixFold(line, "otpauth-migration:"):
			err = errMigration()
		default:
			err = ErrFormat.because("this is not an otpauth:// URI")
		}
		if err := c.take(tok, in.number, err); err != nil {
			return err
		}
	}
}

// parseOTPAuth reads Google Authenticator's "Key URI Format", the de facto standard.
func parseOTPAuth(uri string) (Token, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return Token{}, ErrFormat.because("the otpauth URI cannot be parsed")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Token{}, ErrFormat.because("the parameters of the otpauth URI cannot be parsed")
	}
	for name, values := range q {
		if len(values) > 1 {
			return Token{}, ErrFormat.because("the otpauth URI has the parameter %.20q twice", name)
		}
	}
	tok, err := otpauthKind(u.Host, q)
	if err != nil {
		return Token{}, err
	}
	if tok.Seed, err = base32Seed(q.Get("secret")); err != nil {
		return Token{}, err
	}
	tok.Issuer, tok.User = splitLabel(strings.TrimPrefix(u.Path, "/"))
	if issuer := clean(q.Get("issuer")); issuer != "" {
		tok.Issuer = issuer
	}
	tok.PINStyle = tokencode.Fob
	tok.Serial = q.Get("serial")
	if tok.Serial == "" {
		tok.Serial = labelSerial(tok)
	}
	return tok, finish(&tok)
}

// otpauthKind reads type, algorithm, digits, period and counter.
func otpauthKind(kind string, q url.Values) (Token, error) {
	tok := Token{Params: tokencode.Params{Kind: tokencode.Kind(strings.ToLower(kind)), Digits: 6}}
	var err error
	if tok.Params.Algorithm, err = parseAlgorithm(q.Get("algorithm")); err != nil {
		return Token{}, err
	}
	if s := q.Get("digits"); s != "" {
		if tok.Params.Digits, err = number(s, "digits"); err != nil {
			return Token{}, err
		}
	}
	switch tok.Params.Kind {
	case tokencode.TOTP:
		seconds := 30
		if s := q.Get("period"); s != "" {
			if seconds, err = number(s, "period"); err != nil {
				return Token{}, err
			}
		}
		tok.Params.Period = time.Duration(seconds) * time.Second
	case tokencode.HOTP:
		tok.Counter, err = parseCounter(q.Get("counter"))
	default:
		err = ErrUnsupported.because("the type in an otpauth URI must be totp or hotp, not %.20q", kind)
	}
	return tok, err
}

// parseAlgorithm reads the known spellings. An empty value means SHA1.
func parseAlgorithm(s string) (tokencode.Algorithm, error) {
	name := strings.ToUpper(s)
	name = strings.TrimPrefix(strings.ReplaceAll(name, "-", ""), "HMAC")
	switch a := tokencode.Algorithm(name); a {
	case "":
		return tokencode.SHA1, nil
	case tokencode.SHA1, tokencode.SHA256, tokencode.SHA512:
		return a, nil
	default:
		return "", ErrUnsupported.because("the algorithm must be SHA1, SHA256 or SHA512, not %s", shown(s))
	}
}

func parseCounter(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, ErrFormat.because("an HOTP token needs its next counter, a number from 0")
	}
	return n, nil
}

// number reads a small decimal number.
func number(s, what string) (int, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 16)
	if err != nil {
		return 0, ErrFormat.because("%s must be a number, not %s", what, shown(s))
	}
	return int(n), nil
}

// base32Seed reads RFC 4648 base32 in any case, with or without padding. Spaces and
// dashes are ignored.
func base32Seed(s string) (tokencode.Seed, error) {
	s = strings.ToUpper(strings.NewReplacer(" ", "", "-", "", "\t", "").Replace(s))
	s = strings.TrimRight(s, "=")
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(s)
	if err != nil {
		return nil, ErrFormat.because("the secret is not base32 (letters A to Z and digits 2 to 7)")
	}
	if len(seed) == 0 {
		return nil, ErrFormat.because("the secret is empty")
	}
	return seed, nil
}

// splitLabel splits "Issuer:account".
func splitLabel(label string) (issuer, account string) {
	issuer, account, found := strings.Cut(label, ":")
	if !found {
		return "", clean(label)
	}
	return clean(issuer), clean(account)
}

// labelSerial derives a serial for a token whose file has none. It is derived from the
// label alone and never from the secret: serials are public, and anything made
// from the secret would confirm a guess of it. Two tokens of one label get one serial,
// and the second is refused as a duplicate.
func labelSerial(tok Token) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "keyfob serial\x00%s\x00%s\x00%s", tok.Params.Kind, tok.Issuer, tok.User))
	return "URI-" + base32.StdEncoding.EncodeToString(sum[:])[:12]
}

// URI returns the text that an app scans to import this token: an otpauth:// URI, or for
// SecurID a CTF link without password or device. ParseURI reads both. The URI contains
// the seed in plain text: show it only once, and only to the token's owner.
func (t Token) URI() (string, error) {
	if err := t.Params.Validate(); err != nil {
		return "", fmt.Errorf("writing URI of token %s: %w", t.Serial, err)
	}
	if t.Params.Kind == tokencode.SecurID {
		return WriteCTF(t, CTFOptions{Version: 2, Link: true}, nil)
	}
	if strings.Contains(t.Issuer, ":") {
		return "", ErrFormat.because("the issuer %q has a colon, which is not allowed in an otpauth URI", t.Issuer)
	}
	label := queryEscape(t.User)
	if t.Issuer != "" || strings.Contains(t.User, ":") {
		label = queryEscape(t.Issuer) + ":" + label
	}
	secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(t.Seed)
	uri := fmt.Sprintf("otpauth://%s/%s?secret=%s&algorithm=%s&digits=%d", t.Params.Kind, label, secret, t.Params.Algorithm, t.Params.Digits)
	if t.Params.Kind == tokencode.HOTP {
		uri += fmt.Sprintf("&counter=%d", t.Counter)
	} else {
		uri += fmt.Sprintf("&period=%d", int(t.Params.Period/time.Second))
	}
	if t.Issuer != "" {
		uri += "&issuer=" + queryEscape(t.Issuer)
	}
	if t.Serial != "" {
		uri += "&serial=" + queryEscape(t.Serial) // keyfob extension; apps ignore unknown parameters
	}
	return uri, nil
}

// queryEscape escapes a space as %20, because apps do not decode a +.
func queryEscape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
