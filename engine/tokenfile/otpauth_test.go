package tokenfile

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"keyfob/engine/tokencode"
)

// plain exposes the seeds for comparison. A Seed prints as ***, so a diff of Seeds would
// not show the difference.
var plain = cmpopts.EquateEmpty()

func totp(serial, user string) Token {
	return Token{
		Serial:   serial,
		Params:   tokencode.Params{Kind: tokencode.TOTP, Algorithm: tokencode.SHA256, Digits: 8, Period: time.Minute},
		Seed:     tokencode.Seed("12345678901234567890"),
		PINStyle: tokencode.Fob,
		User:     user,
	}
}

func TestURIReadsBackAsTheSameToken(t *testing.T) {
	counter := totp("KF-2", "erin")
	counter.Params = tokencode.Params{Kind: tokencode.HOTP, Algorithm: tokencode.SHA1, Digits: 6}
	counter.Counter = 1 << 40
	strange := totp("KF-3", "a:b/c?d#e%f g+h@i&j=k")
	issued := totp("KF-4", "Zoë Müller")
	issued.Issuer = "Häuser & Söhne + Co 50% / #1?"
	fob := Token{
		Serial:   "000123456789",
		Params:   tokencode.Params{Kind: tokencode.SecurID, Digits: 8, Period: time.Minute, Serial: "000123456789"},
		Seed:     tokencode.Seed("0123456789abcdef"),
		PINStyle: tokencode.PINpad,
		Expires:  time.Date(2035, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	for _, tok := range []Token{totp("KF-1", "bob"), counter, strange, issued, fob} {
		uri, err := tok.URI()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseURI(" " + uri + "\n")
		if err != nil {
			t.Fatalf("%s: %v", uri, err)
		}
		if diff := cmp.Diff(tok, got, plain); diff != "" {
			t.Errorf("%s:\n%s", uri, diff)
		}
		if strings.ContainsAny(uri, " +") {
			t.Errorf("%s holds a space or a + that apps show as it stands", uri)
		}
	}
}

func TestURIRefusesUnsupportedTokens(t *testing.T) {
	colon := totp("KF-1", "bob")
	colon.Issuer = "a:b"
	for _, tok := range []Token{{}, colon, {Params: tokencode.Params{Kind: tokencode.SecurID, Digits: 6, Period: time.Minute, Serial: "1"}}} {
		if uri, err := tok.URI(); err == nil {
			t.Errorf("%+v became %s", tok, uri)
		}
	}
}

func TestBadURIsReportTheProblem(t *testing.T) {
	const good = "otpauth://totp/Lab:bob?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	for _, c := range []struct {
		uri   string
		class error
		says  string
	}{
		{good + "&secret=GEZDGNBVGY3TQOJQ", ErrFormat, "twice"},
		{good + "&digits=5", ErrUnsupported, "5 digits"},
		{good + "&digits=six", ErrFormat, "digits must be a number"},
		{good + "&digits=-6", ErrFormat, "digits must be a number"},
		{good + "&digits=99999999999999999999", ErrFormat, "digits must be a number"},
		{good + "&period=45", ErrUnsupported, "period"},
		{good + "&algorithm=MD5", ErrUnsupported, "SHA1"},
		{good + "&serial=a%20b", ErrFormat, "serial"},
		{good + "&serial=" + strings.Repeat("1", 65), ErrFormat, "serial"},
		{good + "&x=%zz", ErrFormat, "parameters"},
		{"otpauth://totp/%zz?secret=GEZDGNBV", ErrFormat, "cannot be parsed"},
		{"otpauth://totp/bob", ErrFormat, "empty"},
		{"otpauth://steam/bob?secret=GEZDGNBV", ErrUnsupported, "totp or hotp"},
		{"otpauth://hotp/bob?secret=GEZDGNBV", ErrFormat, "counter"},
		{"otpauth://hotp/bob?secret=GEZDGNBV&counter=-1", ErrFormat, "counter"},
		{"otpauth://totp/bob?secret=" + strings.Repeat("A", 4096), ErrTooLarge, "longer"},
		{"otpauth://totp/bob?secret=" + strings.Repeat("A", 1024), ErrUnsupported, "seed"},
		{"otpauth-migration://offline?data=CjEKCkhlbGxv", ErrUnsupported, "export of several tokens"},
		{"http://127.0.0.1/securid/ctkip?scheme=https&url=x&activationCode=1", ErrUnsupported, "CT-KIP"},
		{"https://example.org/", ErrFormat, "CTF"},
		{"", ErrFormat, "CTF"},
	} {
		_, err := ParseURI(c.uri)
		if !errors.Is(err, c.class) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.80s: %v, want %q (%v)", c.uri, err, c.says, c.class)
		}
		if err != nil && strings.Contains(err.Error(), "GEZDG") {
			t.Errorf("the error contains the secret: %v", err)
		}
	}
}

func TestListOfURIsReportsEachBadLine(t *testing.T) {
	list := "\uFEFF# tokens of the lab\r\n\r\n" +
		"otpauth://totp/Lab:bob?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&serial=KF-1\r\n" +
		"otpauth://totp/Lab:eve?secret=0189\r\n" +
		"otpauth://totp/Lab:bob?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&serial=KF-1\r\n" +
		"bob\r\n" +
		"OTPAUTH://HOTP/carol?secret=GEZDGNBVGY3TQOJQ&counter=3"
	got, err := Read(strings.NewReader(list), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Format != OTPAuth || len(got.Tokens) != 2 || got.Tokens[0].Serial != "KF-1" || got.Tokens[1].User != "carol" {
		t.Errorf("read %s: %+v", got.Format, got.Tokens)
	}
	if len(got.Tokens) == 2 && (len(got.Tokens[1].Warnings) != 1 || !strings.Contains(got.Tokens[1].Warnings[0], "80 bits")) {
		t.Errorf("80-bit seed: no warning; got %v", got.Tokens[1].Warnings)
	}
	want := []struct {
		line  int
		class error
	}{{4, ErrFormat}, {5, ErrDuplicate}, {6, ErrFormat}}
	if len(got.Refused) != len(want) {
		t.Fatalf("refused %v", got.Refused)
	}
	for i, w := range want {
		if r := got.Refused[i]; r.Line != w.line || !errors.Is(r, w.class) || r.Why() == "" {
			t.Errorf("refusal %d: %v", i, r)
		}
	}
}

func TestSerialOfALabelSaysNothingAboutTheSecret(t *testing.T) {
	a, err := ParseURI("otpauth://totp/Lab:bob?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
	if err != nil {
		t.Fatal(err)
	}
	b, err := ParseURI("otpauth://totp/Lab:bob?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseURI("otpauth://totp/Lab:carol?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
	if err != nil {
		t.Fatal(err)
	}
	if a.Serial != b.Serial || a.Serial == c.Serial {
		t.Errorf("serials %s, %s, %s", a.Serial, b.Serial, c.Serial)
	}
}
