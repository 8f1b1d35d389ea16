package webui

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// noon is when every test without a clock of its own takes place.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// scriptedNode plays a node by a script: what each user's passcode comes to,
// and what each conversation waits for.
type scriptedNode struct {
	now func() time.Time

	mu       sync.Mutex
	attempts []engine.Attempt
	fail     error                    // instead of any answer
	answered map[events.Request]reply // by request, as the engine remembers them
	notReady error
	state    *engine.State
}

type reply struct {
	outcome engine.Outcome
	err     error
}

func newScriptedNode() *scriptedNode {
	return &scriptedNode{now: func() time.Time { return noon }, answered: make(map[events.Request]reply), state: engine.NewState()}
}

func (n *scriptedNode) State() *engine.State { return n.state }

func (n *scriptedNode) Ready() error { return n.notReady }

func (n *scriptedNode) failWith(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fail = err
}

func (n *scriptedNode) seen() []engine.Attempt {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]engine.Attempt(nil), n.attempts...)
}

func (n *scriptedNode) Authenticate(_ context.Context, a engine.Attempt) (engine.Outcome, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.attempts = append(n.attempts, a)
	if n.fail != nil {
		return engine.Outcome{}, n.fail
	}
	if before, ok := n.answered[a.Origin.Request]; ok {
		return before.outcome, before.err
	}
	out, err := n.decide(a)
	n.answered[a.Origin.Request] = reply{out, err}
	return out, err
}

func (n *scriptedNode) Prompt(_ context.Context, conversation string, _ events.Origin) (engine.Prompt, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail != nil {
		return engine.Prompt{}, n.fail
	}
	p, ok := n.prompt(conversation)
	if !ok {
		return engine.Prompt{}, engine.ErrConversation
	}
	return p, nil
}

// prompt is what a conversation waits for. Its name is the step, and after a
// dot the problem or another variety of it.
func (n *scriptedNode) prompt(conversation string) (engine.Prompt, bool) {
	name, variety, _ := strings.Cut(conversation, ".")
	p := engine.Prompt{
		User:    "ada",
		Rules:   engine.PINRules{Min: 4, Max: 8, History: 5, Source: engine.PINByUser},
		Period:  30 * time.Second,
		Next:    n.now().Add(12 * time.Second),
		Expires: n.now().Add(5 * time.Minute),
	}
	steps := map[string]events.Step{
		"next": events.StepNextTokencode, "choose": events.StepChoosePIN, "generate": events.StepGeneratePIN,
		"new": events.StepNewPIN, "confirm": events.StepConfirmPIN, "login": events.StepLogin,
	}
	var known bool
	if p.Step, known = steps[name]; !known {
		return engine.Prompt{}, false
	}
	switch variety {
	case "event":
		p.Event, p.Period, p.Next = true, 0, time.Time{}
	case "sent":
		p.Sent, p.Period, p.Next = true, 0, time.Time{}
	case "generated":
		p.PIN = "48215"
	case "letters":
		p.Rules.Alphanumeric = true
	case "pinpad":
		p.Rules.PINpad = true
	case "no-history":
		p.Rules.History, p.Problem = 0, engine.ProblemSameAsOld
	case "sent-wrong":
		p.Sent, p.Period, p.Next, p.Problem = true, 0, time.Time{}, engine.ProblemWrong
	case "soon":
		p.Next = n.now().Add(1500 * time.Millisecond)
	default:
		p.Problem = engine.Problem(variety)
	}
	return p, true
}

func (n *scriptedNode) decide(a engine.Attempt) (engine.Outcome, error) {
	if a.Purpose == engine.ToResynchronize {
		if a.User == "slow" && a.Typed == "111111" && a.Again == "222222" {
			return engine.Outcome{Verdict: engine.Resynchronized}, nil
		}
		return engine.Outcome{Reason: events.ReasonBadTokencode, Reference: "7K3M-QX4P"}, nil
	}
	if a.Conversation == "" {
		return n.begin(a.User, a.Typed.Reveal()), nil
	}
	name, _, _ := strings.Cut(a.Conversation, ".")
	switch name {
	case "next":
		switch a.Typed {
		case "222222":
			return engine.Outcome{Verdict: engine.Accept}, nil
		case "111111":
			return n.open("next.tokencode_reused"), nil
		}
		return engine.Outcome{Reason: events.ReasonNextTokencodeWrong, Reference: "7K3M-QX4P"}, nil
	case "choose", "generate":
		if a.Choice == engine.ChoiceGenerated {
			return n.challenge("login.generated"), nil
		}
		return n.challenge("new"), nil
	case "new":
		switch {
		case a.Typed != a.Again:
			return n.open("new.pins_differ"), nil
		case a.Typed == "7777": // once too often
			p, _ := n.prompt("new")
			return engine.Outcome{
				Reason: events.ReasonNewPINRefused, Reference: "7K3M-QX4P", Prompt: engine.Prompt{Problem: engine.ProblemTrivial, Rules: p.Rules},
			}, nil
		case len(a.Typed) < 4:
			return n.open("new.pin_length"), nil
		}
		return n.challenge("login.soon"), nil
	case "confirm":
		return n.challenge("login"), nil
	case "login":
		if a.Typed == "4821222222" || a.Typed == "48215222222" {
			return engine.Outcome{Verdict: engine.Accept}, nil
		}
		return n.open("login.wrong"), nil
	}
	return engine.Outcome{}, engine.ErrConversation
}

// begin is the first step. The users are named by what it comes to.
func (n *scriptedNode) begin(user, typed string) engine.Outcome {
	if conversation, ok := strings.CutPrefix(user, "to-"); ok && typed == "111111" {
		return n.challenge(conversation)
	}
	if user == "accepted" && typed == "111111" {
		return engine.Outcome{Verdict: engine.Accept, Reference: "7K3M-QX4P"}
	}
	return engine.Outcome{Reason: events.ReasonUserUnknown, Reference: "7K3M-QX4P"}
}

func (n *scriptedNode) challenge(conversation string) engine.Outcome {
	p, _ := n.prompt(conversation)
	return engine.Outcome{Verdict: engine.Challenge, Prompt: p, Conversation: conversation, Reference: "7K3M-QX4P"}
}

// open refuses and leaves the conversation open.
func (n *scriptedNode) open(conversation string) engine.Outcome {
	out := n.challenge(conversation)
	out.Verdict = engine.Reject
	return out
}

// counting is a source of bytes that are not random at all.
type counting struct{ n byte }

func (c *counting) Read(b []byte) (int, error) {
	for i := range b {
		c.n++
		b[i] = c.n
	}
	return len(b), nil
}

// testConfig is a wizard at noon whose random numbers are known.
func testConfig(n Node) Config {
	return Config{
		Node:     n,
		NodeName: "n1",
		Site:     "hq",
		Branding: Branding{HelpLine: "Help desk: 555 0199, weekdays 8 to 18"},
		Now:      func() time.Time { return noon },
		Random:   &counting{},
		Log:      slog.New(slog.DiscardHandler),
	}
}

func newSite(t testing.TB, change ...func(*Config)) (http.Handler, *scriptedNode) {
	t.Helper()
	n := newScriptedNode()
	cfg := testConfig(n)
	for _, f := range change {
		f(&cfg)
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h, n
}

// serve sends one request and returns the answer.
func serve(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func get(path string, cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://token.example.com"+path, nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

func post(path string, fields url.Values, cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "https://token.example.com"+path, strings.NewReader(fields.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

func fields(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

func in(conversation string) *http.Cookie {
	return &http.Cookie{Name: conversationCookie, Value: conversation}
}

func body(t testing.TB, res *http.Response) string {
	t.Helper()
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func cookie(res *http.Response, name string) *http.Cookie {
	for _, c := range res.Cookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func randomly(c *Config) { c.Random = rand.Reader }

// undecidedNode knows every conversation and decides nothing.
type undecidedNode struct{ *scriptedNode }

func (undecidedNode) Authenticate(context.Context, engine.Attempt) (engine.Outcome, error) {
	return engine.Outcome{}, engine.ErrUndecided
}

// fixedNode comes to the same outcome whatever was typed.
type fixedNode struct {
	*scriptedNode
	outcome engine.Outcome
}

func (n fixedNode) Authenticate(context.Context, engine.Attempt) (engine.Outcome, error) {
	return n.outcome, nil
}
