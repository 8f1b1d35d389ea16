package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
	"keyfob/events"
)

const (
	knownSeed   = "6b6e6f776e2073656564206f66203037" // "known seed of 07"
	anotherSeed = "616e6f746865722073656564206f6620"
)

// withKnown returns a node with a token that is in use.
func withKnown(t *testing.T) *fake {
	f := newFake(t)
	f.put(t, engine.TableTokens, engine.Token{
		Serial: "0007", Kind: "totp", Algorithm: "SHA1", Digits: 6, Period: 30, PINStyle: "fob", User: "ada",
		Seed: []byte("known seed of 07"), PIN: []byte("sealed PIN"), Last: 4711,
	})
	return f
}

func batch(more string, tokens ...string) string {
	return `{"reason":"r"` + more + `,"tokens":[` + strings.Join(tokens, ",") + `]}`
}

func record(serial, seed, more string) string {
	return fmt.Sprintf(`{"serial":%q,"kind":"totp","encoding":"hex","seed":%q%s}`, serial, seed, more)
}

func results(t *testing.T, body string) string {
	t.Helper()
	var lines []string
	for _, r := range decode[List[ImportedToken]](t, body).Items {
		lines = append(lines, strings.TrimSuffix(r.Serial+" "+r.Result+": "+r.Why, ": "))
	}
	return strings.Join(lines, "\n")
}

func TestEachTokenOfABatchHasAResult(t *testing.T) {
	f := withKnown(t)
	a := f.api(t)
	tokens := []string{
		record("0008", anotherSeed, ""),
		record("0007", knownSeed, ""),
		record("0007", anotherSeed, ""),
		record("0007", knownSeed, `,"digits":8`),
		record("0009", "not hex", ""),
		record("0010", anotherSeed, `,"user":"Ada"`),
		record("0011", anotherSeed, `,"user":"zoe"`),
		record("0012", anotherSeed, `,"windows":{"small":21,"medium":21,"large":21}`),
		record("0008", anotherSeed, ""),
		record("0013", "3132333435363738393a", ""),
		record("0014", "313233343536373839", ""),
	}
	want := strings.Join([]string{
		"0008 importable",
		"0007 known: already known; its last used interval and its PIN are unchanged",
		"0007 refused: token 0007 already exists, with another seed",
		"0007 refused: token 0007 already exists with this seed, but as totp with 6 digits every 30 s, PIN style fob",
		"0009 refused: token 0009: seed is not hex",
		"0010 importable",
		"0011 refused: user \"zoe\" not found",
		"0012 refused: token 0012: its record asks for windows of 21, 21 and 21; want small <= medium <= large, small at most 20 and large at most 1000",
		"0008 refused: token 0008 is in the batch twice",
		"0013 importable",
		"0014 refused: token 0014: its seed has 72 bits, less than the 80 that seed.min requires; use a token with a longer seed",
	}, "\n")
	status, body := call(t, a, RoleAdmin, post, "/tokens/import", batch(`,"dry_run":true`, tokens...))
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	if diff := cmp.Diff(want, results(t, body)); diff != "" {
		t.Errorf("dry run (-want +got):\n%s", diff)
	}
	if len(f.Commands()) != 0 {
		t.Errorf("a dry run did %v", f.Commands())
	}

	_, body = call(t, a, RoleAdmin, post, "/tokens/import", batch("", tokens...))
	if diff := cmp.Diff(strings.ReplaceAll(want, "importable", "imported"), results(t, body)); diff != "" {
		t.Errorf("import (-want +got):\n%s", diff)
	}
	var took []string
	for _, c := range f.Commands() {
		c := c.(engine.ImportToken)
		took = append(took, c.Token.Serial+" for "+c.User+": "+string(c.Token.Sealed))
	}
	if diff := cmp.Diff([]string{"0008 for : sealed seed of 0008", "0010 for ada: sealed seed of 0010", "0013 for : sealed seed of 0013"}, sorted(took)); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

func TestStrictProfileTakesNoSeedBelow112Bits(t *testing.T) {
	for bits, want := range map[int]int{80: 0, 104: 0, 112: 1} {
		f := newFake(t)
		strict, err := engine.Profile("strict")
		if err != nil {
			t.Fatal(err)
		}
		f.state.Apply(0, events.Draft{Event: events.PolicyChanged{Key: "seed.min", After: strict["seed.min"]}})
		added := `{"reason":"r","serial":"0008","kind":"hotp","encoding":"hex","seed":"` + strings.Repeat("5a", bits/8) + `"}`
		_, body := call(t, f.api(t), RoleAdmin, post, "/tokens", added)
		if got := len(f.Commands()); got != want || strings.Contains(body, "5a5a") || want == 0 && !strings.Contains(body, "token 0008: its seed has") {
			t.Errorf("a seed of %d bits: %d commands, want %d: %s", bits, got, want, body)
		}
	}
}

func TestTokensOfUnknownUsersAreImportedAsRequested(t *testing.T) {
	for _, c := range []struct{ unknown, want, commands string }{
		{"leave", "0008 imported: not assigned: user \"zoe\" not found\n0009 imported: not assigned: user \"a\\tb\" not found", "import 0008 for ;import 0009 for "},
		{"add", "0008 imported\n0009 refused: \"a\\tb\" is not a valid user name: a user name has 1 to 128 characters, without spaces, slashes or control characters; . and .. are not user names", "add zoe;import 0008 for zoe"},
	} {
		f := newFake(t)
		_, body := call(t, f.api(t), RoleAdmin, post, "/tokens/import", batch(`,"unknown_users":"`+c.unknown+`"`,
			record("0008", anotherSeed, `,"user":"Zoe"`), record("0009", anotherSeed, `,"user":"a\tb"`)))
		if diff := cmp.Diff(c.want, results(t, body)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.unknown, diff)
		}
		var did []string
		for _, command := range f.Commands() {
			switch command := command.(type) {
			case engine.AddUser:
				did = append(did, "add "+command.User)
			case engine.ImportToken:
				did = append(did, "import "+command.Token.Serial+" for "+command.User)
			}
		}
		if got := strings.Join(sorted(did), ";"); got != c.commands {
			t.Errorf("%s: did %s, want %s", c.unknown, got, c.commands)
		}
	}
}

// The preview imports into a copy of the state, so earlier tokens of the batch count
// for later ones.
func TestTokenTooManyForItsUserIsRefusedBeforeTheImport(t *testing.T) {
	tokens := []string{
		record("0008", anotherSeed, `,"user":"ada"`),
		record("0009", anotherSeed, `,"user":"Ada"`),
		record("0010", anotherSeed, `,"user":"ADA"`),
		record("0011", anotherSeed, `,"user":"zoe"`),
		record("0012", anotherSeed, `,"user":"zoe"`),
		record("0013", anotherSeed, `,"user":"zoe"`),
		record("0014", anotherSeed, `,"user":"Zoe"`),
	}
	const tooMany = " already has 3 tokens, the maximum (tokens.per_user); unassign one first"
	want := strings.Join([]string{
		"0008 importable", "0009 importable", "0010 refused: user ada" + tooMany,
		"0011 importable", "0012 importable", "0013 importable", "0014 refused: user zoe" + tooMany,
	}, "\n")
	f := newFake(t) // ada has one already
	_, body := call(t, f.api(t), RoleAdmin, post, "/tokens/import", batch(`,"dry_run":true,"unknown_users":"add"`, tokens...))
	if diff := cmp.Diff(want, results(t, body)); diff != "" {
		t.Errorf("dry run (-want +got):\n%s", diff)
	}
	if f.state.User("zoe") != nil || f.state.Token("0008") != nil || len(f.Commands()) != 0 {
		t.Errorf("a dry run changed something: %v", f.Commands())
	}
	_, body = call(t, f.api(t), RoleAdmin, post, "/tokens/import", batch(`,"unknown_users":"add"`, tokens...))
	if diff := cmp.Diff(strings.ReplaceAll(want, "importable", "imported"), results(t, body)); diff != "" {
		t.Errorf("import (-want +got):\n%s", diff)
	}
	if n := len(f.Commands()); n != 6 {
		t.Errorf("%d commands, want 5 imports and one new user", n)
	}
}

func TestUndecidedTokenIsNotReportedAsRefused(t *testing.T) {
	f := newFake(t)
	f.refuse = fmt.Errorf("no leader: %w", engine.ErrUndecided)
	_, body := call(t, f.api(t), RoleAdmin, post, "/tokens/import", batch("", record("0008", anotherSeed, "")))
	if got, want := results(t, body), "0008 undecided: the cluster did not decide in time; import it again"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestLargestBatchFits(t *testing.T) {
	tokens := make([]string, 501)
	for i := range tokens {
		tokens[i] = record(fmt.Sprintf("%064d", i), strings.Repeat("00", 256), `,"user":"`+strings.Repeat("u", 256)+`"`)
	}
	f := newFake(t)
	if status, body := call(t, f.api(t), RoleAdmin, post, "/tokens/import", batch(`,"unknown_users":"leave"`, tokens[:500]...)); status != http.StatusOK || len(f.Commands()) != 500 {
		t.Errorf("500 tokens: status %d, %d commands, %.200s", status, len(f.Commands()), body)
	}
	if status, _ := call(t, f.api(t), RoleAdmin, post, "/tokens/import", batch("", tokens...)); status != http.StatusUnprocessableEntity {
		t.Errorf("501 tokens: status %d, want 422", status)
	}
}
