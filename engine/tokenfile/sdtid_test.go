package tokenfile

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSDTIDReadsBackAsTheSameTokens(t *testing.T) {
	for i := range uint64(20) {
		c := newChance(50 + i)
		var tokens []Token
		for n := range 1 + c.IntN(5) {
			tok := c.token()
			tok.Serial = strings.Repeat("0", 11) + string(rune('1'+n))
			tok.Params.Serial = tok.Serial
			tok.Name = "Ann Maria Example"
			tok.Label = c.text(20)
			tok.Windows = Windows{Small: c.IntN(20), Medium: 20, Large: 70}
			tok.DeviceID = deviceClasses[c.IntN(7)]
			tokens = append(tokens, tok)
		}
		var file bytes.Buffer
		if err := WriteSDTID(&file, tokens, SDTIDOptions{Password: "päss", Origin: "o", Name: c.text(40)}, c); err != nil {
			t.Fatal(err)
		}
		got, err := Read(&file, Options{Password: "päss"})
		if err != nil || len(got.Refused) > 0 {
			t.Fatal(err, got.Refused)
		}
		if diff := cmp.Diff(tokens, got.Tokens); diff != "" {
			t.Error(diff)
		}
	}
}

func TestOldEncodingsAreRead(t *testing.T) {
	for label, encoded := range map[string]string{"ISO-8859-1": "Zo\xeb", "windows-1252": "Zo\xeb\x80", "us-ascii": "Zoe"} {
		want := map[string]string{"ISO-8859-1": "Zoë", "windows-1252": "Zoë€", "us-ascii": "Zoe"}[label]
		file := sealed(t, func(_, token *sdtidFields) {
			for i := range *token {
				switch (*token)[i].name {
				case "UserLogin":
					(*token)[i].value = want
				case "UserFirstName", "UserLastName":
					(*token)[i].value = "x"
				}
			}
		})
		file = `<?xml version="1.0" encoding="` + label + `"?>` + strings.Replace(file, want, encoded, 1)
		if tok := readOne(t, file, Options{}); tok.User != want {
			t.Errorf("%s: user %q, want %q", label, tok.User, want)
		}
	}
}

func TestUntrustedTextIsMadeSafeToDisplay(t *testing.T) {
	for in, want := range map[string]string{
		"  Ann \t Example\n":       "Ann  Example",
		"a\x00b\x1b[31mc\x7f":      "ab[31mc",
		"x\u202Ey":                 "xy",
		"bad\xffbytes":             "bad\uFFFDbytes",
		strings.Repeat("é", 200):   strings.Repeat("é", 128),
		strings.Repeat("漢", 100):   strings.Repeat("漢", 85),
		strings.Repeat("a", 10000): strings.Repeat("a", 256),
	} {
		if got := clean(in); got != want {
			t.Errorf("%.40q became %.40q, want %.40q", in, got, want)
		}
	}
}
