package tokenfile

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine/tokencode"
)

func TestCTFReadsBackAsTheSameToken(t *testing.T) {
	for i := range uint64(20) {
		c := newChance(i)
		want := c.token()
		want.User, want.Name = "", "" // a CTF string has no room for them
		for _, o := range []CTFOptions{
			{Version: 2},
			{Version: 2, Link: true, Password: "päss wörd"},
			{Version: 2, DeviceID: deviceClasses[1]},
			{Version: 2, Link: true, Password: "asdf", DeviceID: "d82c-467c-56fb-2058-edf8-add6"},
			{Version: 3},
			{Version: 3, Password: "asdf", DeviceID: "My device #1"},
			{Version: 4, Password: Secret(strings.Repeat("x", maxCTFPassword))},
			{Version: 4, DeviceID: deviceClasses[6]},
		} {
			text, err := WriteCTF(want, o, c)
			if err != nil {
				t.Fatal(err)
			}
			got := readOne(t, text, Options{Password: o.Password, DeviceID: o.DeviceID})
			expect := want
			expect.DeviceID = o.DeviceID
			if o.Version == 2 {
				expect.Born = time.Time{}
				got.Warnings = nil
			}
			if diff := cmp.Diff(expect, got); diff != "" {
				t.Errorf("%+v %s:\n%s", o, text, diff)
			}
		}
	}
}

func TestCTFRefusesEveryWrongSecret(t *testing.T) {
	c := newChance(1)
	tok := c.token()
	for _, version := range []int{2, 3, 4} {
		text, err := WriteCTF(tok, CTFOptions{Version: version, Password: "asdf", DeviceID: "0123456789abcdef01234567"}, c)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range []struct {
			o     Options
			class error
		}{
			{Options{DeviceID: "0123456789abcdef01234567"}, ErrNeedPassword},
			{Options{Password: "Asdf", DeviceID: "0123456789abcdef01234567"}, ErrWrongPassword},
			{Options{Password: Secret(strings.Repeat("a", maxCTFPassword+1)), DeviceID: "0123456789abcdef01234567"}, ErrWrongPassword},
			{Options{Password: "asdf", DeviceID: "1123456789abcdef01234567"}, ErrDevice},
			{Options{Password: "asdf"}, ErrDevice},
		} {
			got, err := Read(strings.NewReader(text), w.o)
			if err != nil || len(got.Tokens) > 0 || !errors.Is(got.Refused[0], w.class) {
				t.Errorf("version %d with %+v: %v, %+v; want %v", version, w.o, err, got, w.class)
			}
		}
	}
}

func TestSealedCTFOfUnknownContentIsRefused(t *testing.T) {
	tok := newChance(2).token()
	for _, c := range []struct {
		name  string
		alter func(plain []byte)
		class error
	}{
		{"padding", func(p []byte) { p[ctf3Padding] = 0 }, ErrFormat},
		{"short serial", func(p []byte) { p[11] = 0 }, ErrFormat},
		{"serial of letters", func(p []byte) { p[0] = 'x' }, ErrUnsupported},
		{"PIN style", func(p []byte) { p[ctf3AddPIN] = 0x20 }, ErrUnsupported},
		{"digits", func(p []byte) { p[ctf3Digits] = 9 }, ErrUnsupported},
		{"interval", func(p []byte) { p[ctf3Interval] = 45 }, ErrUnsupported},
		{"nothing", func([]byte) {}, nil},
	} {
		plain := ctf3Plain(tok)
		c.alter(plain)
		got, err := Read(strings.NewReader(sealCTF3(plain, CTFOptions{Version: 4}, make([]byte, 16))), Options{})
		switch {
		case err != nil, len(got.Tokens)+len(got.Refused) != 1:
			t.Errorf("%s: %v, %+v", c.name, err, got)
		case c.class == nil && len(got.Tokens) != 1, c.class != nil && (len(got.Refused) != 1 || !errors.Is(got.Refused[0], c.class)):
			t.Errorf("%s: %+v, want %v", c.name, got, c.class)
		}
	}
	plain := ctf3Plain(tok)
	plain[ctf3Mode] = 1
	if got := readOne(t, sealCTF3(plain, CTFOptions{Version: 3}, make([]byte, 16)), Options{}); len(got.Warnings) != 1 {
		t.Errorf("no warning for a mode other than 0")
	}
}

// TestEveryByteOfAnUnboundCTFCounts flips bits of a string that only its own hashes
// protect.
func TestEveryByteOfAnUnboundCTFCounts(t *testing.T) {
	link := sealCTF3(ctf3Plain(newChance(3).token()), CTFOptions{Version: 3}, []byte("0123456789abcdef"))
	text, err := url.QueryUnescape(strings.TrimPrefix(link, ctfLink))
	if err != nil {
		t.Fatal(err)
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		altered := bytes.Clone(data)
		altered[i] ^= 0x40
		got, err := Read(strings.NewReader(ctfLink+base64.StdEncoding.EncodeToString(altered)), Options{})
		if err == nil && len(got.Tokens) > 0 {
			t.Errorf("token was read although byte %d was altered", i)
		}
	}
	if tok := readOne(t, base64.URLEncoding.EncodeToString(data), Options{}); tok.Serial == "" {
		t.Error("the URL-safe alphabet is not read")
	}
}

func TestWritersRefuseUnsupportedTokens(t *testing.T) {
	good := newChance(4).token()
	good.Params.Digits = 6
	seven, old, short, other := good, good, good, totp("KF-1", "bob")
	seven.Params.Digits = 7
	old.Expires = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	short.Seed = short.Seed[:8]
	late := good
	late.Expires = time.Date(2045, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name string
		tok  Token
		o    CTFOptions
	}{
		{"another kind", other, CTFOptions{Version: 2}},
		{"half a seed", short, CTFOptions{Version: 2}},
		{"version 1", good, CTFOptions{Version: 1}},
		{"version 5", good, CTFOptions{Version: 5}},
		{"a long password", good, CTFOptions{Version: 3, Password: Secret(strings.Repeat("x", 41))}},
		{"an expiry before 2000", old, CTFOptions{Version: 2}},
		{"an expiry after 2044", late, CTFOptions{Version: 2}},
		{"seven digits in version 3", seven, CTFOptions{Version: 3}},
		{"a device ID without digits", good, CTFOptions{Version: 2, DeviceID: "xyz"}},
		{"a device ID without letters", good, CTFOptions{Version: 3, DeviceID: "---"}},
		{"no entropy", good, CTFOptions{Version: 3}},
	} {
		if text, err := WriteCTF(c.tok, c.o, strings.NewReader("short")); err == nil {
			t.Errorf("%s was written as %s", c.name, text)
		}
	}
	for _, c := range []struct {
		name    string
		tokens  []Token
		origin  string
		entropy string
	}{
		{"no token", nil, "o", "0123456789abcdef"},
		{"no origin", []Token{good}, " ", "0123456789abcdef"},
		{"another kind", []Token{good, other}, "o", "0123456789abcdef"},
		{"half a seed", []Token{short}, "o", "0123456789abcdef"},
		{"no entropy", []Token{good}, "o", "short"},
	} {
		if err := WriteSDTID(&bytes.Buffer{}, c.tokens, SDTIDOptions{Origin: c.origin}, strings.NewReader(c.entropy)); err == nil {
			t.Errorf("%s was written", c.name)
		}
	}
}

func TestPINStyleComesFromTheRecord(t *testing.T) {
	for _, style := range []tokencode.PINStyle{tokencode.Fob, tokencode.PINpad} {
		tok := newChance(9).token()
		tok.PINStyle = style
		for _, version := range []int{2, 3} {
			text, err := WriteCTF(tok, CTFOptions{Version: version}, newChance(1))
			if err != nil {
				t.Fatal(err)
			}
			if got := readOne(t, text, Options{}).PINStyle; got != style {
				t.Errorf("version %d: %s, want %s", version, got, style)
			}
		}
	}
}
