package webui

import (
	"flag"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"keyfob/engine"
)

var update = flag.Bool("update", false, "renew the golden pages")

// state is a page in one of its states.
type state struct {
	name    string
	request func() *http.Request
	status  int
	change  func(*Config)
}

func states() []state {
	const ok, invalid = http.StatusOK, http.StatusUnprocessableEntity
	done := finished(newScriptedNode(), "fob")
	branded := func(c *Config) {
		c.Branding = Branding{ServiceName: "Example Travel VPN", Logo: []byte("<svg xmlns=\"http://www.w3.org/2000/svg\"/>"), DoneText: "Enjoy the trip.", HelpLine: "Call 4711 or mail help@example.com."}
	}
	noResync := func(c *Config) { c.Node.State().Policy.ResyncByUser = false }
	all := []state{
		{name: "signin", request: withGet("/"), status: ok},
		{name: "signin-activated", request: withGet("/"), status: ok, change: func(c *Config) {
			c.Node.State().Policy.FirstPIN = engine.FirstPINByActivationCode
		}},
		{name: "signin-over", request: withGet("/?over=1"), status: ok},
		{name: "signin-refused", request: withPost("/", fields("user", "ada", "passcode", "123")), status: invalid},
		{name: "signin-empty", request: withPost("/", fields("user", "ada", "passcode", "")), status: invalid},
		{name: "over-tokencode", request: withPost("/next", fields("tokencode", "999999"), in("next")), status: invalid},
		{name: "over-tokencode-sent", request: withPost("/next", fields("tokencode", "999999"), in("next.sent")), status: invalid},
		{name: "over-pin", request: withPost("/pin", fields("pin", "7777", "pin_again", "7777"), in("new")), status: invalid},
		{name: "signin-both-empty", request: withPost("/", fields("user", " ", "passcode", "")), status: invalid},
		{name: "resync-activated", request: withGet("/resync"), status: ok, change: func(c *Config) {
			c.Node.State().Policy.FirstPIN = engine.FirstPINByActivationCode
		}},
		{name: "choose-neither", request: withPost("/pin", fields(), in("choose")), status: invalid},
		{name: "done", request: withGet("/done", done), status: ok},
		{name: "done-branded", request: withGet("/done", done), status: ok, change: branded},
		{name: "signin-letters", request: withGet("/?letters=1"), status: ok},
		{name: "signin-no-resync", request: withGet("/"), status: ok, change: noResync},
		{name: "signin-locked-for-good", request: withPost("/", fields("user", "ada", "passcode", "123")), status: invalid, change: func(c *Config) {
			c.Node.State().Policy.LockFor = 0
		}},
		{name: "resync-off", request: withGet("/resync"), status: http.StatusNotFound, change: noResync},
		{name: "resync", request: withGet("/resync"), status: ok},
		{name: "caller", request: withGet("/caller"), status: ok},
		{name: "caller-empty", request: withPost("/caller", fields("user", "ada", "tokencode", "")), status: invalid},
		{name: "caller-refused", request: withPost("/caller", fields("user", "ada", "tokencode", "123456")), status: invalid},
		{name: "caller-word", request: withPost("/caller", fields("user", "ada", "tokencode", "159 753", "request", "00112233445566778899aabbccddeeff")), status: ok},
		{name: "resync-refused", request: withPost("/resync", fields("user", "ada", "passcode", "1", "tokencode", "2")), status: invalid},
		{name: "resync-next", request: withPost("/resync", fields("user", "ada", "passcode", "1")), status: ok},
		{name: "resync-next-empty", request: withPost("/resync", fields("user", "ada", "passcode", "1", "tokencode", "")), status: invalid},
		{name: "lost", request: withGet("/lost"), status: ok},
		{name: "not-found", request: withGet("/nowhere"), status: http.StatusNotFound},
	}
	for _, e := range []entry{
		{style: stylePINFirst, event: true}, {style: stylePINpad}, {style: styleNoPIN}, {style: styleNoPIN, event: true}, {style: styleOnDemand}, {style: styleEmergency},
	} {
		cookie := finished(newScriptedNode(), e.String())
		all = append(all, state{name: "done-" + strings.ReplaceAll(e.String(), "_", "-"), request: withGet("/done", cookie), status: ok})
	}
	steps := map[string][]string{
		"/next":  {"next", "next.event", "next.sent", "next.sent.wrong", "next.pinpad", "next.no-pin", "next.event.wrong", "next.event.tokencode_reused", "next.event.last", "next.tokencode_reused", "next.wrong"},
		"/pin":   {"choose", "choose.choice", "generate", "new", "new.letters", "new.pins_differ", "new.pin_length", "new.pin_characters", "new.pin_trivial", "new.pin_common", "new.pin_personal", "new.pin_used_before", "new.no-history", "new.pinpad", "new.sent", "choose.pinpad", "choose.sent", "generate.pinpad", "new.pin_leading_zero", "confirm"},
		"/login": {"login", "login.generated", "login.event", "login.sent", "login.sent.wrong", "login.pinpad", "login.pinpad.wrong", "login.event.wrong", "login.event.tokencode_reused", "login.late", "login.last", "login.wrong", "login.tokencode_reused"},
	}
	for path, conversations := range steps {
		for _, c := range conversations {
			all = append(all, state{name: strings.ReplaceAll(c, ".", "-"), request: withGet(path, in(c)), status: ok})
		}
	}
	return all
}

func withGet(path string, cookies ...*http.Cookie) func() *http.Request {
	return func() *http.Request { return get(path, cookies...) }
}

func withPost(path string, form url.Values, cookies ...*http.Cookie) func() *http.Request {
	return func() *http.Request { return post(path, form, cookies...) }
}

var hashedName = regexp.MustCompile(`(/static/\w+)\.[0-9a-f]{16}`)

func TestPagesLookAsReviewed(t *testing.T) {
	for _, st := range states() {
		for _, lang := range languages {
			t.Run(st.name+"."+lang, func(t *testing.T) {
				h, _ := newSite(t, func(c *Config) {
					if st.change != nil {
						st.change(c)
					}
				})
				r := st.request()
				r.Header.Set("Accept-Language", lang)
				res := serve(h, r)
				if res.StatusCode != st.status {
					t.Errorf("status %d, want %d", res.StatusCode, st.status)
				}
				got := hashedName.ReplaceAllString(body(t, res), "$1.HASH")
				checkStructure(t, got, lang)
				golden(t, filepath.Join("testdata", "golden", st.name+"."+lang+".html"), got)
			})
		}
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	// One element a line, for readable differences.
	got = strings.ReplaceAll(got, "><", ">\n<") + "\n"
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("page changed; review it and run with -update (-want +got):\n%s", d)
	}
}

// checkStructure checks the rules that hold for every page.
func checkStructure(t *testing.T, page, lang string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var headings int
	ids := make(map[string]bool)
	var labelled, described []string
	var fields []*html.Node
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		at := attributes(n)
		for name := range at {
			if name == "style" || strings.HasPrefix(name, "on") {
				t.Errorf("<%s> has attribute %s", n.Data, name)
			}
		}
		if id := at["id"]; id != "" {
			if ids[id] {
				t.Errorf("id %q is there twice", id)
			}
			ids[id] = true
		}
		labelled = append(labelled, at["for"])
		described = append(described, strings.Fields(at["aria-describedby"])...)
		switch n.Data {
		case "h1":
			headings++
		case "html":
			if at["lang"] != lang {
				t.Errorf("language of the page is %q, want %q", at["lang"], lang)
			}
		case "style":
			t.Error("page has inline style")
		case "script":
			if n.FirstChild != nil || at["src"] == "" {
				t.Error("page has inline script")
			}
		case "input":
			if at["type"] != "hidden" {
				fields = append(fields, n)
			}
		}
	}
	if headings != 1 {
		t.Errorf("page has %d h1, want 1", headings)
	}
	for _, f := range fields {
		at := attributes(f)
		if !contains(labelled, at["id"]) && at["aria-label"] == "" && f.Parent.Data != "label" {
			t.Errorf("input %q has no label", at["name"])
		}
	}
	for _, id := range described {
		if !ids[id] {
			t.Errorf("aria-describedby names %q, which is not there", id)
		}
	}
	if strings.Contains(page, "⟦") || strings.Contains(page, "<no value>") || strings.Contains(page, "&lt;no value") {
		t.Error("page lacks a sentence, or a sentence lacks what it mentions")
	}
	if errorPage := strings.Contains(page, `role="alert"`); errorPage != errorTitle.MatchString(page) {
		t.Errorf("title begins with Error: %v, but something is wrong: %v", !errorPage, errorPage)
	}
}

var errorTitle = regexp.MustCompile(`<title>(Error|Fehler): `)

func attributes(n *html.Node) map[string]string {
	at := make(map[string]string)
	for _, a := range n.Attr {
		at[a.Key] = a.Val
	}
	return at
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if s != "" && e == s {
			return true
		}
	}
	return false
}
