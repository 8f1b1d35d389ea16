package webui

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
	"keyfob/events"
)

// answer is everything that an outsider sees of a response, without the two
// random values that always have the same length.
type answer struct {
	Status  int
	Header  http.Header
	Cookies []string
	Size    int
	Body    string
}

var (
	requestField = regexp.MustCompile(`name="request" value="[0-9a-f]{32}"`)
	referenceTag = regexp.MustCompile(`class="reference">[0-9A-Z]{4}-[0-9A-Z]{4}<`)
)

func observe(t *testing.T, res *http.Response) answer {
	t.Helper()
	text := body(t, res)
	a := answer{Status: res.StatusCode, Header: res.Header, Cookies: res.Header.Values("Set-Cookie"), Size: len(text)}
	a.Body = referenceTag.ReplaceAllString(requestField.ReplaceAllString(text, "request"), "reference")
	return a
}

func TestFirstStepHasOneAnswerForEveryRefusal(t *testing.T) {
	reasons := []events.Reason{
		"", events.ReasonBadPIN, events.ReasonBadTokencode, events.ReasonTokencodeReused, events.ReasonOutsideWindow,
		events.ReasonUserUnknown, events.ReasonUserDisabled, events.ReasonUserLocked, events.ReasonNoToken,
		events.ReasonTokenDisabled, events.ReasonTokenExpired, events.ReasonTokenLost, events.ReasonNextTokencodeWrong,
		events.ReasonNewPINRefused, events.ReasonConversationExpired, events.ReasonClockSkew, events.ReasonThrottled,
		events.ReasonDrift, events.ReasonTooManyFailures, events.ReasonPINNotSet, events.ReasonPINExpired, events.ReasonPINChangeRequired,
	}
	var want answer
	compare := func(what string, got answer) {
		if want.Status == 0 {
			want = got
			return
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s can be distinguished:\n%s", what, d)
		}
	}
	for _, reason := range reasons {
		for _, reference := range []string{"7K3M-QX4P", ""} {
			for _, prompt := range []engine.Prompt{{}, {Step: events.StepLogin, Problem: engine.ProblemWrong, User: "ada"}} {
				n := fixedNode(engine.Outcome{Reason: reason, Reference: reference, User: "ada", Prompt: prompt, Conversation: "login"})
				n.Impossible = true // on any answer of the node
				h, err := New(testConfig(n))
				if err != nil {
					t.Fatal(err)
				}
				compare(string(reason), observe(t, serve(h, post("/", fields("user", "ada", "passcode", "1")))))
				compare(string(reason)+" with cookies", observe(t, serve(h,
					post("/", fields("user", "ada", "passcode", "1"), in("login"), &http.Cookie{Name: doneCookie, Value: "1"}))))
			}
		}
	}
	if want.Status != http.StatusUnprocessableEntity || len(want.Cookies) != 2 {
		t.Errorf("status %d and cookies %q", want.Status, want.Cookies)
	}
	if stop := "After 3 failed attempts, stop: call the help desk, or try again in 30 minutes."; !strings.Contains(want.Body, stop) {
		t.Errorf("a refusal does not say %q", stop)
	}
}

// Users are told to stop before they are locked. They are not told to wait when
// only an administrator can unlock them.
func TestRefusalSaysWhenToStopByThePolicy(t *testing.T) {
	for _, tt := range []struct {
		after int
		lasts time.Duration
		want  string
	}{
		{10, 30 * time.Minute, "After 3 failed attempts, stop: call the help desk, or try again in 30 minutes."},
		{10, 2 * time.Hour, "After 3 failed attempts, stop: call the help desk, or try again in 2 hours."},
		{10, 0, "After 3 failed attempts, stop and call the help desk."},
		{3, time.Hour, "After 2 failed attempts, stop: call the help desk, or try again in 60 minutes."},
	} {
		h, n := newSite(t)
		n.state.Policy.LockAfter, n.state.Policy.LockFor = tt.after, tt.lasts
		for _, r := range []*http.Request{
			post("/", fields("user", "ada", "passcode", "1")),
			post("/resync", fields("user", "ada", "passcode", "1", "tokencode", "2")),
			post("/next", fields("tokencode", "999999"), in("next")),
			post("/login", fields("passcode", "999999"), in("login")),
		} {
			if page := body(t, serve(h, r)); !strings.Contains(page, tt.want) {
				t.Errorf("%s with %+v does not say so", r.URL.Path, tt)
			}
		}
	}
}

func TestCallerHasOneAnswerForEveryRefusal(t *testing.T) {
	var want answer
	for _, reason := range []events.Reason{"", events.ReasonBadTokencode, events.ReasonUserUnknown, events.ReasonThrottled, events.ReasonTokenLost, events.ReasonTokencodeReused} {
		h, err := New(testConfig(fixedNode(engine.Outcome{Reason: reason, Reference: "7K3M-QX4P", User: "ada"})))
		if err != nil {
			t.Fatal(err)
		}
		got := observe(t, serve(h, post("/caller", fields("user", "ada", "tokencode", "1"))))
		if want.Status == 0 {
			want = got
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s can be distinguished:\n%s", reason, d)
		}
	}
}

func TestResynchronizeHasOneAnswerForEveryRefusal(t *testing.T) {
	var want answer
	for _, reason := range []events.Reason{"", events.ReasonBadPIN, events.ReasonUserUnknown, events.ReasonUserLocked, events.ReasonNextTokencodeWrong, events.ReasonTokencodeReused} {
		h, err := New(testConfig(fixedNode(engine.Outcome{Reason: reason, Reference: "7K3M-QX4P", User: "ada"})))
		if err != nil {
			t.Fatal(err)
		}
		got := observe(t, serve(h, post("/resync", fields("user", "ada", "passcode", "1", "tokencode", "2"))))
		if want.Status == 0 {
			want = got
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s can be distinguished:\n%s", reason, d)
		}
	}
}
