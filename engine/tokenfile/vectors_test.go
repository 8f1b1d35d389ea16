package tokenfile

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyfob/engine/tokencode"
)

// vectors holds results from stoken, oathtool, python-pskc and RFC 6030. None of them was
// computed by this package.
type vectors struct {
	Containers []struct {
		ID, Format, File, Text, Password string
		DeviceID                         string `json:"device_id"`
		Tokens                           []struct {
			SN, Serial, Seed, Death string
			Digits, Interval        int
			PINMode                 int `json:"pin_mode"`
			Codes                   []struct {
				T         int64
				PIN, Code string
			}
		}
	}
	Negative []struct {
		ID, Format, Error, Text, File, Password string
		DeviceID                                string `json:"device_id"`
	}
	OTPAuth []struct {
		ID, URI, Type, Issuer, Account, Secret, Error, Code string
		Alg                                                 tokencode.Algorithm
		Digits, Period                                      int
		Counter, T                                          int64
	}
	PSKC []struct {
		ID, File, Password, Error string
		Key                       string `json:"key_hex"`
		Keys                      []struct {
			ID, Serial, Algorithm, Secret string
			Digits, Interval              int
			Counter                       int64
		}
	}
	CTFHash []struct {
		Msg, H string
		S      uint16
	} `json:"ctf_hash"`
}

func load(t testing.TB) vectors {
	t.Helper()
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// content returns the text of a vector or the content of the file that it names.
func content(t testing.TB, text, file string) []byte {
	t.Helper()
	if file == "" {
		return []byte(text)
	}
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// classOf returns the name that the vectors use for an error class.
func classOf(err error) string {
	for name, class := range map[string][]error{
		"format":        {ErrFormat, ErrUnsupported, ErrTooLarge},
		"checksum":      {ErrAltered},
		"mac":           {ErrAltered},
		"password":      {ErrWrongPassword},
		"need-password": {ErrNeedPassword},
		"device":        {ErrDevice},
	} {
		for _, c := range class {
			if errors.Is(err, c) && (name != "mac") {
				return name
			}
		}
	}
	return "none"
}

func TestContainersReadAsStokenReadsThem(t *testing.T) {
	kinds := map[string]Format{"sdtid": SDTID, "ctf2": CTF, "ctf3": CTF, "ctf4": CTF}
	for _, v := range load(t).Containers {
		t.Run(v.ID, func(t *testing.T) {
			options := Options{Password: Secret(v.Password), DeviceID: v.DeviceID}
			got, err := Read(bytes.NewReader(content(t, v.Text, v.File)), options)
			if err != nil {
				t.Fatal(err)
			}
			if got.Format != kinds[v.Format] || len(got.Refused) > 0 || len(got.Tokens) != len(v.Tokens) {
				t.Fatalf("read as %s, %d tokens, refused %v; want %d tokens of %s", got.Format, len(got.Tokens), got.Refused, len(v.Tokens), v.Format)
			}
			for i, want := range v.Tokens {
				tok := got.Tokens[i]
				if tok.Serial != want.Serial || !bytes.Equal(tok.Seed, unhex(t, want.Seed)) {
					t.Errorf("serial %s, want %s, or the seed differs", tok.Serial, want.Serial)
				}
				if death := lastDay(tok.Expires).Format(time.DateOnly); death != want.Death {
					t.Errorf("last day %s, want %s", death, want.Death)
				}
				if (tok.PINStyle == tokencode.PINpad) != (want.PINMode >= 2) {
					t.Errorf("PIN style %s, want mode %d", tok.PINStyle, want.PINMode)
				}
				gen, err := tokencode.New(tok.Params, tok.Seed)
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range want.Codes {
					code := gen.At(tokencode.Interval(tok.Params, time.Unix(c.T, 0)))
					if strings.Trim(c.PIN, "0") != "" {
						if code, err = tok.PINStyle.Passcode(c.PIN, code); err != nil {
							t.Fatal(err)
						}
					}
					if code != c.Code {
						t.Errorf("at %d with PIN %q: %s, want %s", c.T, c.PIN, code, c.Code)
					}
				}
			}
		})
	}
}

func TestDamagedContainersAreRefusedForTheRightReason(t *testing.T) {
	for _, v := range load(t).Negative {
		options := Options{Password: Secret(v.Password), DeviceID: v.DeviceID}
		got, err := Read(bytes.NewReader(content(t, v.Text, v.File)), options)
		if len(got.Tokens) > 0 {
			t.Errorf("%s: %d tokens were read", v.ID, len(got.Tokens))
		}
		if err == nil && len(got.Refused) > 0 {
			err = got.Refused[0]
		}
		want := v.Error
		if want == "mac" {
			want = "checksum"
		}
		// A vector that gives no password for a protected token calls the class "password".
		if class := classOf(err); class != want && !(want == "password" && v.Password == "" && class == "need-password") {
			t.Errorf("%s: %v is %s, want %s", v.ID, err, class, v.Error)
		}
	}
}

func TestCTFHashAgrees(t *testing.T) {
	for _, v := range load(t).CTFHash {
		if h := ctfHash(unhex(t, v.Msg)); hex.EncodeToString(h[:]) != v.H || shortHash(unhex(t, v.Msg)) != v.S {
			t.Errorf("H(%s) = %x, want %s", v.Msg, h, v.H)
		}
	}
}

func TestOTPAuthURIsReadAsOathtoolReadsThem(t *testing.T) {
	for _, v := range load(t).OTPAuth {
		tok, err := ParseURI(v.URI)
		if v.Error != "" {
			if classOf(err) != v.Error {
				t.Errorf("%s: %v is %s, want %s", v.ID, err, classOf(err), v.Error)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", v.ID, err)
			continue
		}
		if string(tok.Params.Kind) != v.Type || tok.Issuer != v.Issuer || tok.User != v.Account || tok.Counter != v.Counter ||
			tok.Params.Algorithm != v.Alg || tok.Params.Digits != v.Digits || seconds(tok.Params) != v.Period || !bytes.Equal(tok.Seed, unhex(t, v.Secret)) {
			t.Errorf("%s: read as %+v", v.ID, tok)
		}
		gen, err := tokencode.New(tok.Params, tok.Seed)
		if err != nil {
			t.Fatal(err)
		}
		interval := tokencode.Interval(tok.Params, time.Unix(v.T, 0))
		if tok.Params.Kind == tokencode.HOTP {
			interval = tok.Counter
		}
		if code := gen.At(interval); code != v.Code {
			t.Errorf("%s: tokencode %s, want %s", v.ID, code, v.Code)
		}
	}
}

func TestPSKCFilesMatchTheVectors(t *testing.T) {
	for _, v := range load(t).PSKC {
		t.Run(v.ID, func(t *testing.T) {
			o := Options{Password: Secret(v.Password), Key: Secret(unhex(t, v.Key))}
			got, err := Read(bytes.NewReader(content(t, "", v.File)), o)
			if v.Error != "" {
				if err == nil && len(got.Refused) > 0 {
					err = got.Refused[0]
				}
				if class := strings.Replace(classOf(err), "checksum", "mac", 1); class != v.Error || len(got.Tokens) > 0 {
					t.Errorf("%v is %s, want %s", err, class, v.Error)
				}
				return
			}
			if err != nil || len(got.Refused) > 0 || got.Format != PSKC {
				t.Fatalf("%v, refused %v", err, got.Refused)
			}
			i := 0
			for _, want := range v.Keys {
				if want.Algorithm == ":pin" {
					continue
				}
				tok := got.Tokens[i]
				i++
				if want.Serial == "" {
					want.Serial = want.ID
				}
				if tok.Serial != want.Serial && tok.Serial != want.Serial+"-"+want.ID {
					t.Errorf("serial %s, want %s", tok.Serial, want.Serial)
				}
				if want.Interval == 0 && tok.Params.Kind == tokencode.TOTP {
					want.Interval = 30
				}
				if !bytes.Equal(tok.Seed, unhex(t, want.Secret)) || tok.Counter != want.Counter || seconds(tok.Params) != want.Interval ||
					want.Digits != 0 && tok.Params.Digits != want.Digits || ":"+string(tok.Params.Kind) != want.Algorithm {
					t.Errorf("read as %+v, want %+v", tok, want)
				}
			}
			if i != len(got.Tokens) {
				t.Errorf("%d tokens, want %d", len(got.Tokens), i)
			}
		})
	}
}
