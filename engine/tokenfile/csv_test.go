package tokenfile

import (
	"bytes"
	"encoding/base32"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine/tokencode"
)

const (
	secretHex    = "3132333435363738393031323334353637383930"
	secretBase32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
)

func TestTableIsReadAccordingToItsHeader(t *testing.T) {
	seed := tokencode.Seed("12345678901234567890")
	totp6 := tokencode.Params{Kind: tokencode.TOTP, Algorithm: tokencode.SHA1, Digits: 6, Period: 30 * time.Second}
	for _, c := range []struct {
		name, table string
		want        Token
	}{
		{
			"the least", "serial,secret_hex,kind\nT1," + secretHex + ",totp",
			Token{Serial: "T1", Seed: seed, Params: totp6, PINStyle: tokencode.Fob},
		},
		{
			"everything, in any order, with semicolons and quotes",
			"Kind;Serial Number;secret_base32;digits;interval;algorithm;user;name;issuer;label;born;expires;pin-style\r\n" +
				"OATH-TOTP;T2;" + strings.ToLower(secretBase32) + ";8;60;sha-256;ann;\"Example; Ann\";Lab;blue;2020-01-02;2030/12/31;none\r\n",
			Token{
				Serial: "T2", Seed: seed, PINStyle: tokencode.NoPIN, User: "ann", Name: "Example; Ann", Issuer: "Lab", Label: "blue",
				Params:  tokencode.Params{Kind: tokencode.TOTP, Algorithm: tokencode.SHA256, Digits: 8, Period: time.Minute},
				Born:    time.Date(2020, 1, 2, 0, 0, 0, 0, time.UTC),
				Expires: time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC),
			},
		},
		{
			"HOTP with tabs", "serial\tsecret\ttype\tcounter\tinterval\nT3\tbase32:" + secretBase32 + "\thotp\t42\t",
			Token{Serial: "T3", Seed: seed, Counter: 42, PINStyle: tokencode.Fob, Params: tokencode.Params{Kind: tokencode.HOTP, Algorithm: tokencode.SHA1, Digits: 6}},
		},
		{
			"SecurID", "serial,seed,kind,digits,death,addpin\n123456789,000102030405060708090a0b0c0d0e0f,securid,8,2035/12/31,1",
			Token{
				Serial: "000123456789", Seed: tokencode.Seed("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"), PINStyle: tokencode.PINpad,
				Params:  tokencode.Params{Kind: tokencode.SecurID, Digits: 8, Period: time.Minute, Serial: "000123456789"},
				Expires: time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC),
			},
		},
		{
			"Microsoft's table", "upn,serial number,secret key,time interval,manufacturer,model\nann@example.org,T5," + secretBase32 + ",60,Maker,Key",
			Token{Serial: "T5", Seed: seed, User: "ann@example.org", PINStyle: tokencode.Fob, Params: tokencode.Params{Kind: tokencode.TOTP, Algorithm: tokencode.SHA1, Digits: 6, Period: time.Minute}},
		},
		{
			"a secret that can only be hex", "serial,secret,kind\nT6," + secretHex + ",totp",
			Token{Serial: "T6", Seed: seed, Params: totp6, PINStyle: tokencode.Fob},
		},
		{
			"Yubico's log", "LOGGING START,11.12.13 18:55\nOATH-HOTP,11.12.13 18:55,1,ubnu00000001,," + secretHex + ",,,0,0,0,8,0,0,0,0,0,0",
			Token{Serial: "ubnu00000001-1", Seed: seed, PINStyle: tokencode.Fob, Params: tokencode.Params{Kind: tokencode.HOTP, Algorithm: tokencode.SHA1, Digits: 8}},
		},
		{
			"Yubico's other table", "508326,,0," + secretHex + ",,2013-12-12T08:41:07,",
			Token{
				Serial: "508326", Seed: seed, PINStyle: tokencode.Fob, Params: tokencode.Params{Kind: tokencode.HOTP, Algorithm: tokencode.SHA1, Digits: 6},
				Warnings: []string{"its number of digits is not stated: taken as 6"},
			},
		},
		{
			"a table without header", "2308000000001," + strings.ToUpper(secretHex) + ",TOTP,6,60",
			Token{Serial: "2308000000001", Seed: seed, PINStyle: tokencode.Fob, Params: tokencode.Params{Kind: tokencode.TOTP, Algorithm: tokencode.SHA1, Digits: 6, Period: time.Minute}},
		},
	} {
		got, err := Read(strings.NewReader(c.table), Options{})
		if err != nil || got.Format != CSV || len(got.Refused) > 0 {
			t.Errorf("%s: %v, %s, refused %v", c.name, err, got.Format, got.Refused)
			continue
		}
		if diff := cmp.Diff([]Token{c.want}, got.Tokens); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}

func TestBadRowsReportTheProblem(t *testing.T) {
	const header = "serial,secret,kind,digits,interval,counter,algorithm,expires,pin_style,add_pin\n"
	for _, c := range []struct {
		table string
		class error
		says  string
	}{
		{header + ",hex:" + secretHex + ",totp", ErrFormat, "no serial"},
		{header + "T1,,totp", ErrFormat, "secret"},
		{header + "T1,hex:,totp", ErrFormat, "empty"},
		{header + "T1,hex:12zz,totp", ErrFormat, "hexadecimal"},
		{header + "T1,ABCDEF234567,totp", ErrFormat, "hex or base32"},
		{header + "T1,01GZ,totp", ErrFormat, "hex or base32"},
		{header + "T1,hex:" + secretHex + ",", ErrUnsupported, "kind"},
		{header + "T1,hex:" + secretHex + ",motp", ErrUnsupported, "kind"},
		{header + "T1,hex:" + secretHex + ",totp,six", ErrFormat, "digits"},
		{header + "T1,hex:" + secretHex + ",totp,6,20", ErrUnsupported, "period"},
		{header + "T1,hex:" + secretHex + ",totp,6,x", ErrFormat, "interval"},
		{header + "T1,hex:" + secretHex + ",hotp,6,,x", ErrFormat, "counter"},
		{header + "T1,hex:" + secretHex + ",totp,6,,,md5", ErrUnsupported, "algorithm"},
		{header + "T1,hex:" + secretHex + ",totp,6,,,,12/31/2030", ErrFormat, "YYYY/MM/DD"},
		{header + "T1,hex:" + secretHex + ",totp,6,,,,,pinpad", ErrUnsupported, "SecurID"},
		{header + "T1,hex:" + secretHex + ",totp,6,,,,,thumb", ErrFormat, "pin_style"},
		{header + "T1,hex:" + secretHex + ",totp,6,,,,,,yes", ErrFormat, "add_pin"},
		{header + "T1,hex:" + secretHex + ",securid,6", ErrUnsupported, "1 to 12 digits"},
		{header + "\"T1,hex:" + secretHex + ",totp", ErrFormat, "quotes"},
		{"2308000000001," + secretHex, ErrFormat, "totp or hotp"},
		{"2308000000001," + secretHex + ",ocra", ErrUnsupported, "totp or hotp"},
		{"2308000000001," + secretHex + ",totp,x", ErrFormat, "digits"},
		{"2308000000001," + secretHex + ",totp,6,x", ErrFormat, "interval"},
		{"Yubico OTP,12/11/2013 11:10,1,vvgutbiedkvi,ab86c04de6a3,d26a7c0f85fdda28bd816e406342b214,,,0,0,0,0,0,0,0,0,0,0", ErrUnsupported, "OATH-HOTP"},
		{"OATH-HOTP,11.12.13 19:01,1,,," + secretHex + ",,,0,0,0,6,0,0,0,0,0,0", ErrFormat, "public ID"},
		{"OATH-HOTP,11.12.13 19:01,1,ubnu1,," + secretHex + ",,,0,0,0,6,16,0,0,0,0,0", ErrUnsupported, "moving factor"},
		{"OATH-HOTP,11.12.13 19:01,1,ubnu1,," + secretHex, ErrFormat, "ends before"},
	} {
		got, err := Read(strings.NewReader(c.table), Options{})
		if err != nil || len(got.Tokens) > 0 || len(got.Refused) != 1 {
			t.Errorf("%s: %v, %+v", c.table, err, got)
			continue
		}
		if r := got.Refused[0]; !errors.Is(r, c.class) || !strings.Contains(r.Why(), c.says) || r.Line == 0 {
			t.Errorf("%s: %v, want %q (%v)", c.table, r, c.says, c.class)
		} else if strings.Contains(r.Error(), "31323334") {
			t.Errorf("the refusal contains the secret: %v", r)
		}
	}
}

func TestMixedUpColumnsDoNotShowTheSecret(t *testing.T) {
	for _, columns := range []string{"kind", "digits", "interval", "algorithm", "expires", "born", "pin_style", "add_pin"} {
		header := "serial,secret_hex,kind," + columns
		row := "T1," + secretHex + ",totp,"
		if columns == "kind" {
			header, row = "serial,secret_hex,kind", "T1,"+secretHex+","
		}
		for _, secret := range []string{secretHex, secretBase32, "JBSWY3DPEHPK3PXP"} {
			got, err := Read(strings.NewReader(header+"\n"+row+secret), Options{})
			if err != nil || len(got.Refused) != 1 {
				t.Errorf("%s: %v, %+v", columns, err, got)
				continue
			}
			if strings.Contains(strings.ToUpper(got.Refused[0].Error()), secret[:8]) {
				t.Errorf("the refusal contains the secret: %v", got.Refused[0])
			}
		}
	}
}

func TestUnknownColumnsAreNoted(t *testing.T) {
	got, err := Read(strings.NewReader("serial,secret_hex,kind,desk\nT1,"+secretHex+",totp,12"), Options{})
	if err != nil || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "desk") {
		t.Errorf("%v, notes %v", err, got.Notes)
	}
}

func TestEncodingOfTheOptionsDecides(t *testing.T) {
	const ambiguous = "ABCDEF234567"
	asBase32, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(ambiguous)
	if err != nil {
		t.Fatal(err)
	}
	for encoding, want := range map[Encoding][]byte{Hex: unhex(t, ambiguous), Base32: asBase32} {
		tok := readOne(t, "serial,secret,kind\nT1,"+ambiguous+",totp", Options{Encoding: encoding})
		if !bytes.Equal(tok.Seed, want) {
			t.Errorf("%s: %x, want %x", encoding, []byte(tok.Seed), want)
		}
	}
}

func TestStokenRCIsReadWithoutItsPIN(t *testing.T) {
	const token = "200012345678973042071776752216050450744647071253341607664173163270001302716770736"
	got, err := Read(strings.NewReader("version 1\ntoken "+token+"\npin 1234\n"), Options{})
	if err != nil || got.Format != StokenRC || len(got.Tokens) != 1 || got.Tokens[0].Serial != "000123456789" {
		t.Fatalf("%v, %+v", err, got)
	}
	if len(got.Notes) != 1 || strings.Contains(got.Notes[0], "1234") {
		t.Errorf("notes %v", got.Notes)
	}
}

func TestCTFIsFoundInMail(t *testing.T) {
	for _, link := range []string{
		"<http://127.0.0.1/securid/ctf?ctfData=3D2000123456789730420717767522160=\n50450744647071253341607664173163270001302716770736>",
		"com.rsa.securid://ctf?CTFDATA=\n200012345678973042071776752216050450744647071253341607664173163270001302716770736",
		"com.rsa.securid://ctf?ctfData=2000-1234-5678-9730-4207-1776-7522-1605-0450-7446-4707-1253-3416-0766-4173-1632-7000-1302-7167-7073-6",
	} {
		got, err := Read(strings.NewReader("Hello Ann,\n\nopen this link on your phone:\n"+link+"\n\nYour help desk"), Options{})
		if err != nil || got.Format != CTF || len(got.Tokens) != 1 || len(got.Refused) != 0 || len(got.Notes) != 1 {
			t.Errorf("%s: %v, %+v", link, err, got)
		}
	}
}
