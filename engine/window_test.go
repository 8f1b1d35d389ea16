package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// row is a line of the table of windows in rules.md.
type row struct {
	name, serial, properties string
	small, medium, large     int64
	resync                   int64 // 12 hours, or presses
}

var windows = []row{
	{"TOTP of 30 s", "a1", "kind=totp period=30", 1, 3, 10, 1440},
	{"TOTP of 60 s", "a1", "kind=totp period=60", 1, 3, 10, 720},
	{"TOTP of 8 digits", "a1", "kind=totp period=30 digits=8 algorithm=SHA256", 1, 3, 10, 1440},
	{"SecurID fob of 30 s", "123456789012", "kind=securid period=30", 1, 3, 10, 1440},
	{"SecurID fob of 60 s", "123456789012", "kind=securid period=60", 1, 3, 10, 720},
	{"SecurID fob of 8 digits", "123456789012", "kind=securid period=60 digits=8", 1, 3, 10, 720},
	{"SecurID PINpad of 30 s", "123456789012", "kind=securid style=pinpad form=pinpad period=30", 2, 4, 10, 1440},
	{"SecurID PINpad of 60 s", "123456789012", "kind=securid style=pinpad form=pinpad period=60", 2, 4, 10, 720},
	{"SecurID PINpad of 8 digits", "123456789012", "kind=securid style=pinpad form=pinpad digits=8", 2, 4, 10, 720},
	{"SecurID app of 30 s", "123456789012", "kind=securid style=pinpad form=app period=30 digits=8", 10, 12, 70, 1440},
	{"SecurID app of 60 s", "123456789012", "kind=securid style=pinpad form=app period=60 digits=8", 10, 12, 70, 720},
	{"SecurID app, PIN in front", "123456789012", "kind=securid form=app", 10, 12, 70, 720},
	{"HOTP", "h1", "kind=hotp", 3, 7, 100, 1000},
	{"HOTP of 8 digits", "h1", "kind=hotp digits=8", 3, 7, 100, 1000},
}

// given returns a world in which ada has such a token.
func (r row) given(t *testing.T) *world {
	t.Helper()
	return given(t, "user ada", "token "+r.serial+" user=ada pin=471108 "+r.properties)
}

func (r row) pinpad() bool { return strings.Contains(r.properties, "style=pinpad") }

// ahead reports whether there is only a window ahead.
func (r row) ahead() bool { return strings.Contains(r.properties, "kind=hotp") }

// passcode returns what is typed at a number of intervals from now.
func (r row) passcode(offset int64) string {
	if r.pinpad() {
		return fmt.Sprintf("<mix:471108:code%+d>", offset)
	}
	return fmt.Sprintf("471108<code%+d>", offset)
}

// fork returns an independent copy of the world.
func (w *world) fork() *world {
	f := *w
	f.state = w.state.Copy()
	return &f
}

const (
	accepted = "accept"
	drifted  = "challenge drift, asks next_tokencode"
	inMode   = "challenge too_many_failures, asks next_tokencode"
	outside  = "reject outside_window"
	nowhere  = "reject bad_tokencode"
)

// band is the result for tokencodes up to this distance, and further than the
// band before.
type band struct {
	to   int64
	want string
}

// TestWindowsAreThoseOfTheRules types the tokencodes on both sides of every
// boundary: at the first login, at a later one, and in Next Tokencode mode.
func TestWindowsAreThoseOfTheRules(t *testing.T) {
	for _, r := range windows {
		w := r.given(t)
		check := func(when string, bands ...band) {
			t.Helper()
			from := int64(0)
			for _, b := range bands {
				for _, offset := range []int64{from, b.to, -from, -b.to} {
					if offset < 0 && r.ahead() {
						continue
					}
					if got := w.fork().do([]string{"login", "ada", r.passcode(offset)}); got != b.want {
						t.Errorf("%s, %s, %+d: %s, want %s", r.name, when, offset, got, b.want)
					}
				}
				from = b.to + 1
			}
		}
		check("first login", band{r.small, accepted}, band{r.large - 1, drifted}, band{r.large, outside}, band{r.large + 20, nowhere})
		w.do([]string{"login", "ada", r.passcode(0)})
		w.now = w.now.Add(24 * time.Hour)
		if r.ahead() {
			w.offset[r.serial]++ // the press after the last one
		}
		check("later", band{r.small, accepted}, band{r.medium, drifted}, band{r.large, outside}, band{r.large + 20, nowhere})
		w.do([]string{"admin", "next-tokencode", r.serial})
		check("in Next Tokencode mode", band{r.large, inMode}, band{r.large + 20, nowhere})
	}
}

// TestResynchronisationReachesTwelveHours, or a thousand presses.
func TestResynchronisationReachesTwelveHours(t *testing.T) {
	for _, r := range windows {
		w := r.given(t)
		for _, offset := range []int64{r.resync, r.resync + 1, -r.resync, -r.resync - 1} {
			if offset < 0 && r.ahead() {
				continue
			}
			within := max(offset, -offset) == r.resync
			next := fmt.Sprintf("<code%+d>", offset+1)
			if got := w.fork().do([]string{"resync", "ada", r.passcode(offset), next}); (got == "resynchronized") != within {
				t.Errorf("%s, by its user, %+d: %s", r.name, offset, got)
			}
			first, second := w.code(r.serial, offset), w.code(r.serial, offset+1)
			if got := w.fork().do([]string{"admin", "resync", r.serial, first, second}); (got == "") != within {
				t.Errorf("%s, by an administrator, %+d: %s", r.name, offset, got)
			}
		}
	}
}

// TestNextTokencodeIsOneOfTheTwoAfterTheFirst, alone or with the PIN, which a
// PINpad mixes in.
func TestNextTokencodeIsOneOfTheTwoAfterTheFirst(t *testing.T) {
	const tooEarly, wrong = "reject tokencode_reused, asks next_tokencode (tokencode_reused)", "reject next_tokencode_wrong"
	for _, r := range windows {
		w := r.given(t)
		w.do([]string{"admin", "next-tokencode", r.serial})
		if got := w.do([]string{"login", "ada", r.passcode(0)}); got != inMode {
			t.Fatalf("%s: %s", r.name, got)
		}
		for offset, want := range map[int64]string{-1: wrong, 0: tooEarly, 1: accepted, 2: accepted, 3: wrong, 4: wrong} {
			if offset < 0 && r.ahead() {
				continue
			}
			for _, typed := range []string{fmt.Sprintf("<code%+d>", offset), r.passcode(offset)} {
				if got := w.fork().do([]string{"answer", typed}); got != want {
					t.Errorf("%s, %s: %s, want %s", r.name, typed, got, want)
				}
			}
		}
	}
}
