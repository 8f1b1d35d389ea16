package webui

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

func TestEveryAnswerHasTheHeaders(t *testing.T) {
	h, _ := newSite(t)
	for _, r := range []*http.Request{
		get("/"), get("/lost"), get("/nowhere"), get("/pin"), get("/livez"),
		post("/", fields("user", "ada", "passcode", "1")), httptest.NewRequest(http.MethodDelete, "https://token.example.com/", nil),
	} {
		res := serve(h, r)
		for name, want := range map[string]string{
			"Content-Security-Policy":   contentPolicy,
			"Cache-Control":             "no-store",
			"Referrer-Policy":           "no-referrer",
			"X-Content-Type-Options":    "nosniff",
			"X-Robots-Tag":              "noindex",
			"Strict-Transport-Security": "max-age=31536000",
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s %s: %s is %q, want %q", r.Method, r.URL, name, got, want)
			}
		}
	}
	plain := get("/")
	plain.TLS = nil
	if got := serve(h, plain).Header.Get("Strict-Transport-Security"); got != "" {
		t.Errorf("HSTS without TLS: %q", got)
	}
}

func TestCookiesAreBoundToTheHost(t *testing.T) {
	h, _ := newSite(t)
	for _, tc := range []struct {
		request *http.Request
		names   []string
	}{
		{post("/", fields("user", "to-new", "passcode", "111111")), []string{conversationCookie, doneCookie}},
		{post("/", fields("user", "accepted", "passcode", "111111")), []string{conversationCookie, doneCookie}},
		{post("/", fields("user", "x", "passcode", "1")), []string{conversationCookie, doneCookie}},
		{get("/?lang=de"), []string{languageCookie}},
	} {
		res := serve(h, tc.request)
		if got := len(res.Cookies()); got != len(tc.names) {
			t.Errorf("%s: %d cookies, want %d", tc.request.URL, got, len(tc.names))
		}
		for _, name := range tc.names {
			c := cookie(res, name)
			if c == nil {
				t.Errorf("%s: no cookie %s", tc.request.URL, name)
				continue
			}
			if !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || !strings.HasPrefix(name, "__Host-") {
				t.Errorf("cookie %s: %s", name, c.Raw)
			}
			if name != languageCookie && c.SameSite != http.SameSiteStrictMode {
				t.Errorf("cookie %s is not strict: %s", name, c.Raw)
			}
		}
	}
}

func TestSignInIgnoresAPlantedConversation(t *testing.T) {
	h, n := newSite(t)
	res := serve(h, post("/", fields("user", "to-new", "passcode", "111111"), in("login")))
	if got := n.Attempts()[0].Conversation; got != "" {
		t.Errorf("conversation %q reached the node from a cookie set before the login", got)
	}
	if c := cookie(res, conversationCookie); c == nil || c.Value != "new" {
		t.Error("login does not replace the conversation")
	}
}

func TestFormsFromOtherSitesAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name    string
		headers map[string]string
		allowed bool
	}{
		{"cross-site", map[string]string{"Sec-Fetch-Site": "cross-site"}, false},
		{"same-site, other host", map[string]string{"Sec-Fetch-Site": "same-site"}, false},
		{"foreign origin", map[string]string{"Origin": "https://evil.example"}, false},
		{"null origin", map[string]string{"Origin": "null"}, false},
		{"same origin", map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "https://token.example.com"}, true},
		{"typed address", map[string]string{"Sec-Fetch-Site": "none"}, true},
		{"public URL behind a proxy", map[string]string{"Origin": "https://vpn.example.com", "Sec-Fetch-Site": "cross-site"}, true},
		{"no browser", nil, true},
	} {
		for _, path := range []string{"/", "/pin", "/next", "/login"} {
			h, n := newSite(t, func(c *Config) { c.PublicURL = "https://vpn.example.com/" })
			r := post(path, fields("user", "ada", "passcode", "1", "pin", "1", "tokencode", "1"), in(strings.TrimPrefix(strings.Replace(path, "pin", "new", 1), "/")))
			for name, value := range tc.headers {
				r.Header.Set(name, value)
			}
			res := serve(h, r)
			if refused := res.StatusCode == http.StatusForbidden; refused == tc.allowed || (len(n.Attempts()) > 0) != tc.allowed {
				t.Errorf("%s to %s: status %d, %d attempts", tc.name, path, res.StatusCode, len(n.Attempts()))
			}
		}
	}
}

func TestMalformedFormsAreRefused(t *testing.T) {
	h, n := newSite(t)
	raw := func(content string) *http.Request {
		r := post("/", nil)
		r.Body = io.NopCloser(strings.NewReader(content))
		return r
	}
	typed := func(kind string) *http.Request {
		r := post("/", fields("user", "ada", "passcode", "1"))
		r.Header.Set("Content-Type", kind)
		return r
	}
	for name, r := range map[string]*http.Request{
		"huge":                raw("user=ada&passcode=1&x=" + strings.Repeat("a", maxBody)),
		"repeated field":      raw("user=ada&user=eve&passcode=1"),
		"no UTF-8":            raw("user=%ff&passcode=1"),
		"NUL":                 raw("user=ada%00&passcode=1"),
		"line break":          raw("user=ada&passcode=1%0d%0a2"),
		"bad escape":          raw("user=%zz&passcode=1"),
		"semicolon":           raw("user=ada;passcode=1"),
		"long user":           raw("passcode=1&user=" + strings.Repeat("a", 257)),
		"long passcode":       raw("user=ada&passcode=" + strings.Repeat("1", 129)),
		"foreign choice":      raw("user=ada&passcode=1&choice=both"),
		"malformed request":   raw("user=ada&passcode=1&request=1234"),
		"request in capitals": raw("user=ada&passcode=1&request=" + strings.ToUpper(requestA)),
		"JSON":                typed("application/json"),
		"plain text":          typed("text/plain"),
		"multipart":           typed("multipart/form-data; boundary=x"),
		"no content type":     typed(""),
		"unreadable type":     typed(";;"),
		"interrupted":         brokenBody(),
		"two content types":   typed("application/x-www-form-urlencoded, text/plain"),
	} {
		res := serve(h, r)
		if res.StatusCode != http.StatusBadRequest || !strings.Contains(body(t, res), "<h1>") || len(res.Cookies()) != 0 {
			t.Errorf("%s: status %d, want 400 with a page", name, res.StatusCode)
		}
	}
	if len(n.Attempts()) != 0 {
		t.Error("a malformed form reached the node")
	}
}

func brokenBody() *http.Request {
	r := post("/", nil)
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("user=ada&passcode=1"), brokenReader{}))
	return r
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

func TestOtherMethodsAreRefused(t *testing.T) {
	h, _ := newSite(t)
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions, http.MethodTrace, http.MethodConnect, "post"} {
		for path, allow := range map[string]string{"/": "GET, HEAD, POST", "/pin": "GET, HEAD, POST", "/lost": "GET, HEAD", "/readyz": "GET, HEAD"} {
			r := httptest.NewRequest(http.MethodGet, "https://token.example.com"+path, nil)
			r.Method = method
			res := serve(h, r)
			if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != allow {
				t.Errorf("%s %s: %d, Allow %q", method, path, res.StatusCode, res.Header.Get("Allow"))
			}
		}
	}
	if res := serve(h, post("/done", fields())); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST /done: %d", res.StatusCode)
	}
	r := get("/")
	r.Method = http.MethodHead
	if res := serve(h, r); res.StatusCode != http.StatusOK || body(t, res) != "" || res.Header.Get("Content-Length") == "0" {
		t.Error("HEAD / is not GET / without a body")
	}
}

func TestPagesDoNotRepeatTheRequest(t *testing.T) {
	h, _ := newSite(t)
	for _, path := range []string{
		"/?over=1", "/pin", "/done", "/lost", "//evil.example", "/\\evil.example", "/%2f%2fevil.example", "/https:evil.example",
		"/?rd=https://evil.example", "/x%0d%0aLocation:%20evil.example", "/./evil.example", "/a/../evil.example", "/pin;evil.example", "/?lang=evil.example",
	} {
		r := get("/")
		r.URL.Path, r.URL.RawQuery, _ = strings.Cut(path, "?")
		r.Host = "evil.example"
		r.Header.Set("X-Forwarded-Host", "evil.example")
		r.Header.Set("X-Forwarded-Proto", "http")
		r.Header.Set("Forwarded", "host=evil.example")
		res := serve(h, r)
		if to := res.Header.Get("Location"); to != "" && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.Contains(to, "evil")) {
			t.Errorf("%s: redirected to %q", path, to)
		}
		if strings.Contains(body(t, res), "evil") {
			t.Errorf("%s: page repeats the request", path)
		}
	}
}

func TestUserNameIsEscaped(t *testing.T) {
	h, _ := newSite(t)
	page := body(t, serve(h, post("/", fields("user", `"><script>alert(1)</script>`, "passcode", "1"))))
	if strings.Contains(page, "<script>alert") {
		t.Error("user name is not escaped")
	}
}

func TestForwardedAddressesAreAcceptedFromProxiesOnly(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, tc := range []struct {
		peer      string
		forwarded []string
		want      string
	}{
		{"203.0.113.9:1234", nil, "203.0.113.9"},
		{"203.0.113.9:1234", []string{"198.51.100.1"}, "203.0.113.9"}, // not from a proxy
		{"10.0.0.1:1234", nil, "10.0.0.1"},
		{"10.0.0.1:1234", []string{"198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:1234", []string{"198.51.100.1, 203.0.113.9"}, "203.0.113.9"}, // rightmost that is not a proxy
		{"10.0.0.1:1234", []string{"198.51.100.1, 203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		{"10.0.0.1:1234", []string{"198.51.100.1", "203.0.113.9"}, "203.0.113.9"}, // two headers are one list
		{"10.0.0.1:1234", []string{"198.51.100.1, junk"}, "10.0.0.1"},
		{"10.0.0.1:1234", []string{"203.0.113.9, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"10.0.0.1:1234", []string{"203.0.113.9:4711"}, "203.0.113.9"},
		{"10.0.0.1:1234", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		{"10.0.0.1:1234", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		{"10.0.0.1:1234", []string{""}, "10.0.0.1"},
		{"[fd00::1%eth0]:1234", []string{"2001:db8::7"}, "2001:db8::7"},
		{"[::ffff:10.0.0.1]:1234", []string{"203.0.113.9"}, "203.0.113.9"},
		{"10.0.0.1:1234", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"}, // proxies only
		{"@", []string{"203.0.113.9"}, "invalid IP"},
	} {
		r := get("/")
		r.RemoteAddr = tc.peer
		for _, line := range tc.forwarded {
			r.Header.Add("X-Forwarded-For", line)
		}
		if got := sourceOf(r, trusted).String(); got != tc.want {
			t.Errorf("from %s forwarded %q: %s, want %s", tc.peer, tc.forwarded, got, tc.want)
		}
	}
}

func TestGuessesWithRotatingHeadersAreOneSource(t *testing.T) {
	h, n := newSite(t)
	for i := range 100 {
		r := post("/", fields("user", "ada", "passcode", "secret"))
		r.Header.Set("X-Forwarded-For", netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}).String())
		serve(h, r)
	}
	for _, a := range n.Attempts() {
		if a.Source.String() != "192.0.2.1" || a.Client != "" { // the peer of httptest
			t.Fatalf("the node counts against %v and client %q", a.Source, a.Client)
		}
	}
}

// An office behind one address can send any number of forms. Only failures count
// (source.failures in the policy).
func TestManyPeopleBehindOneAddressAreNotThrottled(t *testing.T) {
	v, _ := newVisitor(t)
	for range 100 {
		v.submit("/", fields("user", "to-new", "passcode", "111111"))
		v.submit("/pin", fields("pin", "4821", "pin_again", "4821"))
		if to := v.submit("/login", fields("passcode", "4821222222")); to != "/done" {
			t.Fatalf("login leads to %s", to)
		}
	}
}

// A throttled form can be sent again later.
func TestThrottledFormCanBeSentAgain(t *testing.T) {
	h, err := New(testConfig(fixedNode(engine.Outcome{
		Reason: events.ReasonThrottled, Reference: "7K3M-QX4P", Wait: 19500 * time.Millisecond,
	})))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what string
		r    *http.Request
	}{
		{"first step", post("/", fields("user", "ada", "passcode", "secret"))},
		{"next tokencode", post("/next", fields("tokencode", "secret"), in("next"))},
		{"login with a new PIN", post("/login", fields("passcode", "secret"), in("login"))},
		{"new PIN", post("/pin", fields("pin", "secret", "pin_again", "secret"), in("new"))},
		{"resynchronise", post("/resync", fields("user", "ada", "passcode", "secret", "tokencode", "secret"))},
	} {
		res := serve(h, tt.r)
		text := body(t, res)
		if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") != "20" {
			t.Errorf("%s: status %d, Retry-After %q", tt.what, res.StatusCode, res.Header.Get("Retry-After"))
		}
		if !strings.Contains(text, "Too many failed attempts") || !strings.Contains(text, "Wait 20 seconds") || strings.Contains(text, "secret") || strings.Contains(text, "7K3M") {
			t.Errorf("%s: the page says\n%s", tt.what, text)
		}
		if cookies := res.Header.Values("Set-Cookie"); len(cookies) != 0 {
			t.Errorf("%s: the conversation is lost: %q", tt.what, cookies)
		}
		if tt.what != "resynchronise" && !strings.Contains(text, `action="`+tt.r.URL.Path+`"`) {
			t.Errorf("%s: the form is not there again", tt.what)
		}
	}
}

func TestReadyzFollowsTheNode(t *testing.T) {
	h, n := newSite(t)
	if res := serve(h, get("/readyz")); res.StatusCode != http.StatusOK {
		t.Errorf("ready: %d", res.StatusCode)
	}
	n.notReady = errors.New("no leader at 10.0.0.3")
	res := serve(h, get("/readyz"))
	if text := body(t, res); res.StatusCode != http.StatusServiceUnavailable || strings.Contains(text, "leader") {
		t.Errorf("not ready: %d %q", res.StatusCode, text)
	}
	if res := serve(h, get("/livez")); res.StatusCode != http.StatusOK {
		t.Errorf("alive: %d", res.StatusCode)
	}
}

func TestFilesAreCachedForEver(t *testing.T) {
	h, _ := newSite(t, func(c *Config) { c.Branding.Logo = []byte("\x89PNG\r\n\x1a\n") })
	files, err := loadAssets([]byte("\x89PNG\r\n\x1a\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, kind := range map[string]string{"app.js": "text/javascript; charset=utf-8", "style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml", logoFile: "image/png"} {
		res := serve(h, get(files[name].path))
		if res.StatusCode != http.StatusOK || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") || res.Header.Get("Content-Type") != kind {
			t.Errorf("%s: %d %q %q", name, res.StatusCode, res.Header.Get("Cache-Control"), res.Header.Get("Content-Type"))
		}
	}
}

func TestNothingTypedIsLogged(t *testing.T) {
	var log bytes.Buffer
	h, n := newSite(t, func(c *Config) {
		c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	n.failWith(errors.New("no leader"))
	const secret = "4711471147"
	serve(h, post("/", fields("user", "ada", "passcode", secret)))
	serve(h, post("/pin", fields("pin", secret, "pin_again", secret), in("new")))
	serve(h, post("/", fields("user", "ada", "passcode", secret+"%", "choice", "both")))
	cross := post("/", fields("user", "ada", "passcode", secret))
	cross.Header.Set("Origin", "https://evil.example")
	serve(h, cross)
	if log.Len() == 0 || strings.Contains(log.String(), secret) {
		t.Errorf("log: %s", log.String())
	}
}

// TestStrangersCannotFillTheLog with forms that are refused unread.
func TestStrangersCannotFillTheLog(t *testing.T) {
	var log bytes.Buffer
	now := noon
	h, _ := newSite(t, func(c *Config) {
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
		c.Now = func() time.Time { return now }
	})
	flood := func() (lines int) {
		log.Reset()
		for range 100 {
			serve(h, post("/", fields("choice", "both")))
			cross := post("/", fields("user", "ada"))
			cross.Header.Set("Origin", "https://evil.example")
			serve(h, cross)
		}
		return strings.Count(log.String(), "\n")
	}
	if lines := flood(); lines != 2*logRate.Burst {
		t.Errorf("200 forms made %d lines", lines)
	}
	now = now.Add(logRate.Every)
	if lines := flood(); lines != 2 {
		t.Errorf("200 forms %v later made %d lines", logRate.Every, lines)
	}
}

func TestConfigReportsAllProblems(t *testing.T) {
	_, err := New(Config{PublicURL: "http://x/y", Branding: Branding{Logo: []byte("no image")}})
	if err == nil {
		t.Fatal("an empty configuration is accepted")
	}
	for _, want := range []string{"node is missing", "clock is missing", "random bytes is missing", "log is missing", "public URL", "logo"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not say %q: %v", want, err)
		}
	}
	for _, bad := range []string{"https://", "https://a/b", "https://u@a", "https://a?b", "ftp://a", "https://a#b", "://"} {
		cfg := testConfig(newScriptedNode())
		cfg.PublicURL = bad
		if _, err := New(cfg); err == nil {
			t.Errorf("public URL %q is accepted", bad)
		}
	}
}

func TestOrdinaryClientCanUseTheServer(t *testing.T) {
	h, _ := newSite(t, randomly)
	server := httptest.NewTLSServer(h)
	defer server.Close()
	client := server.Client()
	client.Transport.(*http.Transport).TLSClientConfig.MinVersion = tls.VersionTLS13
	res, err := client.PostForm(server.URL+"/", fields("user", "ada", "passcode", "1"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("status %d, want 422", res.StatusCode)
	}
}
