package webui

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// visitor uses the wizard as a browser does: it keeps cookies and follows
// redirects.
type visitor struct {
	t       *testing.T
	h       http.Handler
	cookies map[string]string
}

func (v *visitor) send(r *http.Request) *http.Response {
	v.t.Helper()
	for name, value := range v.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	res := serve(v.h, r)
	for _, c := range res.Cookies() {
		if c.MaxAge < 0 {
			delete(v.cookies, c.Name)
		} else {
			v.cookies[c.Name] = c.Value
		}
	}
	return res
}

// submit posts a form and returns the path that it redirects to.
func (v *visitor) submit(path string, form url.Values) string {
	v.t.Helper()
	res := v.send(post(path, form))
	if res.StatusCode != http.StatusSeeOther {
		v.t.Fatalf("POST %s: status %d, want 303\n%s", path, res.StatusCode, body(v.t, res))
	}
	return res.Header.Get("Location")
}

func newVisitor(t *testing.T) (*visitor, *scriptedNode) {
	t.Helper()
	h, n := newSite(t, randomly)
	return &visitor{t: t, h: h, cookies: make(map[string]string)}, n
}

func TestNewPINLeadsToALoginAndTheLastPage(t *testing.T) {
	v, n := newVisitor(t)
	if to := v.submit("/", fields("user", "to-new", "passcode", "111 111")); to != "/pin" {
		t.Fatalf("after the passcode: %s", to)
	}
	if to := v.submit("/pin", fields("pin", "4821", "pin_again", "4821")); to != "/login" {
		t.Fatalf("after the PIN: %s", to)
	}
	if to := v.submit("/login", fields("passcode", "4821-222222")); to != "/done" {
		t.Fatalf("after the login: %s", to)
	}
	page := body(t, v.send(get("/done")))
	if want := "<h1>Your token is now configured for use with your company VPN connection.</h1>"; !strings.Contains(page, want) {
		t.Errorf("last page lacks %s", want)
	}
	if _, open := v.cookies[conversationCookie]; open {
		t.Error("conversation is kept after its end")
	}
	pin := n.Attempts()[1]
	if pin.Typed != "4821" || pin.Again != "4821" || pin.Conversation != "new" {
		t.Errorf("new PIN came to the node as typed %q, again %q", pin.Typed.Reveal(), pin.Again.Reveal())
	}
	first := n.Attempts()[0]
	if first.Typed != "111111" || first.User != "to-new" || !first.Arrived.Equal(noon) {
		t.Errorf("first attempt is of %q at %v", first.User, first.Arrived)
	}
	if o := first.Origin; o.Door != events.DoorWeb || o.Node != "n1" || o.Site != "hq" || o.SourceIP != "192.0.2.1" || len(o.Reference) != 9 {
		t.Errorf("origin of the first attempt: %+v", o)
	}
}

func TestChoiceLeadsToAFormOrToAGeneratedPIN(t *testing.T) {
	v, _ := newVisitor(t)
	v.submit("/", fields("user", "to-choose", "passcode", "111111"))
	v.submit("/pin", fields("choice", "own"))
	if page := body(t, v.send(get("/pin"))); !strings.Contains(page, `name="pin_again"`) {
		t.Error("choosing an own PIN does not lead to its form")
	}
	v.submit("/", fields("user", "to-choose", "passcode", "111111"))
	if to := v.submit("/pin", fields("choice", "generated")); to != "/login" {
		t.Errorf("generated PIN leads to %s", to)
	}
	for range 2 {
		if page := body(t, v.send(get("/login"))); !strings.Contains(page, ">48215<") {
			t.Error("generated PIN is not shown before the login")
		}
	}
	v.submit("/login", fields("passcode", "48215222222"))
	if res := v.send(get("/login")); res.Header.Get("Location") != "/" {
		t.Error("generated PIN is still shown after the login")
	}
}

func TestNextPageSaysWhatWasWrong(t *testing.T) {
	v, _ := newVisitor(t)
	v.submit("/", fields("user", "to-next", "passcode", "111111"))
	res := v.send(post("/next", fields("tokencode", "111111")))
	if page := body(t, res); res.StatusCode != http.StatusUnprocessableEntity ||
		!strings.Contains(page, "You have already used that tokencode. Wait for a new one.") {
		t.Errorf("the same tokencode again: status %d", res.StatusCode)
	}
	if to := v.submit("/next", fields("tokencode", "222 222")); to != "/done" {
		t.Errorf("the next tokencode leads to %s", to)
	}
}

func TestRefusalThatEndsTheConversationLeadsBackToTheFirstPage(t *testing.T) {
	v, _ := newVisitor(t)
	v.submit("/", fields("user", "to-next", "passcode", "111111"))
	res := v.send(post("/next", fields("tokencode", "999999")))
	page := body(t, res)
	if res.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(page, `action="/"`) || !strings.Contains(page, "7K3M-QX4P") {
		t.Errorf("status %d, want 422 and the first form with the reference", res.StatusCode)
	}
	if !strings.Contains(page, `name="user" type="text" value="ada"`) {
		t.Error("the user name must be typed again")
	}
	if _, open := v.cookies[conversationCookie]; open {
		t.Error("conversation is kept after its end")
	}
}

func TestResynchronizeAsksForBothBeforeAnyAnswer(t *testing.T) {
	v, n := newVisitor(t)
	for _, user := range []string{"slow", "nobody"} {
		res := v.send(post("/resync", fields("user", user, "passcode", "111 111")))
		if page := body(t, res); res.StatusCode != http.StatusOK || !strings.Contains(page, `name="tokencode"`) {
			t.Errorf("%s after the first passcode: status %d", user, res.StatusCode)
		}
	}
	if len(n.Attempts()) != 0 {
		t.Fatal("the first passcode reached the node before the next tokencode")
	}
	res := v.send(post("/resync", fields("user", "nobody", "passcode", "111111", "tokencode", "222222")))
	if page := body(t, res); res.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(page, "That did not work") || strings.Contains(page, "111111") {
		t.Errorf("refusal: status %d", res.StatusCode)
	}
	if to := v.submit("/resync", fields("user", "slow", "passcode", "111111", "tokencode", "222 222")); to != "/done" {
		t.Errorf("two tokencodes in a row lead to %s", to)
	}
}

func TestVerdictOfAnotherPurposeIsRefused(t *testing.T) {
	h, err := New(testConfig(fixedNode(engine.Outcome{Verdict: engine.Resynchronized})))
	if err != nil {
		t.Fatal(err)
	}
	if res := serve(h, post("/", fields("user", "ada", "passcode", "1"))); res.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("first step: status %d", res.StatusCode)
	}
	if res := serve(h, post("/login", fields("passcode", "1"), in("login"))); res.Header.Get("Location") == "/done" {
		t.Error("the login succeeded without an accept")
	}
	h, err = New(testConfig(fixedNode(engine.Outcome{Verdict: engine.Accept})))
	if err != nil {
		t.Fatal(err)
	}
	if res := serve(h, post("/resync", fields("user", "ada", "passcode", "1", "tokencode", "2"))); res.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("resynchronise: status %d", res.StatusCode)
	}
}

// TestLastPageNeedsAConversationThatEnded: the last page says that a token works.
// Nobody can open it, or have it opened, with a cookie that no conversation left.
func TestLastPageNeedsAConversationThatEnded(t *testing.T) {
	now := noon
	h, n := newSite(t, func(c *Config) { c.Now = func() time.Time { return now } })
	v := &visitor{t: t, h: h, cookies: make(map[string]string)}
	if to := v.submit("/", fields("user", "accepted", "passcode", "111111")); to != "/done" {
		t.Fatalf("a login leads to %q", to)
	}
	mine := v.cookies[doneCookie]
	for name, value := range map[string]string{
		"empty": "", "as the words say": "fob", "any": "1", "changed": mine[:len(mine)-1] + "x", "cut": mine[:len(mine)/2],
		"a conversation": "login", "another note": n.SealNote("other", "9999999999 fob"),
	} {
		cookie := &http.Cookie{Name: doneCookie, Value: value}
		for _, r := range []*http.Request{get("/done", cookie), post("/login", fields("passcode", "1"), cookie)} {
			if res := serve(h, r); res.Header.Get("Location") == "/done" || r.Method == http.MethodGet && res.Header.Get("Location") != "/" {
				t.Errorf("%s /done with a cookie that is %s: %d to %q", r.Method, name, res.StatusCode, res.Header.Get("Location"))
			}
		}
	}
	for at, want := range map[time.Duration]int{doneFor - time.Second: http.StatusOK, doneFor + time.Second: http.StatusSeeOther} {
		now = noon.Add(at)
		if res := serve(h, get("/done", &http.Cookie{Name: doneCookie, Value: mine})); res.StatusCode != want {
			t.Errorf("%v after the conversation: %d, want %d", at, res.StatusCode, want)
		}
	}
}

func TestPagesOfOtherStepsRedirectToTheCurrentStep(t *testing.T) {
	h, n := newSite(t)
	for _, tc := range []struct {
		request *http.Request
		to      string
	}{
		{get("/pin"), "/"},
		{get("/done"), "/"},
		{get("/pin", in("next")), "/next"},
		{get("/next", in("new")), "/pin"},
		{get("/login", in("new")), "/pin"},
		{get("/next", in("spoilt")), "/?over=1"},
		{post("/next", fields("tokencode", "4821"), in("new")), "/pin"},
		{post("/pin", fields("choice", "own"), in("new")), "/pin"},
		{post("/login", fields("passcode", "1"), finished(n, "fob")), "/done"},
	} {
		res := serve(h, tc.request)
		if to := res.Header.Get("Location"); res.StatusCode != http.StatusSeeOther || to != tc.to {
			t.Errorf("%s %s: %d to %q, want 303 to %q", tc.request.Method, tc.request.URL.Path, res.StatusCode, to, tc.to)
		}
	}
	if len(n.Attempts()) != 0 {
		t.Error("the answer to another step reached the node")
	}
}

func TestEmptyFieldsDoNotReachTheNode(t *testing.T) {
	h, n := newSite(t)
	for _, r := range []*http.Request{
		post("/", fields("passcode", "1")),
		post("/", fields("user", "ada")),
		post("/", fields("user", " ", "passcode", "1")),
		post("/next", fields(), in("next")),
		post("/login", fields(), in("login")),
		post("/pin", fields("pin_again", "1"), in("new")),
		post("/pin", fields(), in("choose")),
	} {
		if res := serve(h, r); res.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body(t, res), `role="alert"`) {
			t.Errorf("%s: status %d, want 422 with what is missing", r.URL.Path, res.StatusCode)
		}
	}
	if len(n.Attempts()) != 0 {
		t.Error("an empty form reached the node")
	}
}

// Each press of the button requests one extension. The request carries nothing
// that was typed, and is made only for steps that can be extended.
func TestMoreTimeIsANewTurnOfTheSameStep(t *testing.T) {
	h, n := newSite(t)
	more := fields("more", "1", "request", requestA, "pin", "4821", "pin_again", "4821", "choice", "own", "user", "eve")
	for range 2 {
		res := serve(h, post("/pin", more, in("new")))
		if c := cookie(res, conversationCookie); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/pin" || c == nil || c.Value != "new.last" || c.MaxAge != 300 {
			t.Fatalf("status %d to %s, cookie %v", res.StatusCode, res.Header.Get("Location"), c)
		}
	}
	a := n.Attempts()[0]
	if a.Purpose != engine.ToExtend || a.Conversation != "new" || a.User+a.Typed.Reveal()+a.Again.Reveal()+string(a.Choice) != "" {
		t.Errorf("attempt %+v", a)
	}
	if a.Origin.Request != n.Attempts()[1].Origin.Request {
		t.Error("the same form sent again is another request")
	}
	for _, r := range []*http.Request{
		post("/pin", more, in("new.last")), post("/next", more, in("next")), post("/next", more, in("next.sent")),
	} {
		if res := serve(h, r); res.Header.Get("Location") != r.URL.Path {
			t.Errorf("%s: %d to %q", r.URL.Path, res.StatusCode, res.Header.Get("Location"))
		}
	}
	if len(n.Attempts()) != 2 {
		t.Error("an extension was requested for a step without one")
	}
}

// After an extension the page still shows the problem, with status 200.
func TestMoreTimeKeepsTheProblem(t *testing.T) {
	v, _ := newVisitor(t)
	v.cookies[conversationCookie] = "new.pins_differ"
	if to := v.submit("/pin", fields("more", "1")); to != "/pin" {
		t.Errorf("more time leads to %s", to)
	}
	if res := v.send(get("/pin")); res.StatusCode != http.StatusOK || !strings.Contains(body(t, res), "The two PINs are not the same.") {
		t.Errorf("status %d", res.StatusCode)
	}
}

func TestResynchronizationThatIsSwitchedOffIsNotOffered(t *testing.T) {
	h, n := newSite(t)
	link := `href="/resync"`
	if !strings.Contains(body(t, serve(h, get("/"))), link) {
		t.Error("the first page has no link")
	}
	n.state.Policy.ResyncByUser = false // by an administrator, while the node runs
	if strings.Contains(body(t, serve(h, get("/"))), link) {
		t.Error("the first page has a link")
	}
	for _, r := range []*http.Request{get("/resync"), post("/resync", fields("user", "slow", "passcode", "111111", "tokencode", "222222"))} {
		res := serve(h, r)
		if page := body(t, res); res.StatusCode != http.StatusNotFound || !strings.Contains(page, "Call the help desk") || strings.Contains(page, "<form") {
			t.Errorf("%s: status %d, want 404 and what to do instead", r.Method, res.StatusCode)
		}
	}
	if len(n.Attempts()) != 0 {
		t.Error("the node was asked")
	}
}

// The last page says how this user signs in at the VPN.
func TestLastPageIsWordedForTheToken(t *testing.T) {
	for _, tt := range []struct {
		what   string
		prompt engine.Prompt
		want   string
		sum    bool
	}{
		{"fob", engine.Prompt{}, "type your PIN followed by a new tokencode", true},
		{"event token", engine.Prompt{Event: true}, "press the button on your token each time. Type your PIN followed by", true},
		{"PINpad", engine.Prompt{Rules: engine.PINRules{PINpad: true}}, "enter your PIN in your token each time. Type the passcode", false},
		{"no PIN", engine.Prompt{NoPIN: true}, "You do not need a PIN", false},
		{"event token without a PIN", engine.Prompt{NoPIN: true, Event: true}, "press the button on your token each time and type the new tokencode. You do not need a PIN", false},
		{"on demand", engine.Prompt{Sent: true}, "type only your PIN. We then send you a tokencode", false},
		{"emergency", engine.Prompt{Emergency: true, Rules: engine.PINRules{PINpad: true}}, "type your PIN followed by an emergency tokencode", false},
	} {
		for path, verdict := range map[string]engine.Verdict{"/": engine.Accept, "/resync": engine.Resynchronized} {
			h, err := New(testConfig(fixedNode(engine.Outcome{Verdict: verdict, Prompt: tt.prompt})))
			if err != nil {
				t.Fatal(err)
			}
			v := &visitor{t: t, h: h, cookies: make(map[string]string)}
			v.submit(path, fields("user", "ada", "passcode", "1", "tokencode", "2"))
			page := body(t, v.send(get("/done")))
			if !strings.Contains(page, tt.want) || strings.Contains(page, `class="sum"`) != tt.sum {
				t.Errorf("%s at %s: the last page does not say %q", tt.what, path, tt.want)
			}
		}
	}
}

// A phone shows a numeric keyboard only where passcodes have no letters.
func TestKeyboardFollowsThePolicy(t *testing.T) {
	h, n := newSite(t)
	keyboard := func(path string) string {
		t.Helper()
		_, field, _ := strings.Cut(body(t, serve(h, get(path))), `id="passcode"`)
		_, mode, _ := strings.Cut(field, `inputmode="`)
		mode, _, _ = strings.Cut(mode, `"`)
		return mode
	}
	for _, path := range []string{"/", "/resync"} {
		n.state.Policy.PINAlphanumeric = false
		if got := keyboard(path); got != "numeric" {
			t.Errorf("%s: %s, where PINs are digits", path, got)
		}
		if got := keyboard(path + "?letters=1"); got != "text" {
			t.Errorf("%s: %s, for a user whose PIN is older than the policy", path, got)
		}
		n.state.Policy.PINAlphanumeric = true
		if got := keyboard(path); got != "text" {
			t.Errorf("%s: %s, where PINs may have letters", path, got)
		}
	}
}

const requestA, requestB = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"

func TestFormSentAgainIsARetryAndAnotherFormIsNot(t *testing.T) {
	h, n := newSite(t, randomly)
	same := fields("user", "ada", "passcode", "1", "request", requestA)
	for _, r := range []*http.Request{
		post("/", same),
		post("/", same),
		post("/", fields("user", "ada", "passcode", "2", "request", requestA)), // back in the history, changed
		post("/", fields("user", "ada", "passcode", "1", "request", requestB)),
		post("/", fields("user", "ada", "passcode", "1")),
		post("/", fields("user", "ada", "passcode", "1")),
		post("/login", fields("user", "ada", "passcode", "1", "request", requestA), in("login")),
	} {
		serve(h, r)
	}
	seen := make(map[events.Request]int)
	for _, a := range n.Attempts() {
		if a.Origin.Request.IsZero() {
			t.Error("attempt without a request")
		}
		seen[a.Origin.Request]++
	}
	if len(seen) != 6 || seen[n.Attempts()[0].Origin.Request] != 2 {
		t.Errorf("7 forms, one of them sent twice, are %d requests", len(seen))
	}
}

func TestRetryOfAPastTurnGetsItsAnswer(t *testing.T) {
	h, n := newSite(t)
	a := post("/next", fields("tokencode", "222222", "request", requestA), in("turn-past"))
	// The node decided this form, but its answer was lost.
	attempt, _ := form{tokencode: "222222", request: requestA}.attempt("/next", "turn-past")
	n.Decide = func(engine.Attempt) (engine.Outcome, error) { return engine.Outcome{Verdict: engine.Accept}, nil }
	if _, err := n.Authenticate(t.Context(), attempt); err != nil {
		t.Fatal(err)
	}
	n.Decide = n.decide
	if res := serve(h, a); res.Header.Get("Location") != "/done" {
		t.Errorf("retry got %d, want the answer that was decided", res.StatusCode)
	}
}

func TestUndecidedFormCanBeSentAgain(t *testing.T) {
	for _, err := range []error{engine.ErrUndecided, engine.ErrBusy, errors.New("anything else")} {
		h, n := newSite(t)
		n.failWith(err)
		for _, r := range []*http.Request{
			post("/", fields("user", "ada", "passcode", "secret", "request", requestA)),
			post("/next", fields("tokencode", "secret", "request", requestA), in("next")),
			get("/pin", in("new")),
		} {
			res := serve(h, r)
			page := body(t, res)
			if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
				t.Errorf("%v: %s %s: status %d, want 503 and Retry-After", err, r.Method, r.URL.Path, res.StatusCode)
			}
			if strings.Contains(page, "secret") {
				t.Errorf("%s shows what was typed", r.URL.Path)
			}
			if len(res.Cookies()) != 0 {
				t.Errorf("%s changes cookies", r.URL.Path)
			}
			if r.URL.Path == "/" && (!strings.Contains(page, `value="ada"`) || !strings.Contains(page, requestA)) {
				t.Error("the form to send again lacks the user or the request")
			}
		}
	}
}

func TestUndecidedStepShowsItsFormAgain(t *testing.T) {
	h, err := New(testConfig(undecidedNode()))
	if err != nil {
		t.Fatal(err)
	}
	res := serve(h, post("/next", fields("tokencode", "222222", "request", requestA), in("next")))
	page := body(t, res)
	if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(page, `name="tokencode"`) || !strings.Contains(page, requestA) {
		t.Errorf("status %d, want 503 and the same form with the same request", res.StatusCode)
	}
}

func TestConversationThatDoesNotFitIsUndecided(t *testing.T) {
	for _, conversation := range []string{"", "a;b", "a\nb", strings.Repeat("a", maxConversation+1)} {
		n := fixedNode(engine.Outcome{Verdict: engine.Challenge, Prompt: engine.Prompt{Step: events.StepLogin}, Conversation: conversation})
		n.Impossible = true
		h, err := New(testConfig(n))
		if err != nil {
			t.Fatal(err)
		}
		res := serve(h, post("/", fields("user", "ada", "passcode", "1")))
		if res.StatusCode != http.StatusServiceUnavailable || len(res.Cookies()) != 0 {
			t.Errorf("conversation %.5q: status %d", conversation, res.StatusCode)
		}
	}
}
