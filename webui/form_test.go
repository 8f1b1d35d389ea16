package webui

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func FuzzForms(f *testing.F) {
	for _, seed := range []string{
		"user=ada&passcode=2468159753",
		"user=ada&passcode=2468159753&request=" + requestA,
		"pin=4821&pin_again=4821", "choice=own", "choice=generated&pin=", "tokencode=159%20753",
		"user=%00", "user=a&user=b", "a;b", "%", "user=%F0%9F%94%91&passcode=%E2%80%AE1",
	} {
		f.Add(seed, "new")
	}
	f.Fuzz(func(t *testing.T, content, conversation string) {
		for _, path := range []string{"/", "/pin", "/next", "/login", "/resync"} {
			h, n := newSite(t)
			r := httptest.NewRequest(http.MethodPost, "https://token.example.com"+path, strings.NewReader(content))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.AddCookie(in(conversation))
			res := serve(h, r)
			switch res.StatusCode {
			case http.StatusOK, http.StatusSeeOther, http.StatusUnprocessableEntity, http.StatusBadRequest:
			default:
				t.Errorf("%s: status %d", path, res.StatusCode)
			}
			if res.StatusCode == http.StatusBadRequest && len(n.Attempts()) != 0 {
				t.Error("an unreadable form reached the node")
			}
			if res.StatusCode == http.StatusSeeOther {
				continue
			}
			checkStructure(t, body(t, res), "en")
		}
	})
}
