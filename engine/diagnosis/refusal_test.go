package diagnosis

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyfob/engine"
	"keyfob/events"
)

// refused is a refusal of bob.
func refused(reason events.Reason) Refusal { return Refusal{Reason: reason, User: "bob"} }

// of is a refusal of bob with the token b1.
func of(reason events.Reason) Refusal { return Refusal{Reason: reason, User: "bob", Serial: "b1"} }

func off(r Refusal, offset int64) Refusal {
	r.Offset = &offset
	return r
}

var refusals = []struct {
	name   string
	given  func(*given)
	when   Refusal
	detail Detail
	then   Advice
}{
	{
		name: "a wrong PIN is tried again, or cleared",
		when: of(events.ReasonBadPIN),
		then: Advice{User: []UserStep{TryAgain{}}, Admin: []AdminStep{ClearPIN{"b1"}, SetTemporaryPIN{"b1"}}},
	},
	{
		name: "a wrong passcode of a fob: PIN and tokencode, the right fob, its clock",
		when: refused(events.ReasonBadTokencode),
		then: Advice{User: []UserStep{EnterPasscode{"b1", PINThenTokencode}, CheckToken{[]string{"b1"}}}, Admin: []AdminStep{ResyncToken{"b1"}}},
	},
	{
		name:  "a wrong passcode of one of two tokens",
		given: func(g *given) { g.user.Tokens = []string{"b1", "b2"} },
		when:  refused(events.ReasonBadTokencode),
		then:  Advice{User: []UserStep{EnterPasscode{"", PINThenTokencode}, CheckToken{[]string{"b1", "b2"}}}},
	},
	{
		name:  "a wrong passcode of a token without a PIN yet",
		given: func(g *given) { g.token.PIN = nil },
		when:  refused(events.ReasonBadTokencode),
		then:  Advice{User: []UserStep{EnterPasscode{"b1", TokencodeAlone}, CheckToken{[]string{"b1"}}}, Admin: []AdminStep{ResyncToken{"b1"}}},
	},
	{
		name:  "a wrong passcode of a token that needs an activation code",
		given: func(g *given) { g.token.PIN, g.policy.FirstPIN = nil, engine.FirstPINByActivationCode },
		when:  refused(events.ReasonBadTokencode),
		then:  Advice{User: []UserStep{EnterPasscode{"b1", ActivationCodeThenTokencode}, CheckToken{[]string{"b1"}}}, Admin: []AdminStep{ResyncToken{"b1"}}},
	},
	{
		name:  "a wrong passcode of a PINpad token",
		given: func(g *given) { g.token.PINStyle = "pinpad" },
		when:  refused(events.ReasonBadTokencode),
		then:  Advice{User: []UserStep{EnterPasscode{"b1", PINAddedToTokencode}, CheckToken{[]string{"b1"}}}, Admin: []AdminStep{ResyncToken{"b1"}}},
	},
	{
		name:  "a wrong passcode of a token that has no PIN ever",
		given: func(g *given) { g.token.PINStyle = "none" },
		when:  refused(events.ReasonBadTokencode),
		then:  Advice{User: []UserStep{EnterPasscode{"b1", TokencodeAlone}, CheckToken{[]string{"b1"}}}, Admin: []AdminStep{ResyncToken{"b1"}}},
	},
	{
		name:  "a wrong PIN where tokencodes are sent",
		given: func(g *given) { g.token.Kind, g.token.Period = engine.KindOnDemand, 0 },
		when:  refused(events.ReasonBadTokencode),
		then:  Advice{User: []UserStep{EnterPasscode{"b1", PINAlone}}},
	},
	{
		name:  "a wrong passcode of a lost token",
		given: lose(nil),
		when:  refused(events.ReasonBadTokencode),
		then:  Advice{User: []UserStep{EnterPasscode{"b1", PINThenEmergencyTokencode}}, Admin: []AdminStep{FindToken{"b1"}}},
	},
	{
		name:  "a reused emergency tokencode: another one",
		given: lose(nil),
		when:  refused(events.ReasonTokencodeReused),
		then:  Advice{User: []UserStep{EnterPasscode{"b1", PINThenEmergencyTokencode}}, Admin: []AdminStep{FindToken{"b1"}}},
	},
	{
		name:   "a reused tokencode: the next one",
		when:   off(of(events.ReasonTokencodeReused), -1),
		detail: ClockOffset{Offset: -1},
		then:   Advice{User: []UserStep{WaitForTokencode{}}},
	},
	{
		name:  "a reused tokencode of a token whose last one lies a little ahead: the time of the next one",
		given: func(g *given) { g.token.Last = noon.Unix()/60 + 1 },
		when:  of(events.ReasonTokencodeReused),
		then:  Advice{User: []UserStep{WaitUntil{at(2 * time.Minute)}}},
	},
	{
		name:  "a reused tokencode of a token whose last one lies far ahead: emergency tokencodes until then",
		given: func(g *given) { g.token.Last = noon.Unix()/60 + 150 },
		when:  of(events.ReasonTokencodeReused),
		then:  Advice{User: []UserStep{WaitUntil{at(151 * time.Minute)}}, Admin: []AdminStep{LoseToken{"b1"}}},
	},
	{
		name:   "a clock that the next tokencode corrects",
		when:   off(of(events.ReasonOutsideWindow), -4),
		detail: ClockOffset{Offset: -4, Window: 3},
		then:   Advice{User: []UserStep{ResyncOnPage{"b1"}}, Admin: []AdminStep{RequireNextTokencode{"b1"}}},
	},
	{
		name:   "a clock that only two tokencodes correct",
		when:   off(of(events.ReasonOutsideWindow), 11),
		detail: ClockOffset{Offset: 11, Window: 10},
		then:   Advice{User: []UserStep{ResyncOnPage{"b1"}}, Admin: []AdminStep{ResyncToken{"b1"}}},
	},
	{
		name:   "a clock that is off where users may not resynchronize",
		given:  func(g *given) { g.policy.ResyncByUser = false },
		when:   off(of(events.ReasonOutsideWindow), 11),
		detail: ClockOffset{Offset: 11, Window: 10},
		then:   Advice{Admin: []AdminStep{ResyncToken{"b1"}}},
	},
	{
		name:   "an event token that was pressed too often",
		when:   off(Refusal{Reason: events.ReasonOutsideWindow, User: "bob", Serial: "b2"}, 8),
		detail: ClockOffset{Offset: 8, Event: true, Window: 7},
		then:   Advice{User: []UserStep{ResyncOnPage{"b2"}}, Admin: []AdminStep{RequireNextTokencode{"b2"}}},
	},
	{
		name: "a clock of a token that was deleted since",
		when: off(Refusal{Reason: events.ReasonOutsideWindow, User: "bob", Serial: "gone"}, -4),
		then: Advice{User: []UserStep{ResyncOnPage{"gone"}}, Admin: []AdminStep{RequireNextTokencode{"gone"}}},
	},
	{
		name:   "drift",
		when:   off(of(events.ReasonDrift), -2),
		detail: ClockOffset{Offset: -2, Window: 1},
		then:   Advice{User: []UserStep{EnterNextTokencode{}}},
	},
	{
		name:   "too many failures",
		when:   off(of(events.ReasonTooManyFailures), 0),
		detail: ClockOffset{},
		then:   Advice{User: []UserStep{EnterNextTokencode{}}},
	},
	{
		name: "an unknown user",
		when: Refusal{Reason: events.ReasonUserUnknown},
		then: Advice{User: []UserStep{CheckUserName{}}, Admin: []AdminStep{AddUser{}}},
	},
	{
		name:  "a disabled user",
		given: func(g *given) { g.user.Disabled = true },
		when:  refused(events.ReasonUserDisabled),
		then:  Advice{Admin: []AdminStep{EnableUser{"bob"}}},
	},
	{name: "a user who was enabled since", when: refused(events.ReasonUserDisabled), then: resolved},
	{
		name:  "a locked user",
		given: func(g *given) { g.user.Trusted.Until, g.user.Strangers.Until = at(time.Hour), at(time.Minute) },
		when:  refused(events.ReasonUserLocked),
		then:  Advice{User: []UserStep{WaitUntil{at(time.Hour)}}, Admin: []AdminStep{UnlockUser{"bob"}}},
	},
	{
		name:  "a user who stays locked",
		given: func(g *given) { g.user.Strangers.Stopped = true },
		when:  refused(events.ReasonUserLocked),
		then:  Advice{Admin: []AdminStep{UnlockUser{"bob"}}},
	},
	{name: "a user who was unlocked since", when: refused(events.ReasonUserLocked), then: resolved},
	{
		name:  "a user without a token",
		given: func(g *given) { g.user.Tokens = nil },
		when:  refused(events.ReasonNoToken),
		then:  Advice{Admin: []AdminStep{IssueToken{"bob"}, AssignToken{"bob"}}},
	},
	{name: "a user who has got a token since", when: refused(events.ReasonNoToken), then: resolved},
	{
		name:   "a tokencode that the node cannot send",
		given:  func(g *given) { g.token.Kind, g.token.Period = engine.KindOnDemand, 0 },
		when:   of(events.ReasonNoToken),
		detail: CannotSend{},
		then:   Advice{Admin: []AdminStep{ConfigureDelivery{}}},
	},
	{
		name:  "a disabled token",
		given: func(g *given) { g.token.Disabled = true },
		when:  refused(events.ReasonTokenDisabled),
		then:  Advice{Admin: []AdminStep{EnableToken{"b1"}}},
	},
	{name: "a token that was enabled since", when: refused(events.ReasonTokenDisabled), then: resolved},
	{
		name:  "an expired token",
		given: func(g *given) { g.token.Expires = at(-time.Hour) },
		when:  of(events.ReasonTokenExpired),
		then:  Advice{Admin: []AdminStep{ReplaceToken{"b1"}}},
	},
	{
		name:  "a token that is not yet valid",
		given: func(g *given) { g.token.Born = at(time.Hour) },
		when:  of(events.ReasonTokenExpired),
		then:  Advice{User: []UserStep{WaitUntil{at(time.Hour)}}, Admin: []AdminStep{IssueToken{"bob"}}},
	},
	{
		name:  "a lost token with emergency tokencodes",
		given: lose([]byte("sealed")),
		when:  of(events.ReasonTokenLost),
		then:  Advice{User: []UserStep{EnterPasscode{"b1", PINThenEmergencyTokencode}}, Admin: []AdminStep{FindToken{"b1"}}},
	},
	{
		name:  "a lost token without emergency tokencodes",
		given: lose(nil),
		when:  of(events.ReasonTokenLost),
		then:  Advice{Admin: []AdminStep{FindToken{"b1"}, LoseToken{"b1"}}},
	},
	{name: "a token that was found since", when: of(events.ReasonTokenLost), then: resolved},
	{
		name: "a wrong next tokencode",
		when: of(events.ReasonNextTokencodeWrong),
		then: Advice{User: []UserStep{EnterNextTokencode{}}},
	},
	{
		name:   "a tokencode that was not the one sent",
		given:  func(g *given) { g.token.Kind, g.token.Period = engine.KindOnDemand, 0 },
		when:   of(events.ReasonNextTokencodeWrong),
		detail: WrongSentTokencode{},
		then:   Advice{User: []UserStep{UseLastTokencode{}, RequestTokencode{}}},
	},
	{
		name:   "a new PIN that broke a rule",
		when:   Refusal{Reason: events.ReasonNewPINRefused, User: "bob", Problem: engine.ProblemTrivial},
		detail: BrokenRule{engine.ProblemTrivial},
		then:   Advice{User: []UserStep{FollowPINRules{}}},
	},
	{
		name: "steps that were not completed",
		when: refused(events.ReasonConversationExpired),
		then: Advice{User: []UserStep{TryAgain{}}},
	},
	{
		name:   "steps that an administrator ended",
		when:   Refusal{Reason: events.ReasonConversationExpired, User: "bob", EndedBy: events.PINCleared{Serial: "b1"}},
		detail: Ended{events.PINCleared{Serial: "b1"}},
		then:   Advice{User: []UserStep{TryAgain{}}},
	},
	{
		name: "a node with a wrong clock",
		when: refused(events.ReasonClockSkew),
		then: Advice{Admin: []AdminStep{CheckClocks{}}},
	},
	{
		name:  "an attempt within the delay",
		given: func(g *given) { g.user.Trusted.Wait = at(2 * time.Second) },
		when:  refused(events.ReasonThrottled),
		then:  Advice{User: []UserStep{WaitUntil{at(2 * time.Second)}}},
	},
	{name: "an attempt within a delay that has passed", when: refused(events.ReasonThrottled), then: resolved},
	{
		name:   "an attempt from a throttled address",
		when:   Refusal{Reason: events.ReasonThrottled},
		detail: SourceThrottled{},
		then:   Advice{User: []UserStep{WaitForSource{PerAddress: 10 * time.Second, PerClient: 200 * time.Millisecond}}},
	},
	{
		name:   "a resynchronization that users may not do",
		when:   Refusal{Reason: events.ReasonThrottled, User: "bob", Quiet: true},
		detail: ResyncNotAllowed{},
		then:   Advice{Admin: []AdminStep{ResyncToken{"b1"}, AllowResync{}}},
	},
	{
		name:   "too many tokencodes sent",
		given:  send(6),
		when:   of(events.ReasonThrottled),
		detail: TooManySent{},
		then:   Advice{User: []UserStep{WaitUntil{at(30 * time.Minute)}, UseLastTokencode{}}},
	},
	{
		name:   "too many tokencodes sent, more than an hour ago",
		given:  send(0),
		when:   of(events.ReasonThrottled),
		detail: TooManySent{},
		then:   Advice{User: []UserStep{RequestTokencode{}}},
	},
	{
		name:  "a token without a PIN",
		given: func(g *given) { g.token.PIN = nil },
		when:  of(events.ReasonPINNotSet),
		then:  Advice{User: []UserStep{SetPIN{Serial: "b1", First: true}}},
	},
	{
		name:  "a lost token without a PIN",
		given: func(g *given) { lose(nil)(g); g.token.PIN = nil },
		when:  of(events.ReasonPINNotSet),
		then:  Advice{Admin: []AdminStep{SetTemporaryPIN{"b1"}}},
	},
	{
		name:  "a token that needs an activation code",
		given: func(g *given) { g.token.PIN, g.policy.FirstPIN = nil, engine.FirstPINByActivationCode },
		when:  of(events.ReasonPINNotSet),
		then:  Advice{Admin: []AdminStep{SetTemporaryPIN{"b1"}}},
	},
	{name: "a token whose PIN was set since", when: of(events.ReasonPINNotSet), then: resolved},
	{
		name: "a token without a PIN that was deleted since",
		when: Refusal{Reason: events.ReasonPINNotSet, User: "bob", Serial: "gone"},
		then: Advice{User: []UserStep{SetPIN{Serial: "gone", First: true}}},
	},
	{
		name:  "an expired PIN",
		given: func(g *given) { g.policy.PINLifetime = 29 * 24 * time.Hour },
		when:  of(events.ReasonPINExpired),
		then:  Advice{User: []UserStep{SetPIN{Serial: "b1"}}},
	},
	{
		name:  "a PIN that must be changed",
		given: func(g *given) { g.token.NewPIN = true },
		when:  of(events.ReasonPINChangeRequired),
		then:  Advice{User: []UserStep{SetPIN{Serial: "b1"}}},
	},
	{
		name:  "a PIN that was refused under stricter rules",
		given: func(g *given) { g.policy.PINMin = 7 },
		when:  of(events.ReasonPINChangeRequired),
		then:  Advice{User: []UserStep{SetPIN{Serial: "b1"}}},
	},
	{name: "no refusal", when: refused("")},
}

var resolved = Advice{User: []UserStep{TryAgain{Resolved: true}}}

// lose reports bob's token lost, with sealed emergency tokencodes.
func lose(sealed []byte) func(*given) {
	return func(g *given) {
		g.token.Lost = &engine.Lost{Until: at(time.Hour), Found: engine.FoundRefuse, Sealed: sealed, Given: 10}
	}
}

// send makes bob's token one whose tokencodes are sent: n in the last half hour.
func send(n int) func(*given) {
	return func(g *given) {
		g.token.Kind, g.token.Period = engine.KindOnDemand, 0
		for i := range n {
			g.token.Sent = append(g.token.Sent, at(time.Duration(i-30)*time.Minute))
		}
	}
}

func TestRefusalIsExplained(t *testing.T) {
	for _, tt := range refusals {
		s := state(t, tt.given)
		want := tt.detail
		if want == nil {
			want = NoDetail{}
		}
		if diff := cmp.Diff(want, tt.when.Detail(s)); diff != "" {
			t.Errorf("%s: detail (-want +got):\n%s", tt.name, diff)
		}
		if diff := cmp.Diff(tt.then, tt.when.Advice(s, events.At(noon))); diff != "" {
			t.Errorf("%s: advice (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestEveryReasonHasAnExplanation notices a new reason without a case above.
func TestEveryReasonHasAnExplanation(t *testing.T) {
	tested := map[string]bool{}
	for _, tt := range refusals {
		if len(tt.then.User)+len(tt.then.Admin) > 0 {
			tested[string(tt.when.Reason)] = true
		}
	}
	for _, reason := range members(t, "../../events/events.go", `Reason\w+ +Reason = "(\w+)"`) {
		if !tested[reason] {
			t.Errorf("no case says what helps against %s", reason)
		}
	}
}
