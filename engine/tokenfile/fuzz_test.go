package tokenfile

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyfob/engine/tokencode"
)

// holds checks what is promised of the result of every file.
func holds(t *testing.T, data []byte, o Options) {
	t.Helper()
	o.MaxTokens = 100
	got, err := Read(bytes.NewReader(data), o)
	if err != nil && len(got.Tokens)+len(got.Refused) > 0 {
		t.Fatalf("error %v, but %d tokens were returned", err, len(got.Tokens))
	}
	if err == nil && len(got.Tokens)+len(got.Refused) == 0 {
		t.Fatal("got neither tokens nor refusals")
	}
	serials := map[string]bool{}
	for _, tok := range got.Tokens {
		if _, err := tokencode.New(tok.Params, tok.Seed); err != nil {
			t.Fatalf("token cannot compute a tokencode: %v", err)
		}
		if checkSerial(tok.Serial) != nil || serials[tok.Serial] || tok.Counter < 0 || tok.PINStyle == "" {
			t.Fatalf("read %+v", tok)
		}
		serials[tok.Serial] = true
		for _, text := range []string{tok.User, tok.Name, tok.Issuer, tok.Label, tok.DeviceID} {
			if text != clean(text) {
				t.Fatalf("text %q is not safe to display", text)
			}
		}
		again(t, tok)
	}
	for _, r := range got.Refused {
		if r.Why() == "" || len(r.Error()) > 1000 {
			t.Fatalf("reason %q", r)
		}
	}
}

// again writes a token as a URI and reads it back.
func again(t *testing.T, tok Token) {
	t.Helper()
	uri, err := tok.URI()
	if err != nil || len(uri) > maxURI {
		return // an issuer with a colon, a date out of range: each has its own test
	}
	back, err := ParseURI(uri)
	if err != nil {
		t.Fatalf("%s: %v", uri, err)
	}
	if back.Params != tok.Params || !bytes.Equal(back.Seed, tok.Seed) || back.Serial != tok.Serial || back.Counter != tok.Counter {
		t.Fatalf("%+v came back as %+v", tok, back)
	}
}

func addFiles(f *testing.F, pattern string) {
	f.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		f.Fatal(pattern, err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "")
	}
}

func FuzzSDTID(f *testing.F) {
	addFiles(f, "testdata/sdtid/*.sdtid")
	f.Fuzz(func(t *testing.T, data []byte, password string) {
		holds(t, data, Options{Format: SDTID, Password: Secret(password)})
	})
}

// FuzzSealedRecord fuzzes fields behind valid MACs, which FuzzSDTID cannot reach.
func FuzzSealedRecord(f *testing.F) {
	names := []string{"SN", "Birth", "Death", "Digits", "Interval", "Alg", "Mode", "SmallWin", "AddPIN", "LocalPIN", "UserLogin", "Seed", "Nickname", "x"}
	for i := range names {
		f.Add(uint8(i), "1", true)
		f.Add(uint8(i), "0x10", false)
	}
	f.Fuzz(func(t *testing.T, name uint8, value string, inHeader bool) {
		n := names[int(name)%len(names)]
		data := sealed(t, func(header, token *sdtidFields) {
			if inHeader {
				header.put("TKNHeader.Def"+n, value)
			} else {
				token.put("TKN."+n, value)
			}
		})
		holds(t, []byte(data), Options{Format: SDTID})
	})
}

func FuzzPSKC(f *testing.F) {
	addFiles(f, "testdata/pskc/*.xml")
	f.Add([]byte(pskcFile(pskcTOTP, pskcDigits8+"<Data>"+pskcSecret+"</Data>")), "qwerty")
	f.Fuzz(func(t *testing.T, data []byte, password string) {
		if bytes.Contains(data, []byte("0000")) { // a long key derivation is bounded, but slow here
			data = bytes.ReplaceAll(data, []byte("0000"), nil)
		}
		holds(t, data, Options{Format: PSKC, Password: Secret(password)})
	})
}

func FuzzCTF(f *testing.F) {
	v := load(f)
	for _, c := range v.Containers {
		if c.Text != "" {
			f.Add([]byte(c.Text), c.Password, c.DeviceID)
		}
	}
	for _, c := range v.Negative {
		f.Add([]byte(c.Text), c.Password, c.DeviceID)
	}
	f.Fuzz(func(t *testing.T, data []byte, password, device string) {
		holds(t, data, Options{Format: CTF, Password: Secret(password), DeviceID: device})
	})
}

// FuzzCTF2Record fuzzes fields behind a valid checksum, which FuzzCTF cannot reach.
func FuzzCTF2Record(f *testing.F) {
	f.Add(uint16(flag128Bit|5<<shiftDigits), uint16(13000), uint16(0), []byte("0123456789abcdef"))
	f.Add(uint16(0xFFFF), uint16(0xFFFF), uint16(0xFFFF), []byte{})
	f.Fuzz(func(t *testing.T, flags, days, device uint16, seed []byte) {
		plain := fit(string(seed), 16)
		var encrypted [16]byte
		newAES(ctf2Key(nil, "")).Encrypt(encrypted[:], plain)
		var bits, sum bitString
		for _, b := range encrypted {
			bits.put(uint64(b), 8)
		}
		bits.put(uint64(flags), 16)
		bits.put(uint64(days), 14)
		bits.put(0, 1)
		bits.put(uint64(shortHash(plain)), 15)
		bits.put(uint64(device), 15)
		body := "2000123456789" + bits.octal()
		sum.put(uint64(shortHash([]byte(body))), 15)
		holds(t, []byte(body+sum.octal()), Options{Password: "p"})
	})
}

func FuzzOTPAuth(f *testing.F) {
	for _, c := range load(f).OTPAuth {
		f.Add([]byte(c.URI))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		holds(t, data, Options{Format: OTPAuth})
		if tok, err := ParseURI(string(data)); err == nil {
			again(t, tok)
		}
	})
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte("serial,secret,kind,digits,interval,counter,algorithm,expires,pin_style,add_pin\nT1,hex:00112233445566778899aabbccddeeff,totp,6,30,,sha1,2030-01-01,fob,0"))
	f.Add([]byte("OATH-HOTP,11.12.13 18:55,1,ubnu00000001,,916821d3a138bf855e70069605559a206ba854cd,,,0,0,0,8,0,0,0,0,0,0"))
	f.Add([]byte("508326,,0,69cfb9202438ca68964ec3244bfa4843d073a43b,,2013-12-12T08:41:07,"))
	f.Add([]byte("2308000000001\t69cfb9202438ca68964ec3244bfa4843d073a43b\ttotp\t6\t60"))
	f.Fuzz(func(t *testing.T, data []byte) { holds(t, data, Options{Format: CSV}) })
}

func FuzzStokenRC(f *testing.F) {
	f.Add([]byte("version 1\ntoken 200012345678973042071776752216050450744647071253341607664173163270001302716770736\npin 1234\n"))
	f.Fuzz(func(t *testing.T, data []byte) { holds(t, data, Options{Format: StokenRC}) })
}

// FuzzRecognised lets Read detect the format.
func FuzzRecognised(f *testing.F) {
	addFiles(f, "testdata/sdtid/*")
	addFiles(f, "testdata/pskc/*")
	f.Add([]byte("otpauth://totp/a?secret=GEZDGNBVGY3TQOJQ\n"), "")
	f.Add([]byte("serial,secret,kind\n"), "")
	f.Fuzz(func(t *testing.T, data []byte, password string) {
		if strings.Contains(string(data), "000") {
			return // see FuzzPSKC
		}
		holds(t, data, Options{Password: Secret(password), Now: time.Unix(1e9, 0)})
	})
}
