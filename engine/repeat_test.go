package engine_test

import (
	"strings"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// repeat is one request of a login that was accepted at n1 in packet 1.
type repeat struct {
	node   string
	packet byte
	after  time.Duration
	login  byte // 1 is the login that was accepted
	want   engine.Verdict
}

// TestAnswerIsRepeatedOnceForEachOtherNode: a gateway that has heard nothing asks
// the next node in a new packet. Nobody else can use the passcode again.
func TestAnswerIsRepeatedOnceForEachOtherNode(t *testing.T) {
	for name, c := range map[string]struct {
		given   []string
		repeats []repeat
	}{
		"the next node": {nil, []repeat{{"n2", 2, 25 * time.Second, 1, engine.Accept}}},
		"each node once": {nil, []repeat{
			{"n2", 2, time.Second, 1, engine.Accept},
			{"n3", 3, time.Second, 1, engine.Accept},
			{"n2", 4, time.Second, 1, engine.Reject},
		}},
		"the same packet": {nil, []repeat{
			{"n2", 2, time.Second, 1, engine.Accept}, {"n2", 2, time.Second, 1, engine.Accept}, {"n1", 1, time.Second, 1, engine.Accept},
		}},
		"the same node": {nil, []repeat{{"n1", 2, time.Second, 1, engine.Reject}}},
		// Two packets of one login at one node are two people, or one who typed twice.
		"the next node after that": {nil, []repeat{{"n1", 2, time.Second, 1, engine.Reject}, {"n2", 3, time.Second, 1, engine.Reject}}},
		"another login":            {nil, []repeat{{"n2", 2, time.Second, 2, engine.Reject}}},
		"no login named":           {nil, []repeat{{"n2", 2, time.Second, 0, engine.Reject}}},
		"in time":                  {nil, []repeat{{"n2", 2, 29 * time.Second, 1, engine.Accept}}},
		"too late":                 {nil, []repeat{{"n2", 2, 30 * time.Second, 1, engine.Reject}}},
		"turned off":               {[]string{"policy retry.login_for=0s"}, []repeat{{"n2", 2, 0, 1, engine.Reject}}},
		"a user who was disabled":  {[]string{"after", "admin disable ada"}, []repeat{{"n2", 2, time.Second, 1, engine.Reject}}},
	} {
		t.Run(name, func(t *testing.T) {
			w := given(t, "user ada", "token a1 user=ada pin=471108")
			a := engine.Attempt{User: "ada", Typed: engine.Secret("471108" + w.code("a1", 0))}
			ask := func(r repeat) {
				t.Helper()
				w.now, w.news = w.now.Add(r.after), nil
				a.Origin = events.Origin{Request: events.Request{0: r.packet}, Login: events.Request{0: r.login}, Node: r.node, Door: events.DoorRADIUS}
				if out, err := w.ask(a); err != nil || out.Verdict != r.want {
					t.Errorf("packet %d at %s: %v (%s), %v; want %v", r.packet, r.node, out.Verdict, out.Reason, err, r.want)
				}
			}
			after := len(c.given) > 0 && c.given[0] == "after"
			if !after {
				for _, line := range c.given {
					w.do(strings.Fields(line))
				}
			}
			ask(repeat{"n1", 1, 0, 1, engine.Accept})
			if after {
				for _, line := range c.given[1:] {
					w.do(strings.Fields(line))
				}
			}
			for _, r := range c.repeats {
				ask(r)
			}
			if u := w.state.User("ada"); u.Failures != 0 {
				t.Errorf("%d failures were counted", u.Failures)
			}
		})
	}
}

// TestRepeatedRefusalIsNotCountedTwice: a wrong passcode that a gateway brings to
// two nodes is one failure.
func TestRepeatedRefusalIsNotCountedTwice(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada pin=471108")
	for i, node := range []string{"n1", "n2", "n3"} {
		a := engine.Attempt{User: "ada", Typed: "471108000000", Origin: events.Origin{
			Request: events.Request{0: byte(i + 1)}, Login: events.Request{1}, Node: node, Door: events.DoorRADIUS,
		}}
		if out, err := w.ask(a); err != nil || out.Reason != events.ReasonBadTokencode {
			t.Fatalf("at %s: %v, %v", node, out, err)
		}
	}
	if u := w.state.User("ada"); u.Failures != 1 || len(u.Answers) != 1 {
		t.Errorf("%d failures, %d answers", u.Failures, len(u.Answers))
	}
}

// TestRepeatIsRecorded: the trail shows that an answer was given again, where, and
// which one.
func TestRepeatIsRecorded(t *testing.T) {
	w := given(t, "user ada", "token a1 user=ada pin=471108")
	a := engine.Attempt{User: "ada", Typed: engine.Secret("471108" + w.code("a1", 0)), Origin: events.Origin{
		Request: events.Request{1}, Login: events.Request{1}, Node: "n1", Reference: "FIRST", Door: events.DoorRADIUS,
	}}
	if _, err := w.ask(a); err != nil {
		t.Fatal(err)
	}
	a.Origin.Request, a.Origin.Node, a.Origin.Reference = events.Request{2}, "n2", "SECOND"
	d, err := engine.DecideLogin(w.state, a.Origin, engine.Authenticate{User: "ada"}, events.At(w.now))
	want := events.Draft{Origin: a.Origin, Event: events.AnswerRepeated{User: "ada", First: events.Request{1}, Reference: "FIRST"}}
	if err != nil || len(d.Drafts) != 1 || d.Drafts[0] != want || d.Answer.Verdict != engine.Accept || d.Answer.Reference != "FIRST" {
		t.Errorf("decided %+v, %v", d, err)
	}
}
