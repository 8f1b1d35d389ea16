package engine_test

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/text/secure/precis"

	"keyfob/engine"
)

// Plain names skip the tables; the result must be the same.
func TestEveryNameHasTheSpellingOfPRECIS(t *testing.T) {
	check := func(name string) {
		if name = strings.TrimSpace(name); name == "" {
			return
		}
		want, wrong := precis.UsernameCaseMapped.String(name)
		if want == "." || want == ".." || strings.Contains(want, "/") {
			want, wrong = "", engine.ErrUserName
		}
		got, err := engine.Canonical(name)
		if (err != nil) != (wrong != nil) || got != want {
			t.Errorf("%q is spelled %q (%v), want %q (%v)", name, got, err, want, wrong)
		}
	}
	for a := byte(0x20); a < 0x7f; a++ {
		for b := byte(0x20); b < 0x7f; b++ {
			check(string([]byte{a, b}))
			check(string([]byte{'x', a, b, '9'}))
		}
	}
	for _, name := range []string{"ALICE", "al\u0065\u0301", "ａｌｉｃｅ", ".", "..", "．", "．．", "a／b", "...", ".a", "straße", "İ", "alice\u05d0", "\u05d0a", "a\x00b", "a\xffb"} {
		check(name)
	}
}

// TestSpellingsOfOneNameAreThoseOfTheManual checks what docs/OPERATIONS.md says
// under "Users and tokens".
func TestSpellingsOfOneNameAreThoseOfTheManual(t *testing.T) {
	spell := func(name string) string {
		t.Helper()
		canonical, err := engine.Canonical(name)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		return canonical
	}
	for _, one := range [][2]string{{"ADA", "ada"}, {"ａｄａ", "ada"}, {"A\u030asa", "åsa"}, {"\tada ", "ada"}, {"ИВАН", "иван"}} {
		if spell(one[0]) != spell(one[1]) {
			t.Errorf("%q and %q are two", one[0], one[1])
		}
	}
	for _, two := range [][2]string{
		{"straße", "strasse"}, {"λόγος", "λόγοσ"}, {"ı", "i"}, {"а", "a"}, {`corp\ada`, "ada"}, {"ada@example.com", "ada"},
	} {
		if spell(two[0]) == spell(two[1]) {
			t.Errorf("%q and %q are one", two[0], two[1])
		}
	}
}

// TestDigitsOfEveryScriptAreTheirASCIIOnes types a passcode in each script that
// has decimal digits. It is accepted once.
func TestDigitsOfEveryScriptAreTheirASCIIOnes(t *testing.T) {
	var zeros []rune
	for r := rune(0x80); r <= unicode.MaxRune; r++ {
		if unicode.IsDigit(r) && (len(zeros) == 0 || r >= zeros[len(zeros)-1]+10) {
			zeros = append(zeros, r) // the first of ten
		}
	}
	if len(zeros) < 60 {
		t.Fatalf("only %d scripts have digits", len(zeros))
	}
	for i, zero := range zeros {
		w := given(t, "user ada", "token a1 user=ada pin=471108")
		w.now = w.now.Add(time.Duration(i) * time.Minute) // other digits each time
		passcode := "471108" + w.code("a1", 0)
		theirs := strings.Map(func(r rune) rune { return zero + r - '0' }, passcode)
		if got := w.do([]string{"login", "ada", theirs}); got != "accept" {
			t.Errorf("%q: %s", theirs, got)
		}
		if got := w.do([]string{"login", "ada", passcode}); !strings.HasPrefix(got, "reject") {
			t.Errorf("%q after it was used as %q: %s", passcode, theirs, got)
		}
	}
}
