package diagnosis

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/events"
)

// records numbers events, one a second from noon on. An administrator commanded
// those that are not of a login.
func records(all ...events.Event) []events.Record {
	out := make([]events.Record, 0, len(all))
	for i, e := range all {
		r := events.Record{Sequence: uint64(i + 1), Time: at(time.Duration(i) * time.Second), Draft: events.Draft{Event: e}}
		switch e.(type) {
		case events.PasscodeAccepted, events.PasscodeRejected, events.PasscodeChallenged:
		default:
			r.Origin.Actor = "token:desk"
		}
		out = append(out, r)
	}
	return out
}

func trail(size int, all ...events.Event) *Trail {
	t := NewTrail("bob", size)
	for _, r := range records(all...) {
		t.Add(r)
	}
	return t
}

func rejected(reason events.Reason) events.PasscodeRejected {
	return events.PasscodeRejected{User: "bob", Serial: "b1", Reason: reason}
}

func TestLastRefusalCountsUntilSomethingResolvesIt(t *testing.T) {
	var (
		badPIN = rejected(events.ReasonBadPIN)
		clock  = rejected(events.ReasonOutsideWindow)
	)
	for name, tt := range map[string]struct {
		journal []events.Event
		want    events.Reason
	}{
		"a wrong PIN":              {[]events.Event{badPIN}, events.ReasonBadPIN},
		"then let in":              {[]events.Event{badPIN, events.PasscodeAccepted{User: "bob"}}, ""},
		"then asked":               {[]events.Event{badPIN, events.PasscodeChallenged{User: "bob"}}, ""},
		"then another let in":      {[]events.Event{badPIN, events.PasscodeAccepted{User: "eve"}}, events.ReasonBadPIN},
		"then a temporary PIN":     {[]events.Event{badPIN, events.PINSet{User: "bob", Serial: "b1", Temporary: true}}, ""},
		"then unlocked":            {[]events.Event{badPIN, events.UserUnlocked{User: "bob"}}, ""},
		"then refused again":       {[]events.Event{badPIN, events.UserUnlocked{User: "bob"}, clock}, events.ReasonOutsideWindow},
		"then told to change":      {[]events.Event{badPIN, events.NewPINRequired{User: "bob", Serial: "b1"}}, events.ReasonBadPIN},
		"then the clock measured":  {[]events.Event{clock, events.DriftAdjusted{User: "bob", Serial: "b1"}}, events.ReasonOutsideWindow},
		"then the drift forgotten": {[]events.Event{clock, events.DriftAdjusted{User: "bob", Serial: "b1", Forgot: true}}, ""},
		"a lock says the state":    {[]events.Event{rejected(events.ReasonUserLocked)}, ""},
		"a lock after a wrong PIN": {[]events.Event{badPIN, rejected(events.ReasonUserLocked)}, events.ReasonBadPIN},
		"no way of sending":        {[]events.Event{rejected(events.ReasonNoToken)}, events.ReasonNoToken},
	} {
		s := state(t, nil)
		d := Of(s, s.User("bob"), trail(3, tt.journal...), events.At(noon))
		var got events.Reason
		if d.Last != nil {
			got = d.Last.Reason
		}
		if got != tt.want {
			t.Errorf("%s: last refused for %q, want %q", name, got, tt.want)
		}
		if helps := len(d.Advice.User)+len(d.Advice.Admin) > 0; helps != (tt.want != "") {
			t.Errorf("%s: advice %v", name, d.Advice)
		}
	}
}

func TestObstacleThatBlocksComesBeforeTheLastRefusal(t *testing.T) {
	s := state(t, func(g *given) { g.token.NextTokencode = true; g.user.Disabled = true })
	d := Of(s, s.User("bob"), trail(3, rejected(events.ReasonBadPIN)), events.At(noon))
	if diff := cmp.Diff(Advice{Admin: []AdminStep{EnableUser{"bob"}}}, d.Advice); diff != "" {
		t.Errorf("blocked (-want +got):\n%s", diff)
	}
	s = state(t, func(g *given) { g.token.NextTokencode = true })
	d = Of(s, s.User("bob"), trail(3, rejected(events.ReasonBadPIN)), events.At(noon))
	if diff := cmp.Diff(d.Last.Advice(s, events.At(noon)), d.Advice); diff != "" {
		t.Errorf("not blocked (-want +got):\n%s", diff)
	}
}

func TestTrailKeepsTheLastRefusals(t *testing.T) {
	kept := trail(2, rejected(events.ReasonBadPIN), rejected(events.ReasonBadTokencode), rejected(events.ReasonUserLocked), events.UserUnlocked{User: "bob"}, rejected(events.ReasonDrift))
	var got []string
	for _, e := range kept.NewestFirst() {
		one := string(e.Reason)
		if kept.Resolved(e) {
			one += " resolved"
		}
		got = append(got, one)
	}
	if diff := cmp.Diff([]string{"drift", "user_locked resolved"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConversationIsKnownToBeEndedByAnAdministrator(t *testing.T) {
	asked, over := events.PasscodeChallenged{User: "bob"}, rejected(events.ReasonConversationExpired)
	cleared := events.PINCleared{User: "bob", Serial: "b1"}
	for name, tt := range map[string]struct {
		journal []events.Event
		want    events.Event
	}{
		"cleared":         {[]events.Event{asked, cleared, over}, cleared},
		"cleared before":  {[]events.Event{cleared, asked, over}, nil},
		"another's token": {[]events.Event{asked, events.PINCleared{User: "eve", Serial: "e1"}, over}, nil},
		"out of time":     {[]events.Event{asked, over}, nil},
	} {
		if got := trail(1, tt.journal...).NewestFirst()[0].EndedBy; got != tt.want {
			t.Errorf("%s: ended by %v, want %v", name, got, tt.want)
		}
	}
}

func TestAttemptIsReadFromAllItsRecords(t *testing.T) {
	offset := int64(-4)
	refusal := rejected(events.ReasonOutsideWindow)
	refusal.Offset = &offset
	for _, tt := range []struct {
		records []events.Event
		want    Attempt
	}{
		{
			[]events.Event{refusal, events.FailureCounted{User: "bob"}, events.NextTokencodeRequired{User: "bob", Serial: "b1", Reason: events.ReasonTooManyFailures}},
			Attempt{Refusal{Reason: events.ReasonOutsideWindow, User: "bob", Serial: "b1", Offset: &offset}, "reject"},
		},
		{
			[]events.Event{events.FailuresReset{User: "bob"}, events.PasscodeAccepted{User: "bob", Use: events.Use{Serial: "b1"}}},
			Attempt{Refusal{User: "bob", Serial: "b1"}, "accept"},
		},
		{
			[]events.Event{events.UserUnlocked{User: "bob"}},
			Attempt{Refusal: Refusal{User: "bob"}},
		},
	} {
		if diff := cmp.Diff(tt.want, AttemptOf(records(tt.records...))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
