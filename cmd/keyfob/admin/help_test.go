package admin

import (
	"strings"
	"testing"
)

func TestEveryCommandHasAPageWithAnExample(t *testing.T) {
	names := map[string]bool{}
	for _, c := range allCommands() {
		name := strings.TrimPrefix(c.CommandPath(), "keyfob ")
		names[name] = true
		if c.Example == "" {
			t.Errorf("keyfob %s has no example", name)
		}
	}
	for name := range pages {
		if !names[name] {
			t.Errorf("there is a page for keyfob %s, which is no command", name)
		}
	}
}
