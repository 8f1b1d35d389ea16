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

	"keyfob/cluster/nodetest"
	"keyfob/engine"
	"keyfob/events"
)

// noon is the time in tests that have no clock of their own.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// scriptedNode is a fake node. The user's name says what a passcode leads to,
// and a conversation's text says which step it waits for.
type scriptedNode struct {
	*nodetest.Script
	nodetest.Notes
	now      func() time.Time
	notReady error
	state    *engine.State

	mu   sync.Mutex // guards fail
	fail error      // instead of any prompt
}

func newScriptedNode() *scriptedNode {
	n := &scriptedNode{now: func() time.Time { return noon }, state: engine.NewState()}
	n.Script = &nodetest.Script{Decide: n.decide}
	return n
}

func (n *scriptedNode) State() *engine.State { return n.state }

func (n *scriptedNode) Ready() error { return n.notReady }

func (n *scriptedNode) failWith(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fail = err
	n.Fail(err)
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

// prompt is the step that a conversation waits for. Its text is the step's name,
// then a problem or a variety of the step after each dot.
func (n *scriptedNode) prompt(conversation string) (engine.Prompt, bool) {
	varieties := strings.Split(conversation, ".")
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
	if p.Step, known = steps[varieties[0]]; !known {
		return engine.Prompt{}, false
	}
	last := false
	for _, variety := range varieties[1:] {
		switch variety {
		case "event":
			p.Event, p.Period, p.Next = true, 0, time.Time{}
		case "sent":
			p.Sent, p.Period, p.Next = true, 0, time.Time{}
		case "no-pin":
			p.NoPIN = true
		case "generated":
			p.PIN = "48215"
		case "letters":
			p.Rules.Alphanumeric = true
		case "pinpad":
			p.Rules.PINpad = true
		case "no-history":
			p.Rules.History, p.Problem = 0, engine.ProblemSameAsOld
		case "soon":
			p.Next = n.now().Add(1500 * time.Millisecond)
		case "late":
			p.Expires = n.now().Add(61500 * time.Millisecond)
		case "last": // extended as often as possible
			last = true
		default:
			p.Problem = engine.Problem(variety)
		}
	}
	if p.Step == events.StepNextTokencode && !p.Sent {
		p.Within = 2
	}
	p.Extendable = !last && (p.Step != events.StepNextTokencode || p.Event)
	return p, true
}

// accept lets the user in and describes the token of the conversation.
func (n *scriptedNode) accept(conversation string) engine.Outcome {
	p, _ := n.prompt(conversation)
	return engine.Outcome{
		Verdict: engine.Accept, Reference: "7K3M-QX4P",
		Prompt: engine.Prompt{Event: p.Event, Sent: p.Sent, NoPIN: p.NoPIN, Rules: p.Rules},
	}
}

func (n *scriptedNode) decide(a engine.Attempt) (engine.Outcome, error) { return n.outcome(a), nil }

func (n *scriptedNode) outcome(a engine.Attempt) engine.Outcome {
	if a.Purpose == engine.ToResynchronize {
		if a.User == "slow" && a.Typed == "111111" && a.Again == "222222" {
			return engine.Outcome{Verdict: engine.Resynchronized}
		}
		return engine.Outcome{Reason: events.ReasonBadTokencode, Reference: "7K3M-QX4P"}
	}
	if a.Purpose == engine.ToProveCaller {
		if a.Typed == "159753" {
			return engine.Outcome{Verdict: engine.Proved, Word: "7K3 MQX", Expires: n.now().Add(5 * time.Minute)}
		}
		return engine.Outcome{Reason: events.ReasonBadTokencode, Reference: "7K3M-QX4P"}
	}
	if a.Conversation == "" {
		return n.begin(a.User, a.Typed.Reveal())
	}
	name, variety, _ := strings.Cut(a.Conversation, ".")
	if variety != "" {
		variety = "." + variety
	}
	if p, known := n.prompt(a.Conversation); known && a.Purpose == engine.ToExtend && p.Extendable {
		return n.challenge(a.Conversation + ".last")
	}
	switch name {
	case "next":
		switch a.Typed {
		case "222222":
			return n.accept(a.Conversation)
		case "111111":
			return n.open("next" + variety + ".tokencode_reused")
		}
		return engine.Outcome{Reason: events.ReasonNextTokencodeWrong, Reference: "7K3M-QX4P"}
	case "choose", "generate":
		if a.Choice == engine.ChoiceGenerated {
			return n.challenge("login.generated")
		}
		return n.challenge("new" + variety)
	case "new":
		switch {
		case a.Typed != a.Again:
			return n.open("new.pins_differ")
		case a.Typed == "7777": // once too often
			p, _ := n.prompt("new")
			return engine.Outcome{
				Reason: events.ReasonNewPINRefused, Reference: "7K3M-QX4P", Prompt: engine.Prompt{Problem: engine.ProblemTrivial, Rules: p.Rules},
			}
		case len(a.Typed) < 4:
			return n.open("new.pin_length")
		}
		return n.challenge("login.soon" + variety)
	case "confirm":
		return n.challenge("login")
	case "login":
		if a.Typed == "4821222222" || a.Typed == "48215222222" {
			return n.accept(a.Conversation)
		}
		return n.open("login.wrong")
	}
	return engine.Outcome{Reason: events.ReasonConversationExpired}
}

// begin is the first step. The user's name says what it leads to.
func (n *scriptedNode) begin(user, typed string) engine.Outcome {
	if conversation, ok := strings.CutPrefix(user, "to-"); ok && typed == "111111" {
		return n.challenge(conversation)
	}
	if user == "accepted" && typed == "111111" {
		return n.accept("login")
	}
	return engine.Outcome{Reason: events.ReasonUserUnknown, Reference: "7K3M-QX4P"}
}

func (n *scriptedNode) challenge(conversation string) engine.Outcome {
	p, _ := n.prompt(conversation)
	return engine.Outcome{Verdict: engine.Challenge, Prompt: p, Conversation: conversation, Reference: "7K3M-QX4P"}
}

// open refuses the answer and leaves the conversation open.
func (n *scriptedNode) open(conversation string) engine.Outcome {
	out := n.challenge(conversation)
	out.Verdict = engine.Reject
	return out
}

// counting is a source of predictable bytes.
type counting struct{ n byte }

func (c *counting) Read(b []byte) (int, error) {
	for i := range b {
		c.n++
		b[i] = c.n
	}
	return len(b), nil
}

// testConfig configures a wizard with a fixed clock and predictable bytes.
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

// serve sends one request and returns the response.
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

// finished is the cookie of a conversation that was completed.
func finished(n Node, entry string) *http.Cookie {
	return &http.Cookie{Name: doneCookie, Value: sealDone(n, parseEntry(entry), noon)}
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

// undecidedNode knows every conversation and decides no attempt.
func undecidedNode() *scriptedNode {
	n := newScriptedNode()
	n.Fail(engine.ErrUndecided)
	return n
}

// fixedNode gives the same outcome to every attempt.
func fixedNode(out engine.Outcome) *scriptedNode {
	n := newScriptedNode()
	n.Decide = func(engine.Attempt) (engine.Outcome, error) { return out, nil }
	return n
}

// TestFakeNodeConforms: what the fake claims, the real node does.
func TestFakeNodeConforms(t *testing.T) {
	nodetest.Run(t, func(*testing.T) nodetest.Subject {
		n := newScriptedNode()
		attempt := func(user string) func() engine.Attempt {
			return func() engine.Attempt {
				return engine.Attempt{Origin: events.Origin{Request: nodetest.Request(), Door: events.DoorWeb}, User: user, Typed: "111111"}
			}
		}
		return nodetest.Subject{
			Authenticate: n.Authenticate, Prompt: n.Prompt, State: n.State,
			Accepted: attempt("accepted"), Refused: attempt("nobody"), Challenged: attempt("to-new"),
			Answer: func(_ engine.Attempt, out engine.Outcome) engine.Attempt {
				a := attempt("")()
				a.Conversation, a.Typed, a.Again = out.Conversation, "4821", "4821"
				return a
			},
			Stop: func() { n.failWith(engine.ErrUndecided) },
		}
	})
}
