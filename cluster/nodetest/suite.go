package nodetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// Subject is a node under test. What is nil is not claimed, and its tests are
// left out. The attempts are complete and have a new request id each time.
type Subject struct {
	Authenticate func(context.Context, engine.Attempt) (engine.Outcome, error)
	Accepted     func() engine.Attempt // with a correct passcode
	Refused      func() engine.Attempt // with a wrong passcode

	// Challenged opens a conversation, and Answer returns an attempt that the
	// node accepts as the answer to its first step.
	Challenged func() engine.Attempt
	Answer     func(asked engine.Attempt, out engine.Outcome) engine.Attempt
	Prompt     func(ctx context.Context, conversation string, o events.Origin) (engine.Prompt, error)

	// Once claims that passcodes and turns of a conversation work once, and that a
	// conversation belongs to the door and client that began it.
	Once bool

	Do      func(context.Context, events.Origin, engine.Command) error
	State   func() *engine.State
	Advance func(time.Duration) // moves the clock of the node
	Stop    func()              // makes the node unable to decide; it comes last
}

// Run checks that the node behaves as front ends rely on. newSubject makes a
// fresh one. A part that the subject does not claim is not run.
func Run(t *testing.T, newSubject func(t *testing.T) Subject) {
	first := newSubject(t)
	asks, once, commands := first.Challenged != nil, first.Once, first.Do != nil && first.State != nil
	for _, part := range []struct {
		name    string
		test    func(*testing.T, Subject)
		claimed bool
	}{
		{"a correct passcode is accepted", accepts, true},
		{"a wrong passcode is refused", refuses, true},
		{"a retry gets the first answer", retries, true},
		{"a passcode works once", spends, once},
		{"an attempt without a request id is undecided", needsRequest, true},
		{"an attempt whose caller is gone is undecided", endsWithContext, true},
		{"a conversation goes on", converses, asks},
		{"a turn works once", turnsOnce, asks && once},
		{"a conversation belongs to its door", staysAtItsDoor, asks && once},
		{"a conversation expires", expires, asks && first.Advance != nil},
		{"an unknown conversation is over", foreignConversation, asks},
		{"commands are executed once", commandsOnce, commands},
		{"commands are refused with a code", refusesCommands, commands},
		{"a stopped node decides nothing", stops, first.Stop != nil},
	} {
		if part.claimed {
			t.Run(part.name, func(t *testing.T) { part.test(t, newSubject(t)) })
		}
	}
}

// must is an answer that is possible and no error.
func (s Subject) must(t *testing.T, a engine.Attempt, want engine.Verdict) engine.Outcome {
	t.Helper()
	out, err := s.Authenticate(t.Context(), a)
	if wrong := Possible(out, err); wrong != nil {
		t.Fatal(wrong)
	}
	if err != nil || out.Verdict != want {
		t.Fatalf("verdict is %v (%s), %v, want %v", out.Verdict, out.Reason, err, want)
	}
	return out
}

// over is the answer to a conversation that does not go on.
func (s Subject) over(t *testing.T, a engine.Attempt) {
	t.Helper()
	out := s.must(t, a, engine.Reject)
	if out.Reason != events.ReasonConversationExpired || out.Conversation != "" {
		t.Errorf("reason is %q, conversation %q, want %q and none", out.Reason, out.Conversation, events.ReasonConversationExpired)
	}
	if s.Prompt == nil {
		return
	}
	if p, err := s.Prompt(t.Context(), a.Conversation, a.Origin); !errors.Is(err, engine.ErrConversation) {
		t.Errorf("the prompt is %v, %v, want %v", p.Step, err, engine.ErrConversation)
	}
}

func (s Subject) undecided(ctx context.Context, t *testing.T, a engine.Attempt) {
	t.Helper()
	out, err := s.Authenticate(ctx, a)
	if wrong := Possible(out, err); wrong != nil {
		t.Fatal(wrong)
	}
	if err == nil {
		t.Errorf("decided: %v (%s)", out.Verdict, out.Reason)
	}
}

// again is the same attempt as another request.
func again(a engine.Attempt) engine.Attempt {
	a.Origin.Request = Request()
	return a
}

func accepts(t *testing.T, s Subject) { s.must(t, s.Accepted(), engine.Accept) }

func refuses(t *testing.T, s Subject) {
	a := s.Refused()
	a.Origin.Reference = "7K3M-QX4P"
	out := s.must(t, a, engine.Reject)
	if out.Reason == "" || out.Reference != a.Origin.Reference || out.Conversation != "" {
		t.Errorf("refused with %+v", out)
	}
}

func retries(t *testing.T, s Subject) {
	attempts := []engine.Attempt{s.Accepted()}
	want := []engine.Verdict{engine.Accept}
	if s.Challenged != nil {
		attempts, want = append(attempts, s.Challenged()), append(want, engine.Challenge)
	}
	for i, a := range attempts {
		first := s.must(t, a, want[i])
		second := s.must(t, a, want[i])
		if first.Reason != second.Reason || first.Prompt.Step != second.Prompt.Step || first.User != second.User {
			t.Errorf("first %+v, then %+v", first, second)
		}
	}
}

func spends(t *testing.T, s Subject) {
	a := s.Accepted()
	s.must(t, a, engine.Accept)
	if out := s.must(t, again(a), engine.Reject); out.Reason != events.ReasonTokencodeReused {
		t.Errorf("refused for %q", out.Reason)
	}
}

func needsRequest(t *testing.T, s Subject) {
	a := s.Accepted()
	a.Origin.Request = events.Request{}
	s.undecided(t.Context(), t, a)
}

func endsWithContext(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := s.Accepted()
	s.undecided(ctx, t, a)
	s.must(t, a, engine.Accept) // nothing was spent
}

// begin opens a conversation.
func (s Subject) begin(t *testing.T) (engine.Attempt, engine.Outcome) {
	t.Helper()
	a := s.Challenged()
	return a, s.must(t, a, engine.Challenge)
}

func converses(t *testing.T, s Subject) {
	asked, out := s.begin(t)
	if s.Prompt != nil {
		p, err := s.Prompt(t.Context(), out.Conversation, asked.Origin)
		if err != nil || p.Step != out.Prompt.Step {
			t.Errorf("the prompt is %q, %v, want %q", p.Step, err, out.Prompt.Step)
		}
	}
	answer := s.Answer(asked, out)
	first, err := s.Authenticate(t.Context(), answer)
	if wrong := Possible(first, err); wrong != nil {
		t.Fatal(wrong)
	}
	if err != nil || first.Verdict == engine.Reject {
		t.Fatalf("the answer came to %v (%s), %v", first.Verdict, first.Reason, err)
	}
	if second := s.must(t, answer, first.Verdict); second.Prompt.Step != first.Prompt.Step {
		t.Errorf("first step %q, after a retry %q", first.Prompt.Step, second.Prompt.Step)
	}
}

func turnsOnce(t *testing.T, s Subject) {
	asked, out := s.begin(t)
	answer := s.Answer(asked, out)
	if _, err := s.Authenticate(t.Context(), answer); err != nil {
		t.Fatal(err)
	}
	s.over(t, again(answer))
}

func staysAtItsDoor(t *testing.T, s Subject) {
	asked, out := s.begin(t)
	stolen := s.Answer(asked, out)
	stolen.Origin.Client += "-other"
	s.over(t, stolen)
}

func expires(t *testing.T, s Subject) {
	asked, out := s.begin(t)
	answer := s.Answer(asked, out)
	s.Advance(time.Hour)
	s.over(t, answer)
}

func foreignConversation(t *testing.T, s Subject) {
	a := s.Accepted()
	a.Conversation = "nonsense"
	s.over(t, a)
}

func (s Subject) do(t *testing.T, o events.Origin, c engine.Command) error {
	t.Helper()
	err := s.Do(t.Context(), o, c)
	if wrong := PossibleCommand(err); wrong != nil {
		t.Fatal(wrong)
	}
	return err
}

func admin() events.Origin {
	return events.Origin{Request: Request(), Door: events.DoorAPI, Actor: "tester"}
}

func commandsOnce(t *testing.T, s Subject) {
	o := admin()
	for range 2 { // the second is a retry
		if err := s.do(t, o, engine.AddUser{User: "new"}); err != nil {
			t.Fatal(err)
		}
	}
	if s.State().User("new") == nil {
		t.Error("the change cannot be read after the command")
	}
	for range 2 { // what is so already is no error
		if err := s.do(t, admin(), engine.DisableUser{User: "new"}); err != nil {
			t.Fatal(err)
		}
	}
}

func refusesCommands(t *testing.T, s Subject) {
	if err := s.do(t, admin(), engine.AddUser{User: "new"}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		command engine.Command
		want    string
	}{
		{engine.AddUser{User: "new"}, engine.Exists},
		{engine.AddUser{User: ""}, engine.Invalid},
		{engine.UnlockUser{User: "nobody"}, engine.NotFound},
	} {
		var refusal *engine.Refusal
		if err := s.do(t, admin(), tc.command); !errors.As(err, &refusal) || refusal.Code != tc.want || refusal.Text == "" {
			t.Errorf("%T: %v, want a refusal with code %s", tc.command, err, tc.want)
		}
	}
}

func stops(t *testing.T, s Subject) {
	accepted := s.Accepted()
	s.Stop()
	s.undecided(t.Context(), t, accepted)
	if s.Do == nil {
		return
	}
	var refusal *engine.Refusal
	if err := s.do(t, admin(), engine.AddUser{User: "late"}); err == nil || errors.As(err, &refusal) {
		t.Errorf("a command came to %v", err)
	}
}
