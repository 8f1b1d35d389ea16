package engine_test

import (
	"strings"
	"testing"

	"golang.org/x/text/secure/precis"

	"keyfob/engine"
)

// Plain names do not go through the tables; what comes out must be the same.
func TestEveryNameHasTheSpellingOfPRECIS(t *testing.T) {
	check := func(name string) {
		if name = strings.TrimSpace(name); name == "" {
			return
		}
		want, wrong := precis.UsernameCaseMapped.String(name)
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
	for _, name := range []string{"ALICE", "al\u0065\u0301", "ａｌｉｃｅ", "straße", "İ", "alice\u05d0", "\u05d0a", "a\x00b", "a\xffb"} {
		check(name)
	}
}
