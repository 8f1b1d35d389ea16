package tokencode

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"time"
)

// vectors holds results from stoken, oathtool and the RFCs. None of them was computed
// by this package.
type vectors struct {
	Tokencodes []struct {
		ID, Seed, Serial, Code string
		Digits                 int
		Interval, T            int64
	}
	PINMix []struct {
		Base, Tokencode, PIN, Passcode, Note string
	} `json:"pin_mix"`
	HOTP []struct {
		ID, Secret, Code string
		Alg              Algorithm
		Digits           int
		Counter          int64
	}
	TOTP []struct {
		ID, Secret, Code string
		Alg              Algorithm
		Digits           int
		T, Period        int64
	}
}

func load(t *testing.T) vectors {
	t.Helper()
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Tokencodes) == 0 || len(v.PINMix) == 0 || len(v.HOTP) == 0 || len(v.TOTP) == 0 {
		t.Fatal("a group of vectors is missing")
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

func TestHOTPIsRFC4226(t *testing.T) {
	for _, v := range load(t).HOTP {
		g, err := New(Params{Kind: HOTP, Algorithm: v.Alg, Digits: v.Digits}, unhex(t, v.Secret))
		if err != nil {
			t.Fatalf("%s: %v", v.ID, err)
		}
		if got := g.At(v.Counter); got != v.Code {
			t.Errorf("%s: got %s, want %s", v.ID, got, v.Code)
		}
	}
}

func TestTOTPIsRFC6238(t *testing.T) {
	for _, v := range load(t).TOTP {
		p := Params{Kind: TOTP, Algorithm: v.Alg, Digits: v.Digits, Period: time.Duration(v.Period) * time.Second}
		g, err := New(p, unhex(t, v.Secret))
		if v.Period != 30 && v.Period != 60 {
			if err == nil {
				t.Errorf("%s: a period of %d s was accepted", v.ID, v.Period)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", v.ID, err)
		}
		if got := g.At(Interval(p, time.Unix(v.T, 0))); got != v.Code {
			t.Errorf("%s: got %s, want %s", v.ID, got, v.Code)
		}
	}
}

func TestSecurIDAgreesWithStoken(t *testing.T) {
	for _, v := range load(t).Tokencodes {
		p := Params{Kind: SecurID, Digits: v.Digits, Period: time.Duration(v.Interval) * time.Second, Serial: v.Serial}
		g, err := New(p, unhex(t, v.Seed))
		if err != nil {
			t.Fatalf("%s: %v", v.ID, err)
		}
		if got := g.At(Interval(p, time.Unix(v.T, 0))); got != v.Code {
			t.Errorf("%s: got %s, want %s", v.ID, got, v.Code)
		}
	}
}

func TestMixedPINsAgreeWithStoken(t *testing.T) {
	for _, v := range load(t).PINMix {
		got, err := MixPIN(v.PIN, v.Tokencode)
		if len(v.PIN) > len(v.Tokencode) {
			if err == nil {
				t.Errorf("%s: PIN %s is longer than %s and was mixed", v.Base, v.PIN, v.Tokencode)
			}
			continue
		}
		if err != nil || got != v.Passcode {
			t.Errorf("%s: PIN %s with %s: got %s, %v, want %s", v.Base, v.PIN, v.Tokencode, got, err, v.Passcode)
		}
	}
}
