package admin

import (
	"strings"
	"testing"
	"unicode/utf8"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
	"keyfob/engine"
)

// shownPolicy is a policy as policy show prints it.
func shownPolicy(t *testing.T, changed map[string]string) string {
	t.Helper()
	p := api.Policy{Assumed: engine.GuessAssumptions(engine.DefaultPolicy())}
	for _, s := range engine.Settings() {
		usual := s.Read(engine.DefaultPolicy())
		value := usual
		if other, ok := changed[s.Key]; ok {
			value = other
		}
		p.Settings = append(p.Settings, api.Setting{Key: s.Key, Value: value, Default: usual, Unit: s.Unit, Bounds: s.Bounds, Doc: s.Doc})
	}
	p.Profiles = []api.Profile{{Name: "default"}, {Name: "rsa", Settings: map[string]string{"pin.min": "4", "lock.after": "5"}}}
	var b strings.Builder
	tw := cli.NewTable(&b)
	policyRows(tw, p)
	if err := tw.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPolicyFitsATerminal(t *testing.T) {
	for line := range strings.Lines(shownPolicy(t, map[string]string{"pin.min": "7", "refusal.delay": "1.25s"})) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > cli.Width {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestPolicySaysWhatIsNotTheDefault(t *testing.T) {
	shown := shownPolicy(t, map[string]string{"pin.min": "4", "lock.after": "5", "wait.most": "9s"})
	for _, want := range []string{
		"Profile: rsa, except wait.most.\n",
		"*  pin.min                 4 characters   shortest new PIN (4 to 16; default 6)\n",
		"*  wait.most               9s ",
		"   pin.max                 8 characters   longest new PIN (4 to 16)\n",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("want %q in\n%s", want, shown)
		}
	}
	if shown := shownPolicy(t, nil); !strings.HasPrefix(shown, "Profile: default.\n") || strings.Contains(shown, "\n*") {
		t.Errorf("nothing was changed, and it says\n%s", shown)
	}
}
