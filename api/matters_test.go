package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"keyfob/engine"
	"keyfob/events"
)

// stateOf is what a help desk is told of a user.
func stateOf(t *testing.T, f *fake, user string) UserState {
	t.Helper()
	status, body := call(t, f.api(t), RoleHelpdesk, get, "/users/"+user+"/state", "")
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	return decode[UserState](t, body)
}

// TestRefusalThatIsSettledIsNoMatter: the first line says what is so now.
func TestRefusalThatIsSettledIsNoMatter(t *testing.T) {
	const (
		free = "nothing is the matter"
		last = "nothing stands in the way of a login; last refused 2026-11-02T12:00:01Z: "
	)
	slow, conversation := int64(-4), events.Conversation{Serial: "b1", Step: events.StepNextTokencode}
	refused := func(reason events.Reason) events.Event {
		return events.PasscodeRejected{User: "bob", Serial: "b1", Reason: reason}
	}
	far := events.PasscodeRejected{User: "bob", Serial: "b1", Reason: events.ReasonOutsideWindow, Offset: &slow}
	for name, tt := range map[string]struct {
		journal []events.Event
		want    string
	}{
		"wrong PIN":             {[]events.Event{refused(events.ReasonBadPIN)}, last + "the tokencode is right, the PIN is not"},
		"then let in":           {[]events.Event{refused(events.ReasonBadPIN), events.PasscodeAccepted{User: "bob"}}, free},
		"then asked":            {[]events.Event{refused(events.ReasonBadPIN), events.PasscodeChallenged{User: "bob", Conversation: conversation}}, free},
		"then another let in":   {[]events.Event{refused(events.ReasonBadPIN), events.PasscodeAccepted{User: "eve"}}, last + "the tokencode is right, the PIN is not"},
		"then a temporary PIN":  {[]events.Event{refused(events.ReasonBadPIN), events.PINSet{User: "bob", Serial: "b1", Temporary: true}}, free},
		"then unlocked":         {[]events.Event{refused(events.ReasonBadPIN), events.UserUnlocked{User: "bob"}}, free},
		"then found":            {[]events.Event{refused(events.ReasonTokencodeReused), events.TokenFound{User: "bob", Serial: "b1"}}, free},
		"then refused again":    {[]events.Event{refused(events.ReasonBadPIN), events.UserUnlocked{User: "bob"}, refused(events.ReasonBadPIN)}, strings.Replace(last, ":01Z", ":03Z", 1) + "the tokencode is right, the PIN is not"},
		"clock":                 {[]events.Event{far}, "PIN right, tokencode 4 intervals slow; outside the window of 3"},
		"clock put right":       {[]events.Event{far, events.TokenResynchronized{User: "bob", Use: events.Use{Serial: "b1"}}}, free},
		"drift zeroed":          {[]events.Event{far, events.DriftAdjusted{User: "bob", Serial: "b1", Forgot: true}}, free},
		"locked, and no longer": {[]events.Event{refused(events.ReasonUserLocked)}, free},
		"a typo, then locked":   {[]events.Event{refused(events.ReasonBadPIN), refused(events.ReasonUserLocked)}, last + "the tokencode is right, the PIN is not"},
		"told to change":        {[]events.Event{refused(events.ReasonBadPIN), events.NewPINRequired{User: "bob", Serial: "b1"}}, last + "the tokencode is right, the PIN is not"},
	} {
		f := newFake(t)
		f.put(t, engine.TableUsers, engine.User{Name: "bob", Tokens: []string{"b1"}})
		f.put(t, engine.TableTokens, engine.Token{Serial: "b1", Kind: "totp", Period: 60, Digits: 6, User: "bob", PIN: []byte("sealed PIN")})
		f.attempt("7K3M-QX01", tt.journal...)
		if s := stateOf(t, f, "bob"); s.Summary != tt.want || (s.Next == "") != (tt.want == free) {
			t.Errorf("%s:\n%q, next %q\nwant %q", name, s.Summary, s.Next, tt.want)
		}
	}
}

// TestStateSaysWhatStandsInTheWay: of each thing that the state knows there are
// words, and what to do.
func TestStateSaysWhatStandsInTheWay(t *testing.T) {
	at := func(d time.Duration) events.Time { return events.At(noon.Add(d)) }
	day := 24 * time.Hour
	minute := noon.Unix() / 60
	usual := engine.Token{Serial: "b1", Kind: "totp", Period: 60, Digits: 6, User: "bob", PIN: []byte("sealed PIN"), PINSetAt: at(-30 * day), PINMin: 6, PINMax: 8, Last: minute - 1}
	for name, tt := range map[string]struct {
		change     func(*engine.User, *engine.Token, *engine.Policy)
		what, next string
	}{
		"nothing":        {func(*engine.User, *engine.Token, *engine.Policy) {}, "nothing is the matter", ""},
		"disabled":       {func(u *engine.User, _ *engine.Token, _ *engine.Policy) { u.Disabled = true }, "is disabled", "keyfob user enable bob, if"},
		"locked":         {func(u *engine.User, _ *engine.Token, _ *engine.Policy) { u.Trusted.Until = at(time.Hour) }, "is locked at trusted clients until 2026-11-02T13:00:00Z", "keyfob user unlock bob; or wait"},
		"stopped":        {func(u *engine.User, _ *engine.Token, _ *engine.Policy) { u.Trusted.Stopped = true }, "is locked at trusted clients until an administrator unlocks", "keyfob user unlock bob"},
		"no token":       {func(u *engine.User, _ *engine.Token, _ *engine.Policy) { u.Tokens = nil }, "has no token", "keyfob token issue bob"},
		"token disabled": {func(_ *engine.User, t *engine.Token, _ *engine.Policy) { t.Disabled = true }, "token b1 is disabled", "keyfob token enable b1, if"},
		"token expired":  {func(_ *engine.User, t *engine.Token, _ *engine.Policy) { t.Expires = at(-time.Hour) }, "token b1 expired at 2026-11-02T11:00:00Z", "keyfob token replace b1 NEW"},
		"token not born": {func(_ *engine.User, t *engine.Token, _ *engine.Policy) { t.Born = at(time.Hour) }, "token b1 is not good before 2026-11-02T13:00:00Z", "keyfob token issue bob"},
		"lost": {func(_ *engine.User, t *engine.Token, _ *engine.Policy) {
			t.Lost = &engine.Lost{Until: at(day), Found: engine.FoundRefuse}
		}, "token b1 is lost: its own tokencodes are refused, there are no emergency tokencodes", "keyfob token lost b1 gives out"},
		"lost, with a set": {func(_ *engine.User, t *engine.Token, _ *engine.Policy) {
			t.Lost = &engine.Lost{Until: at(day), Found: engine.FoundAllow, Sealed: []byte("sealed"), Given: 10, Used: []uint8{3, 7}}
		}, "token b1 is lost: its own tokencodes are accepted, emergency tokencodes are good until 2026-11-03T12:00:00Z, 8 of 10 are left", "keyfob token found b1"},
		"lost, with a set of before": {func(_ *engine.User, t *engine.Token, _ *engine.Policy) {
			t.Lost = &engine.Lost{Until: at(day), Found: engine.FoundRefuse, Sealed: []byte("sealed"), Used: []uint8{3, 7}}
		}, "token b1 is lost: its own tokencodes are refused, emergency tokencodes are good until 2026-11-03T12:00:00Z, 2 are used", "keyfob token found b1"},
		"lost, with a fixed one": {func(_ *engine.User, t *engine.Token, _ *engine.Policy) {
			t.Lost = &engine.Lost{Until: at(day), Found: engine.FoundAfter, Sealed: []byte("sealed"), Fixed: true, Given: 1}
		}, "token b1 is lost: its own tokencodes are refused until 2026-11-03T12:00:00Z, a fixed emergency tokencode is good until 2026-11-03T12:00:00Z", "keyfob token found b1"},
		"lost, and the emergency over": {func(_ *engine.User, t *engine.Token, _ *engine.Policy) {
			t.Lost = &engine.Lost{Until: at(-day), Found: engine.FoundRefuse, Sealed: []byte("sealed"), Given: 10}
		}, "token b1 is lost: its own tokencodes are refused, the emergency tokencodes ended at 2026-11-01T12:00:00Z", "keyfob token lost b1 gives out"},
		"next tokencode": {func(_ *engine.User, t *engine.Token, _ *engine.Policy) { t.NextTokencode = true }, "needs the next tokencode", "types that too"},
		"no PIN":         {func(_ *engine.User, t *engine.Token, _ *engine.Policy) { t.PIN = nil }, "must set a PIN", "the tokencode alone"},
		"a code first": {func(_ *engine.User, t *engine.Token, p *engine.Policy) {
			t.PIN, p.FirstPIN = nil, engine.FirstPINByActivationCode
		}, "needs an activation code", "keyfob token set-temporary-pin b1"},
		"PIN to be changed": {func(_ *engine.User, t *engine.Token, _ *engine.Policy) { t.NewPIN = true }, "must set a new PIN", "the present PIN"},
		"PIN expired": {
			func(_ *engine.User, _ *engine.Token, p *engine.Policy) { p.PINLifetime = 29 * day },
			"must set a new PIN, since the old one expired at 2026-11-01T12:00:00Z", "the present PIN",
		},
		"looser rules": {func(_ *engine.User, _ *engine.Token, p *engine.Policy) { p.PINMin = 7 }, "perhaps must set a new PIN, since the old one was set under looser rules", "the present PIN"},
		"two things":   {func(_ *engine.User, t *engine.Token, _ *engine.Policy) { t.PIN, t.NextTokencode = nil, true }, "needs the next tokencode; must set a PIN", "types that too"},
		"a mark ahead": {
			func(_ *engine.User, t *engine.Token, _ *engine.Policy) { t.Last = minute + 150 },
			"no tokencode counts before 2026-11-02T14:31:00Z, because one of 2026-11-02T14:30:00Z was used", "keyfob token lost b1",
		},
		"too many sent": {func(_ *engine.User, t *engine.Token, p *engine.Policy) {
			t.Kind, t.Period, t.Sent, p.OnDemandPerHour = engine.KindOnDemand, 0, []events.Time{at(-50 * time.Minute), at(-20 * time.Minute)}, 2
		}, "was sent 2 tokencodes in an hour; the next can be sent at 2026-11-02T12:10:00Z", "waits"},
		"one of two": {func(u *engine.User, t *engine.Token, _ *engine.Policy) {
			u.Tokens, t.NextTokencode = []string{"b1", "b2"}, true
		}, "needs the next tokencode of token b1", "types that too"},
	} {
		f := newFake(t)
		user, token := engine.User{Name: "bob", Tokens: []string{"b1"}}, usual
		tt.change(&user, &token, &f.state.Policy)
		f.put(t, engine.TableUsers, user)
		f.put(t, engine.TableTokens, token)
		if s := stateOf(t, f, "bob"); s.Summary != tt.what || !strings.Contains(s.Next, tt.next) || (s.Next == "") != (name == "nothing") {
			t.Errorf("%s:\n%q, next %q\nwant %q, %q", name, s.Summary, s.Next, tt.what, tt.next)
		}
	}
}

// TestAdviceFitsTheToken: nobody is told to type a PIN that he has not, or to
// look for what the command does not take.
func TestAdviceFitsTheToken(t *testing.T) {
	usual := engine.Token{Serial: "b1", Kind: "totp", Period: 60, Digits: 6, User: "bob", PIN: []byte("sealed PIN")}
	bad := refusal{reason: events.ReasonBadTokencode, user: "bob"}
	throttled := func(r refusal) refusal { r.reason = events.ReasonThrottled; return r }
	lost := &engine.Lost{Until: events.At(noon.Add(time.Hour)), Found: engine.FoundRefuse}
	ahead := noon.Unix()/60 + 150
	for name, tt := range map[string]struct {
		refusal refusal
		change  func(*engine.User, *engine.Token)
		want    string
	}{
		"a fob":           {bad, nil, "the user types the PIN, then what the token shows now, and looks whether it is token b1; again and again: keyfob token resync b1 TOKENCODE NEXT"},
		"without a PIN":   {bad, func(_ *engine.User, t *engine.Token) { t.PIN = nil }, "the user types what the token shows now, alone: it has no PIN yet, and looks"},
		"PINpad":          {bad, func(_ *engine.User, t *engine.Token) { t.PINStyle = "pinpad" }, "the user types what the token shows now, with the PIN added to it"},
		"never a PIN":     {bad, func(_ *engine.User, t *engine.Token) { t.PINStyle = "none" }, "the user types what the token shows now, and looks"},
		"sent":            {bad, func(_ *engine.User, t *engine.Token) { t.Kind, t.Period = engine.KindOnDemand, 0 }, "the user types the PIN alone, and then the tokencode that is sent"},
		"lost":            {bad, func(_ *engine.User, t *engine.Token) { t.Lost = lost }, "the user types the PIN, then an emergency tokencode; with its owner again: keyfob token found b1"},
		"one of two":      {bad, func(u *engine.User, _ *engine.Token) { u.Tokens = []string{"b1", "b2"} }, "the user types the PIN, then what the token shows now, and looks whether it is one of b1, b2: keyfob user show bob"},
		"disabled":        {refusal{reason: events.ReasonTokenDisabled, user: "bob"}, func(_ *engine.User, t *engine.Token) { t.Disabled = true }, "keyfob token enable b1, if"},
		"enabled since":   {refusal{reason: events.ReasonTokenDisabled, user: "bob"}, nil, "that is over"},
		"locked":          {refusal{reason: events.ReasonUserLocked, user: "bob"}, func(u *engine.User, _ *engine.Token) { u.Strangers.Stopped = true }, "find out whose failures they are, then keyfob user unlock bob"},
		"unlocked since":  {refusal{reason: events.ReasonUserLocked, user: "bob"}, nil, "that is over"},
		"found since":     {refusal{reason: events.ReasonTokenLost, user: "bob", serial: "b1"}, nil, "that is over"},
		"PIN set since":   {refusal{reason: events.ReasonPINNotSet, user: "bob", serial: "b1"}, nil, "that is over"},
		"a token since":   {refusal{reason: events.ReasonNoToken, user: "bob"}, nil, "that is over"},
		"mark ahead":      {refusal{reason: events.ReasonTokencodeReused, user: "bob", serial: "b1"}, func(_ *engine.User, t *engine.Token) { t.Last = ahead }, "tokencodes count again from 2026-11-02T14:31:00Z, if the token's clock is right; until 2026-11-02T14:31:00Z: keyfob token lost b1"},
		"too soon":        {throttled(refusal{user: "bob"}), func(u *engine.User, _ *engine.Token) { u.Trusted.Wait = events.At(noon.Add(2 * time.Second)) }, "the user waits until 2026-11-02T12:00:02Z"},
		"no longer":       {throttled(refusal{user: "bob"}), nil, "is over: the user tries once"},
		"from an address": {throttled(refusal{}), nil, "of an address one attempt is looked at every 10s (source.every)"},
		"by oneself":      {throttled(refusal{user: "bob", quiet: true}), nil, "resync.by_user"},
		"too many sent": {throttled(refusal{user: "bob", serial: "b1"}), func(_ *engine.User, t *engine.Token) {
			t.Kind, t.Period = engine.KindOnDemand, 0
			for n := range 6 {
				t.Sent = append(t.Sent, events.At(noon.Add(time.Duration(n-30)*time.Minute)))
			}
		}, "the next can be sent at 2026-11-02T12:30:00Z: 6 were sent"},
	} {
		f := newFake(t)
		user, token := engine.User{Name: "bob", Tokens: []string{"b1"}}, usual
		if tt.change != nil {
			tt.change(&user, &token)
		}
		f.put(t, engine.TableUsers, user)
		f.put(t, engine.TableTokens, token)
		if got := tt.refusal.advice(f.state, events.At(noon)); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// TestWhatComesTooOftenIsToldApart: a wait, a limit of what is sent and a crowd
// at one address have nothing in common but the name of the reason.
func TestWhatComesTooOftenIsToldApart(t *testing.T) {
	f := newFake(t)
	f.put(t, engine.TableTokens, engine.Token{Serial: "o1", Kind: engine.KindOnDemand, User: "bob"})
	seen := map[string]bool{}
	for _, e := range []events.PasscodeRejected{
		{User: "bob"}, {User: "bob", Serial: "o1"}, {Digest: "d"}, {User: "bob", Quiet: true},
	} {
		e.Reason = events.ReasonThrottled
		seen[refusalOf(e).what(f.state)] = true
	}
	if len(seen) != 4 {
		t.Errorf("%v", seen)
	}
}

// TestStepsThatAnAdministratorEndedAreSaidToBe, in the state and by reference.
func TestStepsThatAnAdministratorEndedAreSaidToBe(t *testing.T) {
	over := events.PasscodeRejected{User: "ada", Reason: events.ReasonConversationExpired}
	asked := events.PasscodeChallenged{User: "ada", Conversation: events.Conversation{Serial: "0001", Step: events.StepNewPIN}}
	cleared := events.PINCleared{User: "ada", Serial: "0001"}
	for name, tt := range map[string]struct {
		journal []events.Event
		by      string
		want    string
	}{
		"cleared":           {[]events.Event{asked, cleared, over}, "api token desk", "the steps were ended by an administrator meanwhile: PIN of token 0001 cleared"},
		"cleared before":    {[]events.Event{cleared, asked, over}, "api token desk", "the steps were not finished in time, or were begun elsewhere"},
		"set by oneself":    {[]events.Event{asked, events.PINSet{User: "ada", Serial: "0001"}, over}, "", "the steps were not finished in time, or were begun elsewhere"},
		"another's token":   {[]events.Event{asked, events.PINCleared{User: "eve", Serial: "e1"}, over}, "api token desk", "the steps were not finished in time, or were begun elsewhere"},
		"out of their time": {[]events.Event{asked, over}, "", "the steps were not finished in time, or were begun elsewhere"},
	} {
		f := newFake(t)
		for i, e := range tt.journal {
			f.attempt("7K3M-QX0"+string(rune('0'+i)), e)
			switch e.(type) {
			case events.PINCleared, events.PINSet:
				f.records[i].Origin.Actor = tt.by
			default:
			}
		}
		if s := stateOf(t, f, "ada"); s.Refusals[0].Words != tt.want {
			t.Errorf("%s: %q, want %q", name, s.Refusals[0].Words, tt.want)
		}
		_, body := call(t, f.api(t), RoleHelpdesk, get, "/audit/references/7K3M-QX0"+string(rune('0'+len(tt.journal)-1)), "")
		if r := decode[ReferenceReport](t, body); r.Words != "refused: "+tt.want {
			t.Errorf("%s: %q, want %q", name, r.Words, tt.want)
		}
	}
}

// TestListsTellWhatBecomesOfAToken at the next login, in few words.
func TestListsTellWhatBecomesOfAToken(t *testing.T) {
	at := func(d time.Duration) events.Time { return events.At(noon.Add(d)) }
	hour := time.Hour
	lost := func(found string, until time.Duration) *engine.Lost {
		return &engine.Lost{Until: at(until), Found: found}
	}
	for name, tt := range map[string]struct {
		change func(*engine.Token, *engine.Policy)
		want   string
	}{
		"ready":            {func(*engine.Token, *engine.Policy) {}, "ready"},
		"disabled":         {func(t *engine.Token, _ *engine.Policy) { t.Disabled = true }, "disabled"},
		"unassigned":       {func(t *engine.Token, _ *engine.Policy) { t.User = "" }, "unassigned"},
		"not born":         {func(t *engine.Token, _ *engine.Policy) { t.Born = at(hour) }, "not good yet"},
		"expired":          {func(t *engine.Token, _ *engine.Policy) { t.Expires = at(-hour) }, "expired"},
		"lost":             {func(t *engine.Token, _ *engine.Policy) { t.Lost = lost(engine.FoundRefuse, hour) }, "lost"},
		"lost, allowed":    {func(t *engine.Token, _ *engine.Policy) { t.Lost = lost(engine.FoundAllow, hour) }, "lost, still accepted"},
		"lost, after":      {func(t *engine.Token, _ *engine.Policy) { t.Lost = lost(engine.FoundAfter, hour) }, "lost"},
		"lost, after that": {func(t *engine.Token, _ *engine.Policy) { t.Lost = lost(engine.FoundAfter, -hour) }, "ready"},
		"no PIN":           {func(t *engine.Token, _ *engine.Policy) { t.PIN = nil }, "New PIN mode"},
		"a code first":     {func(t *engine.Token, p *engine.Policy) { t.PIN, p.FirstPIN = nil, engine.FirstPINByActivationCode }, "needs a PIN"},
		"next tokencode":   {func(t *engine.Token, _ *engine.Policy) { t.NextTokencode = true }, "Next Tokencode mode"},
		"PIN expired":      {func(_ *engine.Token, p *engine.Policy) { p.PINLifetime = 24 * hour }, "PIN expired"},
		"looser rules":     {func(_ *engine.Token, p *engine.Policy) { p.PINMin = 7 }, "perhaps a new PIN"},
		"a mark ahead":     {func(t *engine.Token, _ *engine.Policy) { t.Last = noon.Unix()/60 + 59 }, "refused until 2026-11-02T13:00:00Z"},
		"replaces another": {func(t *engine.Token, _ *engine.Policy) { t.Replaces = "b0" }, "ready, replaces b0"},
	} {
		f := newFake(t)
		token := engine.Token{Serial: "b1", Kind: "totp", Period: 60, Digits: 6, User: "bob", PIN: []byte("sealed PIN"), PINSetAt: at(-48 * hour), PINMin: 6, PINMax: 8}
		tt.change(&token, &f.state.Policy)
		f.put(t, engine.TableUsers, engine.User{Name: "bob", Tokens: []string{"b0", "b1"}})
		f.put(t, engine.TableTokens, token)
		f.put(t, engine.TableTokens, engine.Token{Serial: "b0", Kind: "hotp", Digits: 6, User: "bob", PIN: []byte("sealed PIN")})
		_, body := call(t, f.api(t), RoleHelpdesk, get, "/tokens/b1", "")
		if v := decode[Token](t, body); v.State != tt.want {
			t.Errorf("%s: %q, want %q", name, v.State, tt.want)
		}
		if token.Replaces != "" {
			_, body := call(t, f.api(t), RoleHelpdesk, get, "/users/bob", "")
			if v := decode[UserSheet](t, body); v.Details[0].State != "ready, to be replaced by b1" || v.Details[0].ReplacedBy != "b1" {
				t.Errorf("%+v", v.Details[0])
			}
		}
	}
}
