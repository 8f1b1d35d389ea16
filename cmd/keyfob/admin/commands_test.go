package admin

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"keyfob/api"
	"keyfob/cmd/keyfob/cli"
)

// leaves are the commands below c that do something.
func leaves(c *cobra.Command) []*cobra.Command {
	if !c.HasSubCommands() {
		return []*cobra.Command{c}
	}
	var all []*cobra.Command
	for _, sub := range c.Commands() {
		all = append(all, leaves(sub)...)
	}
	return all
}

func allCommands() []*cobra.Command {
	e := &cli.Environment{}
	return leaves(e.Group("keyfob", "", Commands(e)...))
}

// arguments are words for every argument of a command.
func arguments(c *cobra.Command) []string {
	return append(strings.Fields(c.CommandPath())[1:], strings.Fields(c.Use)[1:]...)
}

// verbs of commands that lose something for good.
var verbs = []string{"delete", "remove", "revoke", "unassign", "clear-pin", "restore", "end", "purge", "reset"}

func TestWhatDestroysAsksForYesAwayFromATerminal(t *testing.T) {
	for _, c := range allCommands() {
		if slices.Contains(verbs, c.Name()) && !cli.IsDestructive(c) {
			t.Errorf("%s destroys and does not say so", c.CommandPath())
		}
		if !cli.IsDestructive(c) {
			continue
		}
		n := startNode(t, map[string]any{"GET /tokens/SERIAL": api.Token{Serial: "SERIAL", User: "ada"}})
		args := arguments(c)
		got := n.run(t, args...)
		if got.status != 1 || !strings.Contains(got.err, "--yes") || len(n.changes()) > 0 {
			t.Errorf("%s: status %d, %q, and these requests: %q", c.CommandPath(), got.status, got.err, n.changes())
		}
		n.run(t, append(args, "--yes")...)
		if len(n.changes()) != 1 {
			t.Errorf("%s --yes: want one request that changes something, got %q", c.CommandPath(), n.changes())
		}
	}
}

func TestAUserStandsForTheirOnlyToken(t *testing.T) {
	answers := map[string]any{
		"GET /users/ada":            api.UserSheet{User: api.User{User: "ada", Tokens: []string{"T1"}}},
		"GET /users/bob":            api.UserSheet{User: api.User{User: "bob", Tokens: []string{"T2", "T3"}}},
		"GET /users/carol":          api.UserSheet{User: api.User{User: "carol"}},
		"GET /tokens/T1":            api.Token{Serial: "T1", User: "ada"},
		"POST /tokens/T1/enable":    api.Token{Serial: "T1"},
		"POST /tokens/T1/unassign":  api.Token{Serial: "T1"},
		"POST /tokens/T1/clear-pin": api.GivenToken{Token: api.Token{Serial: "T1"}},
		"DELETE /tokens/T1":         api.User{},
	}
	for _, command := range []string{"show", "enable", "unassign --yes", "clear-pin --yes", "delete --yes"} {
		n := startNode(t, answers)
		args := append([]string{"token"}, append(strings.Fields(command), "ada")...)
		if got := n.run(t, args...); got.status != 0 {
			t.Errorf("%q: status %d, %s", args, got.status, got.err)
		}
	}
	for user, want := range map[string]string{
		"bob":    "user bob has 2 tokens: name one of T2, T3",
		"carol":  "user carol has no token; run keyfob token issue carol",
		"nobody": "there is no /tokens/nobody",
	} {
		n := startNode(t, answers)
		if got := n.run(t, "token", "delete", "--yes", user); got.status != 1 || !strings.Contains(got.err, want) || len(n.changes()) > 0 {
			t.Errorf("%s: status %d, %q, want %q; and these requests: %q", user, got.status, got.err, want, n.changes())
		}
	}
}

func TestAllArgumentsThatNameSomethingAreCompleted(t *testing.T) {
	answers := map[string]any{
		"GET /users":      api.List[api.User]{Items: []api.User{{User: "ada"}, {User: "bob"}}},
		"GET /tokens":     api.List[api.Token]{Items: []api.Token{{Serial: "000123", User: "ada"}}},
		"GET /clients":    api.List[api.Client]{Items: []api.Client{{Name: "vpn"}}},
		"GET /api-tokens": api.List[api.APIToken]{Items: []api.APIToken{{Name: "desk"}}},
		"GET /policy":     api.Policy{Settings: []api.Setting{{Key: "pin.min"}}},
		"GET /cluster":    api.Status{Nodes: []api.NodeStatus{{Name: "n1"}}},
	}
	for line, want := range map[string]string{
		"user show ":                   "ada bob",
		"user delete b":                "bob",
		"token show ":                  "000123 ada",
		"token assign ":                "000123",
		"token assign 000123 ":         "ada bob",
		"token list --user ":           "ada bob",
		"client remove ":               "vpn",
		"api-token revoke ":            "desk",
		"api-token issue desk --role ": strings.Join(slices.Sorted(slices.Values(api.Roles())), " "),
		"policy set ":                  "pin.min= profile=",
		"policy set pin.min=4 ":        "pin.min= profile=",
		"cluster remove ":              "n1",
		"state show ":                  "ada bob",
		"user add ":                    "",
	} {
		n := startNode(t, answers)
		got := n.run(t, append([]string{cobra.ShellCompNoDescRequestCmd}, strings.Split(line, " ")...)...)
		var names []string
		for name := range strings.Lines(got.out) {
			if name = strings.TrimSpace(name); !strings.HasPrefix(name, ":") {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		if strings.Join(names, " ") != want {
			t.Errorf("%q is completed to %q, want %q; %s", line, names, want, got.err)
		}
	}
	n := startNode(t, nil)
	if got := n.run(t, cobra.ShellCompNoDescRequestCmd, "user", "show", ""); got.status != 0 || !strings.HasPrefix(got.out, ":") {
		t.Errorf("a failure is not silent: status %d, %q", got.status, got.out)
	}
}

func TestEveryCommandThatTakesAnArgumentSaysHowItIsCompleted(t *testing.T) {
	local := []string{"token import", "audit verify", "audit show", "audit reader", "cluster backup"} // files, and names that are new
	for _, c := range allCommands() {
		path := strings.TrimPrefix(c.CommandPath(), "keyfob ")
		if len(strings.Fields(c.Use)) > 1 && c.ValidArgsFunction == nil && !slices.Contains(local, path) {
			t.Errorf("%s completes nothing", path)
		}
	}
}

func TestListingsAreCSV(t *testing.T) {
	n := startNode(t, map[string]any{
		"GET /users": api.List[api.User]{Items: []api.User{{User: `o"neil, ada`, Tokens: []string{"T1", "T2"}}, {User: "bob"}}},
	})
	got := n.run(t, "user", "list", "-o", "csv")
	want := "USER,STATE,FAILURES,TOKENS,LAST SUCCESS\n\"o\"\"neil, ada\",active,0,T1 T2,never\nbob,active,0,,never\n"
	if got.out != want {
		t.Errorf("got\n%s\nwant\n%s", got.out, want)
	}
	for _, c := range allCommands() {
		out := c.Flags().Lookup("output")
		if listing := c.Name() == "list" || c.CommandPath() == "keyfob cluster status"; listing != (out != nil && strings.Contains(out.Usage, "csv")) && c.Name() != "import" {
			t.Errorf("%s: -o csv is for listings", c.CommandPath())
		}
	}
}

func TestFiltersAreAskedOfTheNode(t *testing.T) {
	for line, want := range map[string]string{
		"user list --locked --disabled --never-used --without-token": "GET /users?disabled=true&locked=true&never_used=true&without_token=true",
		"token list --unassigned --mode new_pin --lost":              "GET /tokens?lost=true&mode=new_pin&unassigned=true",
		"token list --expiring 30d":                                  "GET /tokens?expires_before=2026-12-02T15%3A00%3A00Z",
		"token list --pin-older-than 365d":                           "GET /tokens?pin_set_before=2025-11-02T15%3A00%3A00Z",
		"audit tail --since 1h --until 10m --user ada":               "GET /users/ada/audit?since=2026-11-02T14%3A00%3A00Z&until=2026-11-02T14%3A50%3A00Z",
		"audit tail --user ada --outcome reject --after 4711":        "GET /audit?from=4712&outcome=reject&user=ada",
		"audit tail --token ada --after 7":                           "GET /audit?from=8&serial=0002",
		"audit tail --token 0001 --actor desk --since 1h --after 7":  "GET /audit?actor=desk&from=8&serial=0001&since=2026-11-02T14%3A00%3A00Z",
	} {
		n := startNode(t, map[string]any{
			"GET /users": api.List[api.User]{}, "GET /tokens": api.List[api.Token]{}, "GET /audit": "", "GET /users/ada/audit": "",
			"GET /users/ada":   api.UserSheet{User: api.User{User: "ada", Tokens: []string{"0002"}}},
			"GET /tokens/0002": api.Token{Serial: "0002", User: "ada"},
		})
		got := n.run(t, strings.Fields(line)...)
		if got.status != 0 || len(n.seen) == 0 || n.seen[len(n.seen)-1] != want {
			t.Errorf("%s: status %d, %s\ngot  %q\nwant %q", line, got.status, got.err, n.seen, want)
		}
	}
}

const event = `{"id":"7","time":"2026-11-02T14:00:00Z","type":"keyfob.auth.rejected.v1","data":{"sequence":7,"code":"A2W","door":"radius","client":"vpn","source_ip":"192.0.2.7","user":"ada","outcome":"reject","reason":"bad_pin","reference":"7K3M-QX4P","token":{"serial":"0001"}}}` + "\n"

func TestAuditTailIsOneAlignedLineAnEvent(t *testing.T) {
	n := startNode(t, map[string]any{"GET /audit": event + strings.Replace(event, `"bad_pin"`, `"a\u001b[2J"`, 1)})
	got := n.run(t, "audit", "tail", "--format", "text")
	lines := strings.Split(strings.TrimSuffix(got.out, "\n"), "\n")
	const rest = "token 0001; RADIUS, client vpn, from 192.0.2.7; reference 7K3M-QX4P"
	if len(lines) != 2 || !strings.HasSuffix(lines[0], rest) || strings.Index(lines[0], rest) != strings.Index(lines[1], rest) {
		t.Errorf("the lines are not aligned:\n%s", got.out)
	}
	for _, part := range []string{"      7  ", "auth.rejected", "ada", "bad_pin"} {
		if !strings.Contains(lines[0], part) {
			t.Errorf("%q is missing in %s", part, lines[0])
		}
	}
	if strings.Contains(got.out, "\x1b") {
		t.Errorf("control characters, or colors away from a terminal: %q", got.out)
	}
	if got := n.run(t, "audit", "tail"); !strings.HasPrefix(got.out, `{"id":"7"`) {
		t.Errorf("away from a terminal it is not JSON: %s", got.out)
	}
	var colored auditEvent
	if err := json.Unmarshal([]byte(event), &colored); err != nil {
		t.Fatal(err)
	}
	if text := string(colored.text(true)); !strings.HasPrefix(text, red) || !strings.Contains(text, plain) {
		t.Errorf("a refusal is not red: %q", text)
	}
}

func TestPolicyShowsOneKeyOrAGroup(t *testing.T) {
	settings := []api.Setting{{Key: "lock.after", Value: "10"}, {Key: "pin.max", Value: "8"}, {Key: "pin.min", Value: "6"}}
	n := startNode(t, map[string]any{"GET /policy": api.Policy{Settings: settings, Profiles: []api.Profile{{Name: "default"}}}})
	for args, want := range map[string][]string{"": {"LOCK", "PIN", "lock.after", "pin.min"}, "pin": {"PIN", "pin.max", "pin.min"}, "pin.min": {"pin.min"}} {
		got := n.run(t, append([]string{"policy", "show"}, strings.Fields(args)...)...)
		for _, word := range want {
			if !strings.Contains(got.out, word) {
				t.Errorf("policy show %s: %s is missing in\n%s", args, word, got.out)
			}
		}
		if args != "" && strings.Contains(got.out, "lock.after") {
			t.Errorf("policy show %s shows more:\n%s", args, got.out)
		}
	}
	if got := n.run(t, "policy", "show", "nothing"); got.status != 1 || !strings.Contains(got.err, "run keyfob policy show") {
		t.Errorf("an unknown key: status %d, %s", got.status, got.err)
	}
}
