package cli

import (
	"strings"
	"testing"
)

func TestOnlyYesIsYes(t *testing.T) {
	for answer, want := range map[string]bool{
		"y\n": true, "yes\n": true, " YES \r\n": true, "y": true,
		"": false, "\n": false, "n\n": false, "yesterday\n": false, "no\ny\n": false, "delete\n": false,
	} {
		var asked strings.Builder
		e := &Environment{Err: &asked}
		if err := e.Ask(strings.NewReader(answer), "Forget token 1 and its seed for good"); (err == nil) != want {
			t.Errorf("%q: %v", answer, err)
		}
		if asked.String() != "Forget token 1 and its seed for good (y/N)? " {
			t.Errorf("asked %q", asked.String())
		}
	}
}
