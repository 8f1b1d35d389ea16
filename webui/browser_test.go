package webui

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"keyfob/webui/browsertest"
)

// startSite serves the wizard over TLS.
func startSite(t *testing.T) (string, *scriptedNode) {
	t.Helper()
	h, n := newSite(t, randomly, func(c *Config) { c.Now = time.Now })
	n.now = time.Now
	server := httptest.NewTLSServer(h)
	t.Cleanup(server.Close)
	return server.URL, n
}

// looks are the browsers and screens that every page is checked with.
var looks = []struct {
	name string
	browsertest.Options
}{
	{"light", browsertest.Options{}},
	{"dark", browsertest.Options{Dark: true}},
	{"narrow", browsertest.Options{Width: 320}},
	{"narrow-dark-de", browsertest.Options{Width: 320, Dark: true, Language: "de"}},
	{"de", browsertest.Options{Language: "de"}},
}

func TestEveryPageIsAccessibleInEveryLook(t *testing.T) {
	browser := browsertest.Start(t)
	for _, look := range looks {
		t.Run(look.name, func(t *testing.T) {
			url, _ := startSite(t)
			for _, user := range []string{
				"to-next.tokencode_reused", "to-next.event", "to-next.sent", "to-choose", "to-generate",
				"to-new.pins_differ", "to-new.pinpad", "to-confirm", "to-login.generated", "to-login.pinpad", "to-login.late", "accepted", "refused",
			} {
				p := browser.Open(t, look.Options)
				signIn(p, url, user, "111111")
				checkLook(p, look.name, user)
			}
			p := browser.Open(t, look.Options)
			p.Visit(url + "/")
			checkLook(p, look.name, "first")
			p.Follow("footer .links a")
			checkLook(p, look.name, "lost")
			p.Visit(url + "/resync")
			checkLook(p, look.name, "resync")
			p.Fill("#user", "slow")
			p.Fill("#passcode", "111111")
			p.Follow("button[type=submit]")
			checkLook(p, look.name, "resync-next")
		})
	}
}

func checkLook(p *browsertest.Page, look, name string) {
	p.CheckAccessible()
	p.CheckReflow()
	p.Shoot(look + "." + name)
}

func signIn(p *browsertest.Page, url, user, passcode string) {
	p.Visit(url + "/")
	p.Fill("#user", user)
	p.Fill("#passcode", passcode)
	p.Follow("button[type=submit]")
}

// walk takes the longest path through the wizard, with a mistake on each page.
func walk(t *testing.T, p *browsertest.Page, url string) {
	t.Helper()
	signIn(p, url, "nobody", "111111")
	at(t, p, "/", "Set up your token")
	if title := p.Title(); !strings.HasPrefix(title, "Error: ") {
		t.Errorf("title after a refusal: %q", title)
	}
	p.Fill("#user", "to-new")
	p.Fill("#passcode", "111 111")
	p.Follow("button[type=submit]")
	at(t, p, "/pin", "Choose your PIN")
	p.Fill("#pin", "4821")
	p.Fill("#pin_again", "4822")
	p.Follow("button[type=submit]")
	at(t, p, "/pin", "Choose your PIN")
	if text := p.Text("#problem"); !strings.Contains(text, "not the same") {
		t.Errorf("problem: %q", text)
	}
	p.Fill("#pin", "4821")
	p.Fill("#pin_again", "4821")
	p.Follow("button[type=submit]")
	at(t, p, "/login", "Sign in with your new PIN")
	p.Fill("#passcode", "4821 222222")
	p.Follow("button[type=submit]")
	at(t, p, "/done", "Your token is now configured for use with your company VPN connection.")
}

func at(t *testing.T, p *browsertest.Page, path, heading string) {
	t.Helper()
	if got := p.Path(); got != path {
		t.Fatalf("at %s, want %s", got, path)
	}
	if got := p.Text("h1"); got != heading {
		t.Fatalf("heading %q, want %q", got, heading)
	}
}

func TestWizardWorksWithScripts(t *testing.T) {
	browser := browsertest.Start(t)
	url, _ := startSite(t)
	walk(t, browser.Open(t, browsertest.Options{}), url)
}

func TestWizardWorksWithoutScripts(t *testing.T) {
	browser := browsertest.Start(t)
	url, _ := startSite(t)
	p := browser.Open(t, browsertest.Options{NoScript: true})
	walk(t, p, url)
	signIn(p, url, "to-next.soon", "111111")
	if text := p.Text(".wait"); text != "Wait until your token shows a new tokencode." {
		t.Errorf("without the countdown: %q", text)
	}
	if shown := browsertest.Evaluate[bool](p, `document.querySelector(".countdown-running").checkVisibility()`); shown {
		t.Error("countdown is visible without the script")
	}
	p.Fill("#tokencode", "222222")
	p.Follow("button[type=submit]")
	at(t, p, "/done", "Your token is now configured for use with your company VPN connection.")
}

func TestCountdownAnnouncesTheNewTokencodeOnce(t *testing.T) {
	browser := browsertest.Start(t)
	url, _ := startSite(t)
	p := browser.Open(t, browsertest.Options{})
	signIn(p, url, "to-next.soon", "111111")
	p.WaitFor(".countdown-said:not(:empty)")
	if said := p.Text(".countdown-said"); said != "Your token should now show a new tokencode." {
		t.Errorf("said %q", said)
	}
	if role := browsertest.Evaluate[string](p, `document.querySelector(".countdown-said").getAttribute("role")`); role != "status" {
		t.Errorf("said with role %q", role)
	}
	signIn(p, url, "to-next.event", "111111")
	if n := browsertest.Evaluate[int](p, `document.querySelectorAll("progress").length`); n != 0 {
		t.Error("a token with a button has a countdown")
	}
}

// WCAG 2.2, 2.2.1: users are told of the limit, warned before it ends, and can
// extend it.
func TestUsersCanExtendTheTimeOfAStep(t *testing.T) {
	browser := browsertest.Start(t)
	url, _ := startSite(t)
	p := browser.Open(t, browsertest.Options{NoScript: true})
	signIn(p, url, "to-new", "111111")
	if text := p.Text(".limit"); !strings.HasPrefix(text, "You have 5 minutes for this step.") {
		t.Errorf("the page says %q", text)
	}
	p.Follow(".limit button")
	at(t, p, "/pin", "Choose your PIN")
	if text := p.Text(".limit"); text != "You have 5 minutes for this step. After that, you start again." {
		t.Errorf("after the last extension the page says %q", text)
	}

	p = browser.Open(t, browsertest.Options{})
	signIn(p, url, "to-login.late", "111111") // 1.5 s before the warning
	p.WaitFor(".limit-said:not(:empty)")
	if text := p.Text(".limit"); !strings.HasPrefix(text, "Less than a minute is left for this step.") || strings.Contains(text, "You have") {
		t.Errorf("a minute before the end the page says %q", text)
	}
	p.CheckAccessible()
}

func TestWizardWorksWithTheKeyboardAlone(t *testing.T) {
	browser := browsertest.Start(t)
	url, _ := startSite(t)
	p := browser.Open(t, browsertest.Options{})
	p.Visit(url + "/")
	p.Press(browsertest.Tab, "nobody", browsertest.Tab, "111111")
	p.PressAndFollow(browsertest.Enter)
	focused := func(want string) {
		t.Helper()
		p.WaitUntil(`[document.activeElement.id, document.activeElement.getAttribute("role"), document.activeElement.className].includes("` + want + `")`)
	}
	focused("alert")
	p.Press(browsertest.Tab)
	focused("user")
	p.Press(browsertest.Tab)
	focused("passcode")
	p.Press("111111", browsertest.Tab)
	focused("reveal-box")
	hidden := func() string {
		return browsertest.Evaluate[string](p, `getComputedStyle(document.querySelector("#passcode")).webkitTextSecurity`)
	}
	if got := hidden(); got != "disc" {
		t.Errorf("passcode is shown as %q before the box is ticked", got)
	}
	p.Press(browsertest.Space)
	if got := hidden(); got != "none" {
		t.Errorf("passcode is shown as %q after the box is ticked", got)
	}
	p.Press(browsertest.Tab)
	focused("button")
	p.Fill("#user", "to-choose")
	p.Press(browsertest.Tab, browsertest.Tab, browsertest.Tab)
	p.PressAndFollow(browsertest.Space)
	at(t, p, "/pin", "Your token needs a PIN")
	p.Press(browsertest.Tab)
	focused("choice")
	p.PressAndFollow(browsertest.Enter)
	at(t, p, "/pin", "Choose your PIN")
	p.Press(browsertest.Tab, "4821", browsertest.Tab, "4821")
	p.PressAndFollow(browsertest.Enter)
	at(t, p, "/login", "Sign in with your new PIN")
}

func TestLanguageLinkKeepsTheStep(t *testing.T) {
	browser := browsertest.Start(t)
	url, _ := startSite(t)
	p := browser.Open(t, browsertest.Options{})
	signIn(p, url, "to-new.pins_differ", "111111")
	p.Follow("footer a[hreflang=de]")
	at(t, p, "/pin", "Ihre PIN wählen")
	p.Fill("#pin", "4821")
	p.Fill("#pin_again", "4821")
	p.Follow("button[type=submit]")
	at(t, p, "/login", "Mit Ihrer neuen PIN anmelden")
}

// After a problem a phone shows the message and the form with its button
// without scrolling.
func TestProblemAndFormFitOnAPhone(t *testing.T) {
	browser := browsertest.Start(t)
	for _, language := range []string{"en", "de"} {
		url, _ := startSite(t)
		p := browser.Open(t, browsertest.Options{Width: 360, Language: language})
		check := func(name string) {
			t.Helper()
			p.Shoot("phone-" + language + "." + name)
			type edges struct{ Top, Bottom, Height float64 }
			at := browsertest.Evaluate[edges](p, `({
				Top: document.querySelector(".alert").getBoundingClientRect().top,
				Bottom: Math.max(...[...document.querySelectorAll("main form:not(.limit form)")].map(f => f.getBoundingClientRect().bottom)),
				Height: window.innerHeight,
			})`)
			if at.Top < 0 || at.Bottom > at.Height {
				t.Errorf("%s, %s: message starts at %v, form ends at %v of %v px", name, language, at.Top, at.Bottom, at.Height)
			}
		}
		signIn(p, url, "refused", "111111")
		check("refused")
		p.Visit(url + "/")
		browsertest.Evaluate[bool](p, `document.forms[0].noValidate = true`)
		p.Follow("button[type=submit]")
		check("incomplete")
		for _, end := range []struct{ user, field string }{{"to-next", "#tokencode"}, {"to-next.sent", "#tokencode"}} {
			signIn(p, url, end.user, "111111")
			p.Fill(end.field, "999999")
			p.Follow("button[type=submit]")
			check("over-" + end.user)
		}
		for _, user := range []string{
			"to-next.tokencode_reused", "to-next.sent.wrong", "to-login.wrong", "to-login.pinpad.wrong", "to-login.generated.wrong", "to-choose.choice",
			"to-new.pins_differ", "to-new.pin_personal", "to-new.pinpad.pin_leading_zero", "to-confirm.pins_differ",
		} {
			signIn(p, url, user, "111111")
			check(user)
		}
		p.Visit(url + "/resync")
		p.Fill("#user", "nobody")
		p.Fill("#passcode", "111111")
		p.Follow("button[type=submit]")
		p.Fill("#tokencode", "222222")
		p.Follow("button[type=submit]")
		check("resync-refused")
	}
}

func TestTargetsAreLargeEnough(t *testing.T) {
	browser := browsertest.Start(t)
	url, _ := startSite(t)
	p := browser.Open(t, browsertest.Options{Width: 320})
	for _, user := range []string{"refused", "to-choose", "to-new"} {
		signIn(p, url, user, "111111")
		small := browsertest.Evaluate[[]string](p, `[...document.querySelectorAll("a, button, .input, label:has(input)")]
			.filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 44).map(e => e.outerHTML)`)
		for _, e := range small {
			t.Errorf("%s: less than 44 px high: %s", user, e)
		}
	}
}

// TestBrowserChecksFindProblems shows that the checks above can fail.
func TestBrowserChecksFindProblems(t *testing.T) {
	browser := browsertest.Start(t)
	url, _ := startSite(t)
	p := browser.Open(t, browsertest.Options{Width: 320})
	p.Visit(url + "/")
	browsertest.Evaluate[bool](p, `document.querySelector("#user").labels[0].remove(), true`)
	if found := strings.Join(p.Findings(), "\n"); !strings.Contains(found, "label (critical)") {
		t.Errorf("axe does not report a missing label: %s", found)
	}
	refused := browsertest.Evaluate[bool](p, `(() => { try { document.body.innerHTML = "<p>"; return false } catch { return true } })()`)
	if !refused {
		t.Error("the content policy lets a script write HTML")
	}
	browsertest.Evaluate[bool](p, `document.body.setAttribute("style", "color: red"), true`)
	if complaints := strings.Join(p.Complaints(), "\n"); !strings.Contains(complaints, "Content Security Policy") {
		t.Errorf("inline style is not reported: %q", complaints)
	}
}
