package tokenfile

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyfob/engine/tokencode"
)

const (
	sdtidStart = "<?xml version=\"1.0\"?>\n<TKNBatch><TKNHeader>"
	pskcStart  = `<KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc">`
	bomb       = `<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>`
)

func TestHostileFilesGetASpecificError(t *testing.T) {
	fixture := func(name string) string { return string(content(t, "", name)) }
	single := fixture("sdtid/b01-8d60-pin.sdtid")
	kw := fixture("pskc/kw-aes128.xml")
	fig7 := fixture("pskc/rfc6030-fig7.xml")
	for _, c := range []struct {
		name, file string
		options    Options
		class      error
		says       string
	}{
		{"nothing", "", Options{}, ErrFormat, "empty"},
		{"blank", "\n \n\t\n", Options{}, ErrFormat, "empty"},
		{"binary", "\x00\x01\x02PK", Options{}, ErrFormat, "not text"},
		{"UTF-16", "\xff\xfe<\x00T\x00", Options{}, ErrFormat, "UTF-16"},
		{"prose", "Dear colleague, here are the tokens", Options{}, ErrFormat, "not a token file"},
		{"unknown format", "x,y", Options{Format: "xls"}, ErrUnsupported, "not one of"},
		{"other XML", "<data><token/></data>", Options{}, ErrFormat, "neither"},
		{"other XML, asked as sdtid", "<data><token/></data>", Options{Format: SDTID}, ErrFormat, "TKNBatch"},
		{"other namespace", `<KeyContainer xmlns="urn:x"/>`, Options{}, ErrFormat, "namespace"},

		{"entity bomb in sdtid", "<?xml version=\"1.0\"?>" + bomb + "<TKNBatch>&c;</TKNBatch>", Options{}, ErrUnsupported, "attack"},
		{"entity bomb in PSKC", bomb + pskcStart + "&c;</KeyContainer>", Options{}, ErrUnsupported, "attack"},
		{"undeclared entity", sdtidStart + "<Name>&xxe;</Name></TKNHeader></TKNBatch>", Options{}, ErrFormat, "not XML"},
		{"deep nesting", sdtidStart + strings.Repeat("<a>", 10000), Options{}, ErrTooLarge, "nested"},
		{"deep nesting in PSKC", pskcStart + strings.Repeat("<a>", 10000), Options{}, ErrTooLarge, "nested"},
		{"wide header", sdtidStart + strings.Repeat("<a/>", 10000), Options{}, ErrTooLarge, "section"},
		{"many attributes", pskcStart + "<a" + strings.Repeat(" b='c'", 10000) + "/>", Options{}, ErrTooLarge, "section"},
		{"long text", sdtidStart + "<Name>" + strings.Repeat("x", 300<<10) + "</Name>", Options{}, ErrTooLarge, "section"},
		{"encoding", `<?xml version="1.0" encoding="EBCDIC-XY"?><TKNBatch/>`, Options{}, ErrUnsupported, "UTF-8"},
		{"two roots", "<TKNBatch><TKNHeader/></TKNBatch><TKNBatch/>", Options{}, ErrFormat, "second root"},
		{"cut off", single[:len(single)/2], Options{}, ErrFormat, "incomplete"},

		{"no header", "<TKNBatch></TKNBatch>", Options{}, ErrFormat, "no header"},
		{"token before header", "<TKNBatch><TKN><SN>1</SN></TKN></TKNBatch>", Options{}, ErrFormat, "precedes the header"},
		{"two headers", strings.Replace(single, "<TKN>", "<TKNHeader/><TKN>", 1), Options{}, ErrFormat, "two headers"},
		{"no header MAC", strings.Replace(single, "HeaderMAC>", "HeaderMBC>", 2), Options{}, ErrFormat, "HeaderMAC once"},
		{"two origins", strings.Replace(single, "<Origin>", "<Origin>x</Origin><Origin>", 1), Options{}, ErrFormat, "Origin once"},
		{"no secret", strings.Replace(single, "<Secret>", "<Secret>!", 1), Options{}, ErrFormat, "Secret"},
		{"password missing", fixture("sdtid/pw-simple.sdtid"), Options{}, ErrNeedPassword, "password"},
		{"password wrong", fixture("sdtid/pw-simple.sdtid"), Options{Password: "Secret"}, ErrWrongPassword, "password"},
		{"two serials", strings.Replace(single, "</SN>", "</SN><SN>1</SN>", 1), Options{}, ErrFormat, "SN once"},
		{"serial too long", strings.Replace(single, "<SN>", "<SN>1", 1), Options{}, ErrFormat, "1 to 12 digits"},
		{"token MAC missing", strings.Replace(single, "TokenMAC>", "TokenMBC>", 2), Options{}, ErrFormat, "TokenMAC once"},
		{"name altered", strings.Replace(single, "<UserLogin>", "<UserLogin>x", 1), Options{}, ErrAltered, "MAC"},
		{"header altered", strings.Replace(single, "<DefDigits>8", "<DefDigits>6", 1), Options{}, ErrAltered, "header"},

		{"PSKC without password", fig7, Options{}, ErrNeedPassword, "password"},
		{"PSKC without key", kw, Options{}, ErrNeedPassword, "K3"},
		{"PSKC key as password", kw, Options{Password: "hello"}, ErrWrongPassword, "hexadecimal"},
		{"PSKC key of another size", kw, Options{Key: "0123456789"}, ErrWrongPassword, "10 bytes"},
		{"PSKC wrapped under another key", kw, Options{Key: "0123456789abcdef"}, ErrWrongPassword, "wrong"},
		{"PSKC endless derivation", strings.Replace(fig7, ">1000<", ">1000000000000<", 1), Options{Password: "qwerty"}, ErrTooLarge, "rounds"},
		{"PSKC no derivation", strings.Replace(fig7, ">1000<", ">0<", 1), Options{Password: "qwerty"}, ErrTooLarge, "rounds"},
		{"PSKC other derivation", strings.Replace(fig7, "#pbkdf2\"", "#scrypt\"", 1), Options{Password: "qwerty"}, ErrUnsupported, "PBKDF2"},
		{"PSKC other cipher", strings.ReplaceAll(fig7, "#aes128-cbc", "#rc4"), Options{Password: "qwerty"}, ErrUnsupported, "rc4"},
		{"PSKC other MAC", strings.ReplaceAll(fig7, "#hmac-sha1", "#hmac-md5"), Options{Password: "qwerty"}, ErrUnsupported, "md5"},
		{"PSKC certificate", pskcStart + `<EncryptionKey><X509Data/></EncryptionKey><KeyPackage/></KeyContainer>`, Options{}, ErrUnsupported, "certificate"},
		{"PSKC empty", pskcStart + `</KeyContainer>`, Options{}, ErrFormat, "no token"},

		{"CT-KIP", "com.rsa.securid://ctkip?scheme=https&url=rsa.example&activationCode=1", Options{}, ErrUnsupported, "CT-KIP"},
		{"CTF version 1", "1" + strings.Repeat("0", 80), Options{}, ErrUnsupported, "version 1"},
		{"CTF too short", "20001234567897304207177675221605", Options{}, ErrFormat, "missing"},
		{"CTF v3 cut", "com.rsa.securid://ctf?ctfData=AwAA8UDdDi8Vck1o", Options{}, ErrFormat, "damaged"},
		{"CTF v3 percent", "com.rsa.securid://ctf?ctfData=AwAA%zz", Options{}, ErrFormat, "percent"},
		{"CTF link without string", "com.rsa.securid://ctf?ctfData=", Options{}, ErrFormat, "begin with"},

		{"table without kind", "serial,secret_hex\n1,00", Options{}, ErrFormat, "kind"},
		{"table without secret", "serial,kind\n1,totp", Options{}, ErrFormat, "secret"},
		{"table with two serials", "serial,SN,secret,kind\n", Options{}, ErrFormat, "twice"},
		{"table without header", "a,b\n1,2", Options{Format: CSV}, ErrFormat, "header"},
		{"empty table", "serial,secret_hex,kind\n", Options{}, ErrFormat, "no token"},
	} {
		got, err := Read(strings.NewReader(c.file), c.options)
		if err == nil && len(got.Refused) > 0 {
			err = got.Refused[0]
		}
		if len(got.Tokens) > 0 || !errors.Is(err, c.class) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %d tokens, %v; want %q (%v)", c.name, len(got.Tokens), err, c.says, c.class)
		}
	}
}

// TestAlteredFilesNeverChangeAToken changes one byte at a time of every fixture that
// has a MAC. Any token that is still read must be unchanged, except for text that no
// MAC covers in PSKC.
func TestAlteredFilesNeverChangeAToken(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		file    string
		options Options
	}{
		{"sdtid/b01-8d60-pin.sdtid", Options{}},
		{"sdtid/overrides.sdtid", Options{}},
		{"sdtid/multi.sdtid", Options{}},
		{"sdtid/pw-special.sdtid", Options{Password: `Correct_horse!battery&staple<>"'`}},
		{"pskc/rfc6030-fig6.xml", Options{Key: Secret(unhex(t, "12345678901234567890123456789012"))}},
	} {
		data := content(t, "", c.file)
		whole, err := Read(bytes.NewReader(data), c.options)
		if err != nil {
			t.Fatal(err)
		}
		seeds := map[string]bool{}
		for _, tok := range whole.Tokens {
			seeds[string(tok.Seed)] = true
		}
		for range 500 {
			altered := bytes.Clone(data)
			altered[rnd.IntN(len(altered))] ^= 1 << rnd.IntN(7)
			got, err := Read(bytes.NewReader(altered), c.options)
			if err != nil {
				continue
			}
			for i, tok := range got.Tokens {
				if !seeds[string(tok.Seed)] {
					t.Errorf("%s: seed of token %d changed", c.file, i)
				}
				if strings.HasPrefix(c.file, "sdtid") && (tok.Params != whole.Tokens[min(i, len(whole.Tokens)-1)].Params && len(got.Tokens) == len(whole.Tokens)) {
					t.Errorf("%s: token %d was altered to %+v", c.file, i, tok)
				}
			}
		}
	}
}

func TestTruncatedFilesAreRefused(t *testing.T) {
	files, err := filepath.Glob("testdata/sdtid/*.sdtid")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		data = bytes.TrimSpace(data)
		for n := 0; n < len(data); n += 97 {
			if got, err := Read(bytes.NewReader(data[:n]), Options{}); err == nil {
				t.Errorf("%s cut at %d was read, %d tokens", name, n, len(got.Tokens))
			}
		}
	}
}

// sealed returns a single-token file with altered fields and valid MACs.
func sealed(t *testing.T, alter func(header, token *sdtidFields)) string {
	t.Helper()
	tok := newChance(5).token()
	tok.PINStyle = tokencode.PINpad
	header := sdtidHeader([]Token{tok}, SDTIDOptions{Origin: "o"}, make([]byte, 16))
	keys, err := newSDTIDKeys(header, "o")
	if err != nil {
		t.Fatal(err)
	}
	fields := sdtidToken(tok, header, keys)
	alter(&header, &fields)
	header = append(header, macField("TKNHeader.HeaderMAC", keys.headerMAC(header)))
	fields = append(fields, macField("TKN.TokenMAC", keys.tokenMAC(fields)))
	var out bytes.Buffer
	out.WriteString("<TKNBatch>")
	header.writeXML(&out, "TKNHeader")
	fields.writeXML(&out, "TKN")
	out.WriteString(sdtidTrailer)
	return out.String()
}

func TestUndefinedRecordsAreRefused(t *testing.T) {
	set := func(name, value string) func(header, token *sdtidFields) {
		return func(header, _ *sdtidFields) {
			for i := range *header {
				if (*header)[i].name == name {
					(*header)[i].value = value
				}
			}
		}
	}
	for _, c := range []struct {
		name, value, says string
		class             error
	}{
		{"DefAlg", "0", "2003", ErrUnsupported},
		{"DefInterval", "45", "period", ErrUnsupported},
		{"DefInterval", "99999999999", "not a number", ErrFormat},
		{"DefDigits", "4", "4 digits", ErrUnsupported},
		{"DefDigits", "0b110", "not a number", ErrFormat},
		{"DefDigits", "1_0", "not a number", ErrFormat},
		{"DefDigits", "-6", "not a number", ErrFormat},
		{"DefDeath", "31.12.2030", "YYYY/MM/DD", ErrFormat},
		{"DefDeath", " ", "Death", ErrFormat},
		{"DefBirth", "2020/13/01", "YYYY/MM/DD", ErrFormat},
	} {
		got, err := Read(strings.NewReader(sealed(t, set(c.name, c.value))), Options{})
		if err != nil || len(got.Tokens) > 0 || len(got.Refused) != 1 {
			t.Errorf("%s %s: %v, %+v", c.name, c.value, err, got)
			continue
		}
		if r := got.Refused[0]; !errors.Is(r, c.class) || !strings.Contains(r.Why(), c.says) || r.Serial == "" {
			t.Errorf("%s %s: %v, want it to say %q", c.name, c.value, r, c.says)
		}
	}
	got, err := Read(strings.NewReader(sealed(t, func(_, token *sdtidFields) { token.put("TKN.Digits", "6"); token.put("TKN.Digits", "8") })), Options{})
	if err != nil || len(got.Tokens) > 0 || !strings.Contains(got.Refused[0].Why(), "twice") {
		t.Errorf("a field twice: %v, %+v", err, got)
	}
	for name, value := range map[string]string{"DefMode": "1", "DefAddPIN": "0"} { // LocalPIN stays 1
		tok := readOne(t, sealed(t, set(name, value)), Options{})
		if len(tok.Warnings) != 1 {
			t.Errorf("%s %s: no warning; got %v", name, value, tok.Warnings)
		}
	}
	for name, value := range map[string]string{"DefDigits": "0x8", "DefInterval": "074", "DefSmallWin": "630"} {
		tok := readOne(t, sealed(t, set(name, value)), Options{})
		switch {
		case name == "DefDigits" && tok.Params.Digits != 8,
			name == "DefInterval" && tok.Params.Period != time.Minute,
			name == "DefSmallWin" && tok.Windows.Small != 630/seconds(tok.Params):
			t.Errorf("%s %s: %+v", name, value, tok)
		}
	}
}

func TestOldAndUndefinedCTFStringsAreRefused(t *testing.T) {
	write := func(flags, days uint64) string {
		var bits bitString
		for range 16 {
			bits.put(0, 8)
		}
		bits.put(flags, 16)
		bits.put(days, 14)
		bits.put(0, 31)
		body := "2000123456789" + bits.octal()
		var sum bitString
		sum.put(uint64(shortHash([]byte(body))), 15)
		return body + sum.octal()
	}
	for _, c := range []struct {
		flags uint64
		class error
		says  string
	}{
		{5 << shiftDigits, ErrUnsupported, "2003"},
		{flag128Bit | 5<<shiftDigits | 2, ErrUnsupported, "interval"},
		{flag128Bit | 5<<shiftDigits | flagPassword, ErrNeedPassword, "password"},
		{flag128Bit | 5<<shiftDigits | flagDevice, ErrDevice, "device"},
		{flag128Bit | 5<<shiftDigits, ErrAltered, "check"},
	} {
		got, err := Read(strings.NewReader(write(c.flags, 10000)), Options{})
		if err != nil || len(got.Refused) != 1 || !errors.Is(got.Refused[0], c.class) || !strings.Contains(got.Refused[0].Why(), c.says) {
			t.Errorf("flags %x: %v, %v", c.flags, err, got.Refused)
		} else if got.Refused[0].Serial != "000123456789" {
			t.Errorf("flags %x: serial %q", c.flags, got.Refused[0].Serial)
		}
	}
	nines := "2000123456789" + strings.Repeat("9", 63)
	var sum bitString
	sum.put(uint64(shortHash([]byte(nines))), 15)
	if got, err := Read(strings.NewReader(nines+sum.octal()), Options{}); err != nil || len(got.Refused) != 1 || !strings.Contains(got.Refused[0].Why(), "0 to 7") {
		t.Errorf("digits 8 and 9: %v, %v", err, got.Refused)
	}
}

func TestTokensExpireAfterTheirLastDay(t *testing.T) {
	last := time.Date(2035, 12, 31, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		now  time.Time
		read bool
	}{{last.Add(24*time.Hour - time.Nanosecond), true}, {last.Add(24 * time.Hour), false}, {time.Time{}, true}} {
		got, err := Read(bytes.NewReader(content(t, "", "sdtid/b01-8d60-pin.sdtid")), Options{Now: c.now})
		if err != nil || (len(got.Tokens) == 1) != c.read {
			t.Errorf("at %v: %v, %+v", c.now, err, got)
		}
		if !c.read && (!errors.Is(got.Refused[0], ErrExpired) || !strings.Contains(got.Refused[0].Why(), "2035-12-31")) {
			t.Errorf("at %v: %v", c.now, got.Refused[0])
		}
	}
}

func TestMissingTokensAreNoted(t *testing.T) {
	multi := string(content(t, "", "sdtid/multi.sdtid"))
	got, err := Read(strings.NewReader(sealed(t, func(header, _ *sdtidFields) { (*header)[6].value = "2" })), Options{})
	if err != nil || len(got.Notes) != 1 || len(got.Tokens) != 1 {
		t.Errorf("%v, notes %v", err, got.Notes)
	}
	if got, err := Read(strings.NewReader(multi), Options{}); err != nil || len(got.Notes) != 0 {
		t.Errorf("%v, notes %v", err, got.Notes)
	}
}

func TestDuplicateSerialsAreRefused(t *testing.T) {
	multi := string(content(t, "", "sdtid/multi.sdtid"))
	start, end := strings.Index(multi, "<TKN>"), strings.Index(multi, "</TKN>")+len("</TKN>")
	twice := multi[:end] + multi[start:end] + multi[end:]
	got, err := Read(strings.NewReader(twice), Options{})
	if err != nil || len(got.Tokens) != 3 || len(got.Refused) != 1 || !errors.Is(got.Refused[0], ErrDuplicate) {
		t.Errorf("%v, %d tokens, refused %v", err, len(got.Tokens), got.Refused)
	}
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	var out bytes.Buffer
	o := Options{Password: "hunter2", Key: "hunter2"}
	tok := Token{Seed: tokencode.Seed("hunter2")}
	text := fmt.Sprintf("%v %+v %#v %x %q %s", o, o, o, o.Password, o.Password, o.Password) + fmt.Sprintf("%v %+v %#v", tok, tok, tok) + o.Password.String() + o.Password.GoString()
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "password", o.Password, "options", o, "token", tok)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "password", o.Password, "options", o, "token", tok)
	text += out.String()
	if strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) {
		t.Error(text)
	}
}
