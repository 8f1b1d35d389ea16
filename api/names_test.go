package api

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"keyfob/engine"
)

// TestEveryUserNameCanBeNamedInAURL asks a server for every user whose name is
// made of up to three of the characters that URLs treat specially. A name that no
// URL can carry could be added and never be disabled or deleted.
func TestEveryUserNameCanBeNamedInAURL(t *testing.T) {
	f := newFake(t)
	var names []string
	add := func(typed string) {
		name, err := engine.Canonical(typed)
		if err == nil && name == typed {
			f.put(t, engine.TableUsers, engine.User{Name: name})
			names = append(names, name)
		}
	}
	const special = `a./\%?#;:@&=+~,"<>|` + "^`{}[]$!*'()-_2é"
	for _, a := range special {
		add(string(a))
		for _, b := range special {
			add(string([]rune{a, b}))
			for _, c := range special[:8] {
				add(string([]rune{a, b, c}))
			}
		}
	}
	for _, text := range []string{"%2e%2e", "a%2fb", "a/../b", "../ada", "a//b", "..;a", "http://a/", "add?reason=r", "/", "//", `corp\ada`} {
		add(text)
	}
	mux := http.NewServeMux() // as the admin listener has it
	mux.Handle(Prefix+"/", f.api(t))
	server := httptest.NewServer(mux)
	defer server.Close()
	direct := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, name := range names {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+Prefix+"/users/"+url.PathEscape(name), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+bearer(RoleAdmin))
		response, err := direct.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("user %q: status %d", name, response.StatusCode)
		}
	}
}
