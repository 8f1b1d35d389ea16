package diagnosis

import (
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

// at returns noon plus d.
func at(d time.Duration) events.Time { return events.At(noon.Add(d)) }

// given is bob, who has the fob b1 with a PIN, and the policy.
type given struct {
	user   engine.User
	token  engine.Token
	policy engine.Policy
}

// state returns a state with bob, after a change.
func state(t *testing.T, change func(*given)) *engine.State {
	t.Helper()
	g := given{
		user: engine.User{Name: "bob", Tokens: []string{"b1"}},
		token: engine.Token{
			Serial: "b1", Kind: "totp", Period: 60, Digits: 6, User: "bob", PIN: []byte("sealed PIN"),
			PINSetAt: at(-30 * 24 * time.Hour), PINMin: 6, PINMax: 8, Last: noon.Unix()/60 - 1,
		},
		policy: engine.DefaultPolicy(),
	}
	if change != nil {
		change(&g)
	}
	s := engine.NewState()
	s.Policy = g.policy
	put(t, s, engine.TableUsers, g.user)
	put(t, s, engine.TableTokens, g.token)
	put(t, s, engine.TableTokens, engine.Token{Serial: "b2", Kind: "hotp", Digits: 6, User: "bob", PIN: []byte("sealed PIN")})
	return s
}

func put[T any](t *testing.T, s *engine.State, table engine.Table, record T) {
	t.Helper()
	err := s.PutRecord(table, func(into any) error {
		*into.(*T) = record
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// members lists the matches of a pattern in a source file.
func members(t *testing.T, file, pattern string) []string {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(source), -1) {
		names = append(names, m[1])
	}
	if len(names) < 10 {
		t.Fatalf("only %d members found in %s", len(names), file)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
