package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// TestListingsAreFiltered asks for the users and tokens of each filter.
func TestListingsAreFiltered(t *testing.T) {
	f := newFake(t)
	now := f.now
	at := func(days int) events.Time { return events.At(now.AddDate(0, 0, days)) }
	f.put(t, engine.TableUsers, engine.User{Name: "ada", Tokens: []string{"0001"}, LastSuccess: at(-1)})
	f.put(t, engine.TableUsers, engine.User{Name: "bob", Disabled: true})
	f.put(t, engine.TableUsers, engine.User{Name: "carol", Strangers: engine.Lock{Stopped: true}})
	f.put(t, engine.TableTokens, engine.Token{Serial: "0001", Kind: "totp", Period: 30, User: "ada", PIN: []byte("sealed"), PINSetAt: at(-400), Expires: at(400)})
	f.put(t, engine.TableTokens, engine.Token{Serial: "0002", Kind: "totp", Period: 30, Expires: at(20)})
	f.put(t, engine.TableTokens, engine.Token{Serial: "0003", Kind: "totp", Period: 30, User: "ada", NewPIN: true, Lost: &engine.Lost{Until: at(1)}})
	day := func(days int) string { return now.AddDate(0, 0, days).UTC().Format(time.RFC3339) }
	for query, want := range map[string]string{
		"/users?locked=true":                      "carol",
		"/users?disabled=true":                    "bob",
		"/users?never_used=true":                  "bob carol",
		"/users?without_token=true":               "bob carol",
		"/users?without_token=true&disabled=true": "bob",
		"/users":                                    "ada bob carol",
		"/tokens?unassigned=true":                   "0002",
		"/tokens?mode=new_pin":                      "0003",
		"/tokens?lost=true":                         "0003",
		"/tokens?expires_before=" + day(30):         "0002",
		"/tokens?pin_set_before=" + day(-365):       "0001",
		"/tokens?pin_set_before=" + day(-500):       "",
		"/tokens?user=ADA&lost=true":                "0003",
		"/tokens?user=ada&expires_before=" + day(1): "",
	} {
		status, body := call(t, f.api(t), RoleHelpdesk, get, query, "")
		var list struct {
			Items []struct{ User, Serial string }
		}
		if err := json.Unmarshal([]byte(body), &list); err != nil || status != http.StatusOK {
			t.Fatalf("%s: status %d, %v: %s", query, status, err, body)
		}
		var names []string
		for _, one := range list.Items {
			if strings.HasPrefix(query, "/users") {
				names = append(names, one.User)
			} else {
				names = append(names, one.Serial)
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
}
