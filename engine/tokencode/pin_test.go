package tokencode

import (
	"errors"
	"fmt"
	"testing"
)

func TestUnmixPINUndoesMixPIN(t *testing.T) {
	for _, tokencode := range []string{"000000", "999999", "9876543", "04711099"} {
		for _, pin := range []string{"1000", "9999", "13579", "864202", "1234567", "90000009"} {
			passcode, err := MixPIN(pin, tokencode)
			if len(pin) > len(tokencode) {
				if !errors.Is(err, ErrPIN) {
					t.Errorf("PIN %s with %s: %v", pin, tokencode, err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := UnmixPIN(passcode, tokencode); !ok || got != pin {
				t.Errorf("PIN %s with %s mixed to %s, unmixed to %s, %v", pin, tokencode, passcode, got, ok)
			}
		}
		if got, ok := UnmixPIN(tokencode, tokencode); !ok || got != "" {
			t.Errorf("%s alone shows PIN %s, %v", tokencode, got, ok)
		}
	}
}

func TestUnmixPINRefusesImpossiblePINs(t *testing.T) {
	for _, c := range [][2]string{
		{"000001", "000000"},       // PIN 1
		{"000123", "000000"},       // PIN 123 or 0123
		{"12345", "123456"},        // too short
		{"1234567", "123456"},      // too long
		{"12345x", "123456"},       // no number
		{"12345٣", "1234567"},      // not ASCII
		{"123456", "12345x"},       // no tokencode
		{"123456789", "123456789"}, // longer than any tokencode
	} {
		if pin, ok := UnmixPIN(c[0], c[1]); ok {
			t.Errorf("passcode %q with tokencode %q gave PIN %q", c[0], c[1], pin)
		}
	}
}

func TestWrongTokencodesRarelyLeaveAShortPIN(t *testing.T) {
	passcode, err := MixPIN("1234", "00000000")
	if err != nil {
		t.Fatal(err)
	}
	short := 0
	for n := range 20000 { // 20000 is 2 in 10^4 of all tokencodes of 8 digits
		pin, ok := UnmixPIN(passcode, fmt.Sprintf("%08d", n*4999))
		if ok && len(pin) == 4 {
			short++
		}
	}
	if short > 20 {
		t.Errorf("%d of 20000 tokencodes left a PIN of 4 digits to check", short)
	}
}

func TestSplitPINCutsFromTheRight(t *testing.T) {
	for _, c := range []struct {
		passcode       string
		digits         int
		pin, tokencode string
		ok             bool
	}{
		{"2468123456", 6, "2468", "123456", true},
		{"123456", 6, "", "123456", true},
		{"Ab3d12345678", 8, "Ab3d", "12345678", true},
		{"пин123456", 6, "пин", "123456", true},
		{"12345", 6, "", "", false},
		{"2468١٢٣", 6, "", "", false},
		{"246812345x", 6, "", "", false},
		{"", 6, "", "", false},
	} {
		pin, tokencode, ok := SplitPIN(c.passcode, c.digits)
		if pin != c.pin || tokencode != c.tokencode || ok != c.ok {
			t.Errorf("%q: %q, %q, %v", c.passcode, pin, tokencode, ok)
		}
	}
}

func TestPasscodeFollowsTheStyle(t *testing.T) {
	for _, c := range []struct {
		style     PINStyle
		pin, want string
	}{
		{Fob, "2468", "2468123456"},
		{Fob, "", "123456"},
		{PINpad, "2468", "125814"},
		{PINpad, "", "123456"},
		{NoPIN, "", "123456"},
	} {
		if got, err := c.style.Passcode(c.pin, "123456"); err != nil || got != c.want {
			t.Errorf("%s with PIN %q: %q, %v, want %q", c.style, c.pin, got, err, c.want)
		}
	}
	for _, c := range []struct {
		style PINStyle
		pin   string
	}{{NoPIN, "2468"}, {PINpad, "123"}, {PINpad, "1234567"}, {PINpad, "12ab"}, {"", "2468"}} {
		if got, err := c.style.Passcode(c.pin, "123456"); !errors.Is(err, ErrPIN) {
			t.Errorf("%s with PIN %q: %q, %v", c.style, c.pin, got, err)
		}
	}
}
